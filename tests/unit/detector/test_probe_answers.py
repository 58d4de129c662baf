"""What probes make of the answers they get, and what packs may ask of them."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal

import httpx
import pytest

from services.detector.clients import kernel
from services.detector.clients.asking import TRIES_WHILE_LATE, Answer, ask
from services.detector.clients.docker import judge as judge_container
from services.detector.clients.docker import state_figures
from services.detector.clients.network import parse_query
from services.detector.clients.redis_server import figures, wrong_with
from services.detector.clients.reports import Seen
from services.detector.clients.sql import judge, samples_of
from services.detector.clients.web import body_differs, clock_offset_s, judge_certificate
from services.detector.domain.removed import removed
from services.detector.domain.watch import compile_packs
from shared.contracts.ingest import CheckResult
from shared.packs import Pack
from shared.packs.load import parse_pack
from shared.packs.model import ExpectBody, Probe, SqlProbe
from shared.packs.problems import PackError

# ---- time-outs

PROBE = Probe.model_validate({"component": "web", "timeout_ms": 60, "http": {"url": "http://127.0.0.1/"}})


async def test_who_was_held_up_itself_asks_again_before_it_says_that_others_are_late() -> None:
    asked = 0

    async def question() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            time.sleep(0.2)  # noqa: ASYNC251 - the whole process stands still, as on a starved machine
            await asyncio.sleep(0.01)
        return ""

    assert (await ask(PROBE, question)).result is CheckResult.OK
    assert asked == 2


async def test_who_never_answers_is_asked_once_and_a_process_that_stands_still_for_long_says_so_in_the_end() -> None:
    asked = 0

    async def silence() -> str:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()
        return ""

    async def held_up() -> str:
        nonlocal asked
        asked += 1
        time.sleep(0.2)  # noqa: ASYNC251
        await asyncio.sleep(0.01)
        return ""

    assert (await ask(PROBE, silence)).result is CheckResult.TIMEOUT
    assert asked >= 1
    asked = 0
    assert (await ask(PROBE, held_up)).result is CheckResult.TIMEOUT
    assert asked == TRIES_WHILE_LATE


# ---- HTTP

BODY = json.dumps({"status": "ok", "checks": [{"up": True, "n": 1}]}).encode()


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        ({"contains": "ok"}, ""),
        ({"contains": "fine"}, "does not contain 'fine'"),
        ({"matches": r"\"n\": \d"}, ""),
        ({"matches": "^never$"}, "does not match"),
        ({"values": {"status": "ok", "checks.0.up": True, "checks.0.n": 1}}, ""),
        ({"values": {"status": "down"}}, "`status` is 'ok' instead of 'down'"),
        ({"values": {"checks.1.up": True}}, "has no `checks.1.up`"),
        ({"values": {"checks.0.up": 1}}, "`checks.0.up` is 'True' instead of '1'"),
    ],
)
def test_an_expected_body(expected: dict[str, object], says: str) -> None:
    found = body_differs(BODY, ExpectBody.model_validate(expected))
    assert (found == "") if not says else (says in found)


def test_a_body_that_is_no_json_has_no_values() -> None:
    for body in (b"<html>", b"\xff", b"[" * 100_000):
        assert body_differs(body, ExpectBody(values={"a": 1})) == "the answer is not JSON"


def answer(date: str | None, asked_at: float, answered_at: float, **headers: str) -> Answer:
    told = httpx.Headers(headers | ({} if date is None else {"date": date}))
    return Answer(200, b"", told, asked_at, answered_at)


NOON = 1_767_355_200.0
NOON_DATE = "Fri, 02 Jan 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("asked_s", "answered_s", "offset_s"),
    [(0.2, 0.3, 0.0), (-0.1, 0.1, 0.0), (0.9, 1.1, 0.0), (-30.0, -29.0, 29.0), (31.0, 32.0, -30.0)],
)
def test_a_clock_is_off_by_no_more_than_it_surely_is(asked_s: float, answered_s: float, offset_s: float) -> None:
    assert clock_offset_s(answer(NOON_DATE, NOON + asked_s, NOON + answered_s)) == pytest.approx(offset_s)


def test_no_clock_is_read_from_caches_and_nonsense() -> None:
    assert clock_offset_s(answer(None, NOON, NOON)) is None
    assert clock_offset_s(answer("yesterday", NOON, NOON)) is None
    assert clock_offset_s(answer(NOON_DATE, NOON, NOON, age="60")) is None


def test_a_certificate_is_a_warning_before_it_expires() -> None:
    assert judge_certificate(15 * 86_400, 14).result is CheckResult.OK
    assert "expires in 13.0 days" in judge_certificate(13 * 86_400, 14).detail


# ---- Prometheus


def test_answers_of_a_prometheus() -> None:
    def vector(*values: str) -> bytes:
        result = [{"metric": {"__name__": "up", "job": f"j{i}"}, "value": [1, v]} for i, v in enumerate(values)]
        return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()

    found = parse_query(vector("1", "NaN", "+Inf", "2.5"), "services_up")
    assert [(each.name, each.value, each.labels) for each in found] == [
        ("services_up", 1.0, {"job": "j0"}),
        ("services_up", 2.5, {"job": "j3"}),
    ]
    assert parse_query(vector(), "m") == []
    scalar = {"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}}
    assert parse_query(json.dumps(scalar).encode(), "m")[0].value == 7


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, "bad_data: parse error"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "instant vector"),
        ({"status": "success"}, "check the url"),
        ([], "check the url"),
        ("<html>", "check the url"),
    ],
)
def test_what_is_no_answer_of_a_prometheus_says_so(body: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_query(body.encode() if isinstance(body, str) else json.dumps(body).encode(), "m")


# ---- SQL


def sql(**more: object) -> SqlProbe:
    return SqlProbe.model_validate({"dsn": {"env": "A"}, "statement": "s", "metric": "jobs"} | more)


def test_rows_become_samples() -> None:
    assert [(s.name, s.value, s.labels) for s in samples_of("jobs", [{"count": 3}])] == [("jobs", 3.0, {})]
    rows: list[dict[str, object]] = [{"queue": "a", "stuck": 1, "oldest": Decimal(2)}, {"queue": "b", "stuck": None}]
    assert [(s.name, s.value, s.labels) for s in samples_of("jobs", rows)] == [
        ("jobs_stuck", 1.0, {"queue": "a"}),
        ("jobs_oldest", 2.0, {"queue": "a"}),
    ]


@pytest.mark.parametrize(
    ("asked", "rows", "says"),
    [
        ({}, [{"n": 99}], ""),
        ({"above": 5}, [{"n": 5}], ""),
        ({"above": 5}, [{"n": 6}], "jobs is 6, above 5"),
        ({"above": 5}, [], ""),
        ({"below": 1}, [], "no row"),
        ({"below": 1}, [{"n": 0}], "jobs is 0, below 1"),
        ({"above": 5}, [{"n": None}], "not a number"),
        ({"above": 5}, [{"queue": "a", "n": 1}, {"queue": "b", "n": 9}], "jobs is 9, above 5 (queue=b)"),
        ({"above": 5}, [{"n": 1, "m": 9}], "name one by `column`"),
        ({"above": 5, "column": "m"}, [{"n": 1, "m": 9}], "jobs (m) is 9, above 5"),
        ({"above": 5, "column": "x"}, [{"n": 1}], "name one by `column`"),
        ({"expect": 0}, [{"n": 0}], ""),
        ({"expect": True}, [{"t": False}], "jobs is 'False' instead of 'True'"),
        ({"expect": "primary"}, [{"role": "standby"}], "jobs is 'standby' instead of 'primary'"),
        ({"expect": 0}, [], "no row"),
    ],
)
def test_rows_are_judged(asked: dict[str, object], rows: list[dict[str, object]], says: str) -> None:
    found = judge(sql(**asked), rows)
    assert (found == "") if not says else (says in found)


# ---- Redis, containers, the kernel


def test_a_replica_without_its_primary_is_unfit_and_one_that_loads_too() -> None:
    replica = {"role": "slave", "master_link_status": "down", "master_host": "a", "master_port": 1}
    assert "link to a:1 is down" in wrong_with(replica)
    assert figures(replica)["redis_replication_link_up"] == 0
    assert wrong_with({"loading": 1})
    assert wrong_with({"role": "master"}) == ""
    full = figures({"used_memory": 75, "maxmemory": 100, "evicted_keys": 3, "rdb_last_bgsave_status": "err"})
    assert full["redis_memory_ratio"] == 0.75
    assert full["redis_evicted_keys_total"] == 3
    assert full["redis_persistence_ok"] == 0
    assert "redis_memory_ratio" not in figures({"used_memory": 75, "maxmemory": 0})


def test_what_a_container_s_state_means() -> None:
    ok = Seen(CheckResult.OK, 5.0)
    assert judge_container({"Status": "running", "Health": {"Status": "healthy"}}, ok) == ok
    killed = judge_container({"Status": "exited", "ExitCode": 137, "OOMKilled": True}, ok)
    assert killed.result is CheckResult.EXITED
    assert "137, killed for lack of memory" in killed.detail
    assert judge_container({}, ok).result is CheckResult.ERROR
    figures_ = state_figures({"State": {"Status": "exited", "ExitCode": 3, "OOMKilled": True}, "RestartCount": 4})
    assert figures_ == {
        "container_running": 0,
        "container_restarts_total": 4,
        "container_oom_killed": 1,
        "container_exit_code": 3,
    }
    assert state_figures({"State": {"Status": "running", "Health": {"Status": "unhealthy"}}})["container_healthy"] == 0


def test_what_the_kernel_says() -> None:
    text = "some avg10=12.50 avg60=1.00 avg300=0.00 total=2000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"
    assert kernel.parse_pressure(text)["some"] == (12.5, 2.0)
    assert kernel.parse_pressure("nonsense") == {}
    assert kernel.parse_counters("oom_kill 3\nodd line here\n") == {"oom_kill": 3}
    assert kernel.read("/proc/no/such/file") == ""


# ---- packs

GOOD = "pack: a\ncomponents:\n  x: {}\nhttp_hosts: [h]\nprobes:\n  - {component: x, "


@pytest.mark.parametrize(
    ("probe", "where", "says"),
    [
        ('redis: {url: "http://h"}', "redis.url", "write redis://host:6379/0"),
        ('redis: {url: "redis://:secret@h/0"}', "redis.url", "a password stands in the pack"),
        ("redis: {url: {env: A, file: /b}}", "redis.url", "write a text"),
        ("sql: {dsn: {env: A}, statement: s, metric: 9m}", "sql.metric", "letters, digits and _"),
        ("sql: {dsn: {env: A}, statement: s}", "sql.metric", "`metric` is missing"),
        ("sql: {dsn: {env: A}, statement: s, metric: m, above: 1, expect: 1}", "sql", "keep one of them"),
        ("sql: {dsn: {env: A}, statement: s, metric: m, column: c}", "sql", "judges nothing"),
        ("sql: {dsn: {env: A}, statement: s, metric: m, above: 1, below: 2}", "sql", "the smaller of the two"),
        ("sql: {dsn: {env: A}, statement: s, metric: m, max_rows: 5000}", "sql.max_rows", "less than or equal to 1000"),
        ('promql: {url: "http://elsewhere/", query: up, metric: m}', "promql.url", "add `elsewhere` to http_hosts"),
        ("journal: {}", "journal", "give `unit` or `identifier`"),
        ("journal: {unit: --file=/etc/passwd}", "journal.unit", "systemctl list-units"),
        ("journal: {identifier: -D/tmp}", "journal.identifier", "SYSLOG_IDENTIFIER"),
        ('http: {url: "http://h", expect_body: {}}', "http.expect_body", "`contains`, `matches` or `values`"),
        (
            'http: {url: "http://h", expect_body: {matches: "("}}',
            "http.expect_body.matches",
            "not a regular expression",
        ),
        ('http: {url: "http://h", method: HEAD, expect_body: {contains: x}}', "http", "use GET"),
        ('http: {url: "http://h", method: DELETE}', "http.method", "write one of: GET"),
        ('http: {url: "http://h", headers: {"a b": c}}', "http.headers.a b", "as in `Authorization`"),
        ('http: {url: "http://h", follow_redirects: 99}', "http.follow_redirects", "less than or equal to 10"),
        ("docker: {container: c, log: true}", "docker.log", "did you mean `logs`?"),
    ],
)
def test_mistakes_are_told_with_their_place_and_the_remedy(probe: str, where: str, says: str) -> None:
    with pytest.raises(PackError) as caught:
        parse_pack(GOOD + probe + "}\n")
    (problem,) = caught.value.problems
    assert (problem.where, problem.line) == (f"probes[0].{where}", 6)
    assert says in f"{problem.message}: {problem.remedy}"
    assert "secret" not in str(problem)


def test_names_of_probes_stay_within_what_a_check_may_hold_and_differ() -> None:
    first, second = (
        Probe.model_validate({"component": "x", "logs": {"path": "/var/log/" + "deep/" * 60 + name}}).name
        for name in ("a.log", "b.log")
    )
    assert first != second
    assert max(len(first), len(second)) + len("/certificate") <= 200


# ---- probes that are no more


def test_an_incident_ends_with_its_probe_and_no_other_does() -> None:
    body = {"pack": "a", "components": {"web": {}}, "probes": [{"component": "web", "tcp": {"port": 1}}]}
    watch = compile_packs([Pack.model_validate(body)])
    found = [
        ("web", "web/tcp/127.0.0.1:1"),
        ("web", "web/tcp/127.0.0.1:2"),
        ("web", "somebody's own check"),
        ("web", "web/backup/nightly"),
        ("gone", "gone/host"),
        ("unread", "unread/host"),
        ("web", "web/http/https://h/certificate"),
    ]
    assert removed(found, watch, {"gone/host"}) == [
        ("web", "web/tcp/127.0.0.1:2"),
        ("gone", "gone/host"),
        ("web", "web/http/https://h/certificate"),
    ]
    assert removed([("web", "web/http/https://h/certificate")], watch, {"web/http/https://h"}) != []
