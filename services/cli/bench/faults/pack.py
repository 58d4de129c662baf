"""The shop's pack as the suite uses it, and its variants: other playbooks, other limits, other levels of freedom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shared.packs import Pack

type Adapt = Callable[[Pack], Pack]

PATIENCE_MS = 1_500
"""Of health checks: the machine also runs the suite, its rivals and whatever else measures at the time."""
END_IDLE_BLOCKERS = (
    "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction'"
    " and pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity where wait_event_type = 'Lock')"
)
IDLE_BLOCKERS = (
    "select count(distinct blocker)::int as idle_blockers from pg_stat_activity waiting"
    " cross join lateral unnest(pg_blocking_pids(waiting.pid)) as blocker"
    " join pg_stat_activity holder on holder.pid = blocker and holder.state = 'idle in transaction'"
    " where waiting.wait_event_type = 'Lock'"
)
STRANDED_JOBS = "select count(*)::int as stranded_jobs from jobs where state = 'running' and claimed_by <> 'worker'"
REQUEUE = "update jobs set state = 'pending', claimed_by = null where state = 'running' and claimed_by <> 'worker'"


def suite_pack(pack: Pack) -> Pack:
    """One system is broken again and again, faster than in any real life: what counts attempts over minutes is
    lifted, and scenarios that are about such limits set them. The database is watched and cared for as well."""
    body = _dump(pack)
    body["policy"] |= {"max_attempts": 1_000_000, "actions_per_hour": 1_000_000, "storm_min": 8}
    for playbook in body["playbooks"].values():
        playbook["cooldown_s"] = 0.0
    body["library_without"] = [*body.get("library_without", []), "process-crash-loop", "database-restarted"]
    body["good_after_s"] = 5.0
    for probe in body["probes"]:
        if "http" in probe:
            probe["timeout_ms"] = PATIENCE_MS
    exhausted = {"for": ["resource-exhaustion"], "components": ["edge"], "validate": {"window_s": 3}}
    body["playbooks"]["restart-exhausted"] = body["playbooks"]["restart-hung"] | exhausted
    _with_database(body)
    return Pack.model_validate(body)


def _with_database(body: dict[str, Any]) -> None:
    dsn = {"file": f"{body['variables']['data_dir']}/config/database.url"}
    body["probes"] += [
        {"component": "orders-db", "every_s": 1, "postgres": {"dsn": dsn}},
        {"component": "orders-db", "every_s": 0.5, "sql": _asked(dsn, IDLE_BLOCKERS, "idle_blockers")},
        {"component": "orders-db", "every_s": 1, "sql": _asked(dsn, STRANDED_JOBS, "stranded_jobs")},
    ]
    body["rules"] += [
        _rule("idle-transaction-blocks", "idle_blockers > 0", "lock-contention", "an idle transaction holds up others"),
        _rule("jobs-stranded", "stranded_jobs > 20", "job-stuck", "jobs belong to a worker that is no more"),
    ]
    stranded = {"id": "jobs-stranded", "component": "orders-db", "when": "incident.pattern == 'jobs-stranded'"}
    body["signatures"].append({**stranded, "cause": "job-stuck", "confidence": 0.95})
    statements = {"end-idle-blockers": ("lock-contention", END_IDLE_BLOCKERS), "requeue-jobs": ("job-stuck", REQUEUE)}
    for name, (category, statement) in statements.items():
        body["playbooks"][name] = {
            "for": [category],
            "components": ["orders-db"],
            "automation_level": "full-auto",
            "steps": [{"sql.execute": {"dsn": dsn, "statement": statement}}],
            "validate": {"window_s": 4, "clear": "incident"},
            "rollback": "none",
            "then": "page-a-human",
            "risk": 0.2,
            "cooldown_s": 0,
        }


def _asked(dsn: Mapping[str, str], statement: str, metric: str) -> dict[str, Any]:
    return {"dsn": dsn, "statement": statement, "metric": metric}


def _rule(name: str, expression: str, cause: str, summary: str) -> dict[str, Any]:
    rule = {"component": "orders-db", "id": name, "expr": expression, "for_s": 1.5, "severity": "critical"}
    return {**rule, "cause": cause, "summary": summary}


# ---- variants


def policy(**fields: object) -> Adapt:
    """Other limits."""
    return changed(lambda body: body["policy"].update(fields))


def mode(name: str) -> Adapt:
    return changed(lambda body: body.update(mode=name))


def changed_playbook(name: str, **fields: object) -> Adapt:
    """One playbook, as its author might have got it wrong."""
    return changed(lambda body: body["playbooks"][name].update(fields))


def playbooks(added: Mapping[str, Mapping[str, object]], *, without: tuple[str, ...] = ()) -> Adapt:
    def change(body: dict[str, Any]) -> None:
        for name in without:
            del body["playbooks"][name]
        body["playbooks"].update(added)

    return changed(change)


def maintenance(component: str) -> Adapt:
    window = {"component": component, "when": "daily 00:00/23:59", "reason": "fault injection"}
    return changed(lambda body: body.update(maintenance=[window]))


def changed(change: Callable[[dict[str, Any]], object]) -> Adapt:
    def adapt(pack: Pack) -> Pack:
        body = _dump(pack)
        change(body)
        return Pack.model_validate(body)

    return adapt


def _dump(pack: Pack) -> dict[str, Any]:
    return pack.model_dump(mode="json", by_alias=True, exclude_none=True)
