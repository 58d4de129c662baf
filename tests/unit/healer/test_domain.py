"""The healer's decisions: placeholders, documents, validation, good versions, endings."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import tomlkit
from hypothesis import assume, given
from hypothesis import strategies as st

from services.healer.domain.documents import DocumentError, get_key, set_key
from services.healer.domain.goodness import SUSPECT_FOR, Judgement, Trouble, Watched, judge
from services.healer.domain.interpolation import InterpolationError, interpolate, names_of, substitute
from services.healer.domain.runs import Reason, RunStatus, Undoing, backup_id, ending_of_failure, resolution_time_ms
from services.healer.domain.validation import Cleared, Window, errors_between, verdict
from shared.packs.component import Component, Process
from shared.packs.playbook import Step

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WEB = Component(
    container="web-1",
    config_path="/etc/web.toml",
    attributes={"region": "eu", "name": "not this"},
    process=Process(command=("web",), pid_file="/run/web.pid"),
)
names = st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=20), max_size=5)
plain = st.text(max_size=30).filter(lambda text: "${" not in text)


# ---- placeholders


def test_own_fields_win_over_attributes() -> None:
    assert names_of("web", WEB)["name"] == "web"
    assert names_of("web", WEB)["region"] == "eu"
    assert names_of("web", WEB)["pid_file"] == "/run/web.pid"


@given(plain, names)
def test_text_without_placeholders_stays(text: str, known: dict[str, str]) -> None:
    assert substitute(text, known) == text


@given(plain, plain, names.filter(bool), st.data())
def test_a_placeholder_is_replaced_once_and_its_value_is_not_looked_into(
    before: str, after: str, known: dict[str, str], data: st.DataObject
) -> None:
    assume(not before.endswith("$"))
    name = data.draw(st.sampled_from(sorted(known)))
    assert substitute(f"{before}${{component.{name}}}{after}", known) == before + known[name] + after


@pytest.mark.parametrize(
    "text", ["${component.nope}", "${name}", "${component.name", "${}", "${component}", "${component.name }", "${os.x}"]
)
def test_anything_else_in_braces_is_an_error_that_says_what_there_is(text: str) -> None:
    with pytest.raises(InterpolationError, match=r"component\.name"):
        substitute(text, {"name": "web"})


def test_every_text_of_a_step_is_interpolated() -> None:
    step = Step.model_validate(
        {
            "http.call": {
                "url": "http://${component.name}.internal/${component.region}",
                "headers": {"X-Container": "${component.container}"},
                "body": {"file": "${component.config_path}", "n": 1},
            },
            "timeout_s": 7,
        }
    )
    call = interpolate(step, names_of("web", WEB)).http_call
    assert call is not None
    assert call.url == "http://web.internal/eu"
    assert call.headers == {"X-Container": "web-1"}
    assert call.body == {"file": "/etc/web.toml", "n": 1}


@given(st.sampled_from(["process.restart", "process.stop", "docker.restart", "file.set", "sql.execute"]), plain)
def test_a_step_without_placeholders_is_unchanged(actuator: str, text: str) -> None:
    bodies: dict[str, object] = {
        "process.restart": {},
        "process.stop": {},
        "docker.restart": {"container": text},
        "file.set": {"path": "/a.toml", "key": "k", "value": text},
        "sql.execute": {"dsn": {"env": "DSN"}, "statement": text},
    }
    step = Step.model_validate({actuator: bodies[actuator]})
    assert interpolate(step, {}) == step


# ---- documents

keys = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
scalars = st.one_of(
    st.booleans(),
    st.integers(min_value=-(2**53), max_value=2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
)
documents = st.dictionaries(
    keys, st.one_of(scalars, st.dictionaries(keys, scalars, min_size=1, max_size=4)), min_size=1
)


def _dotted(document: dict[str, object]) -> list[str]:
    return [
        *(key for key, value in document.items() if not isinstance(value, dict)),
        *(f"{key}.{inner}" for key, value in document.items() if isinstance(value, dict) for inner in value),
    ]


def _with(document: dict[str, object], key: str, value: object) -> dict[str, object]:
    copy = json.loads(json.dumps(document))
    *tables, last = key.split(".")
    parent = copy
    for table in tables:
        parent = parent[table]
    parent[last] = value
    return copy  # type: ignore[no-any-return]


@given(documents, scalars, st.data(), st.sampled_from(["toml", "json"]))
def test_setting_a_key_changes_that_key_and_nothing_else(
    document: dict[str, object], value: str | int | float | bool, data: st.DataObject, kind: str
) -> None:
    key = data.draw(st.sampled_from(_dotted(document)))
    text = tomlkit.dumps(document) if kind == "toml" else json.dumps(document, indent=2)
    edited = set_key(text.encode(), f"/a.{kind}", key, value)
    parsed = tomllib.loads(edited.decode()) if kind == "toml" else json.loads(edited)
    assert parsed == _with(document, key, value)
    assert get_key(edited, f"/a.{kind}", key) == value


def test_a_whole_number_stays_whole() -> None:
    assert set_key(b"timeout_ms = 800\n", "/a.toml", "timeout_ms", 1200.0) == b"timeout_ms = 1200\n"
    assert set_key(b'{"timeout_ms": 800}', "/a.json", "timeout_ms", 1200.0) == b'{"timeout_ms": 1200}'


def test_json_keeps_its_indentation_and_last_newline() -> None:
    text = b'{\n    "a": 1,\n    "b": {\n        "c": "x"\n    }\n}\n'
    assert set_key(text, "/a.json", "b.c", "y") == text.replace(b'"x"', b'"y"')


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (b"= broken", "/a.toml"),
        (b"{", "/a.json"),
        (b"[1]", "/a.json"),
        (b"\xff", "/a.toml"),
        (b"a: 1", "/a.xml"),
        (b"a: [", "/a.yaml"),
    ],
)
def test_what_can_not_be_edited_is_named(content: bytes, path: str) -> None:
    with pytest.raises(DocumentError, match=path):
        set_key(content, path, "a", 1)


# ---- validation


@pytest.mark.parametrize(
    ("cleared", "errors", "allowed", "expected"),
    [
        (Cleared.YES, 0, 0, Reason.HEALED),
        (Cleared.UNKNOWN, 0, 0, Reason.HEALED),
        (Cleared.NO, 0, 0, Reason.NOT_CLEARED),
        (Cleared.YES, 1, 0, Reason.ERRORS_CONTINUED),
        (Cleared.YES, 3, 3, Reason.HEALED),
    ],
)
def test_a_run_has_healed_when_the_case_is_clear_and_errors_are_few(
    cleared: Cleared, errors: int, allowed: int, expected: Reason
) -> None:
    assert verdict(cleared, errors, allowed) is expected


@given(st.floats(min_value=1, max_value=86_400), st.floats(min_value=0, max_value=2e5))
def test_the_window_ends_at_its_deadline_unless_the_second_half_was_seen_too_late(
    window_s: float, seen_s: float
) -> None:
    window = Window(NOW, window_s)
    baseline_at = NOW + timedelta(seconds=seen_s)
    end = window.ends_at(baseline_at)
    assert end >= window.deadline
    assert end - baseline_at >= timedelta(seconds=window_s * 0.25) - timedelta(microseconds=1)
    if seen_s <= window_s * 0.75:
        assert abs(end - window.deadline) <= timedelta(microseconds=2)


@given(st.floats(min_value=0.1, max_value=86_400))
def test_reading_the_baseline_in_time_never_moves_the_deadline(window_s: float) -> None:
    window = Window(NOW, window_s)
    assert window.half_at <= window.baseline_at < window.deadline
    assert abs(window.ends_at(window.baseline_at) - window.deadline) <= timedelta(microseconds=2)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_errors_are_never_negative(baseline: int, now: int) -> None:
    assert errors_between(baseline, now) >= 0


# ---- endings


def test_only_a_verified_undoing_counts_as_rolled_back() -> None:
    statuses = {undoing: ending_of_failure(Reason.NOT_CLEARED, undoing, []).status for undoing in Undoing}
    assert [undoing for undoing, status in statuses.items() if status is RunStatus.ROLLED_BACK] == [Undoing.VERIFIED]
    assert all(status.is_final for status in statuses.values())


def test_backup_ids_tell_the_time() -> None:
    run = UUID("89abcdef-0000-0000-0000-000000000000")
    assert backup_id(datetime(2025, 10, 19, 17, 0, tzinfo=UTC), run) == "backup_20251019_170000_89abcdef"


def test_resolution_time_counts_from_the_incident() -> None:
    assert resolution_time_ms(NOW - timedelta(seconds=10), NOW, NOW + timedelta(seconds=5)) == 15_000
    assert resolution_time_ms(None, NOW, NOW + timedelta(seconds=5)) == 5_000


# ---- good versions


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


EARLIER = Trouble(later(-60), later(100))
"""It began before there was anything new, and ended."""


def test_the_first_version_seen_in_peace_is_good() -> None:
    assert judge(None, "a", NOW, 600, None) is Judgement.TRUST_FIRST


def test_the_first_version_seen_during_an_incident_must_prove_itself() -> None:
    assert judge(None, "a", NOW, 600, Trouble(NOW, NOW)) is Judgement.WATCH


def test_new_bytes_are_good_after_a_while_without_trouble() -> None:
    watched = Watched("b", NOW, good=False)
    assert judge(watched, "c", later(700), 600, None) is Judgement.WATCH
    assert judge(watched, "b", later(599), 600, None) is Judgement.WAIT
    assert judge(watched, "b", later(600), 600, None) is Judgement.PROMOTE
    assert judge(watched, "b", later(600), 600, EARLIER) is Judgement.WAIT
    assert judge(watched, "b", later(700), 600, EARLIER) is Judgement.PROMOTE


def test_bytes_with_which_trouble_came_are_suspect_for_long_although_it_went() -> None:
    """A process that refuses new bytes goes on with the old ones: quiet says nothing of the new."""
    watched = Watched("b", NOW, good=False)
    came_with_them = Trouble(later(-2), later(4))
    assert judge(watched, "b", later(4 + 600), 600, came_with_them) is Judgement.WAIT
    assert judge(watched, "b", later(4 + 600 * SUSPECT_FOR), 600, came_with_them) is Judgement.PROMOTE


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(1, 5_000))
def test_no_version_is_promoted_within_the_time_after_trouble(now_s: int, trouble_s: int, good_after_s: int) -> None:
    trouble = Trouble(later(-60), later(min(trouble_s, now_s)))
    verdict = judge(Watched("b", NOW, good=False), "b", later(now_s), good_after_s, trouble)
    assert verdict in {Judgement.PROMOTE, Judgement.WAIT}
    if verdict is Judgement.PROMOTE:
        assert now_s - min(trouble_s, now_s) >= good_after_s
