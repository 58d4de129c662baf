"""From the results of probes to findings: how often something must fail before it counts."""

from __future__ import annotations

from dataclasses import dataclass

from services.detector.domain.signals import CheckSeen, Fact, Finding, Method, Result, Severity

FAILURES = frozenset({Result.ERROR, Result.TIMEOUT, Result.REFUSED, Result.EXITED, Result.STOPPED})
"""Results that count as errors of the component; `slow` is an answer, if a late one."""

FORESIGHT = frozenset({"certificate"})
"""Kinds of check that tell of trouble to come: a warning, while everything still works."""


@dataclass(frozen=True, slots=True)
class ProbePolicy:
    """How many results in a row are believed. The defaults are for checks that no pack declares."""

    fail_after: int = 2
    clear_after: int = 2
    slow_ms: float = 5_000.0


@dataclass(slots=True)
class ProbeRun:
    """The present run of bad results of one probe."""

    bad: int = 0
    failures: int = 0
    """Failures within the run: what an incident opened by it counts as its first errors."""


def pattern_of(check: CheckSeen) -> str:
    """`process-exited`, `http-timeout`, `tcp-refused`, …; a container that has exited says so of itself."""
    if check.result is Result.EXITED:
        return "container-exited" if check.kind == "docker" else "process-exited"
    return f"{check.kind}-{check.result.value}"


def is_slow(check: CheckSeen, policy: ProbePolicy) -> bool:
    """A good answer that took longer than the probe's limit is slow, whoever measured it (requirement B05)."""
    return check.result is Result.OK and check.latency_ms is not None and check.latency_ms > policy.slow_ms


def observe(run: ProbeRun, check: CheckSeen, policy: ProbePolicy, *, planned: bool) -> Finding | None:
    """Count one result; a finding once it is believed.

    `planned`: a repair of the component is under way, so an exit is probably its doing and must be confirmed
    like any other failure instead of counting at once.
    """
    result = Result.SLOW if is_slow(check, policy) else check.result
    if result is Result.OK:
        run.bad = run.failures = 0
        return None
    run.bad += 1
    run.failures += result in FAILURES
    at_once = result is Result.EXITED and not planned
    if run.bad < policy.fail_after and not at_once:
        return None
    pattern = f"{check.kind}-slow" if result is Result.SLOW else pattern_of(check)
    mild = result is Result.SLOW or check.kind in FORESIGHT
    return Finding(
        component=check.component,
        method=Method.PROBE,
        subject=check.probe,
        pattern=pattern,
        severity=Severity.WARNING if mild else Severity.CRITICAL,
        summary=_summary(check, result, policy),
        at=check.at,
        fact=_fact(check, result, policy),
        labels={"probe": check.probe, "kind": check.kind},
        depth=_depth(check, result),
        confirm=policy.fail_after,
    )


def _depth(check: CheckSeen, result: Result) -> int:
    """A process that is gone explains that nobody answers, and that explains that metrics can't be read."""
    if result in (Result.EXITED, Result.STOPPED):
        return 4
    if check.kind in FORESIGHT:
        return 0
    if result is Result.SLOW or check.kind in ("scrape", "promql"):
        return 2
    return 3


def _summary(check: CheckSeen, result: Result, policy: ProbePolicy) -> str:
    said = {
        Result.SLOW: f"answers slower than {policy.slow_ms:g} ms",
        Result.ERROR: "answers with an error",
        Result.TIMEOUT: "does not answer in time",
        Result.REFUSED: "refuses connections",
        Result.EXITED: "has exited",
        Result.STOPPED: "is stopped (suspended)",
    }[result]
    return f"{check.component} {said}" + (f": {check.detail}" if check.detail else "")


def _fact(check: CheckSeen, result: Result, policy: ProbePolicy) -> Fact:
    if result is Result.SLOW and check.latency_ms is not None:
        return Fact(check.probe, check.latency_ms, check.at, check.component, f"at most {policy.slow_ms:g}", "ms")
    return Fact(check.probe, check.detail or result.value, check.at, check.component, "ok")
