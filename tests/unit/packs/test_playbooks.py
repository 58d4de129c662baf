"""Playbooks: typed parameters stand wherever they are meant to, ladders end, permissions are counted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.packs.load import parse_pack
from shared.packs.parameters import Parameter, ParameterError
from shared.packs.playbook import Playbook, Retry
from shared.packs.problems import PackError

PARAMETERS = {
    "factor": {"type": "number", "default": 1.5, "min": 1.1, "max": 3},
    "most": {"type": "integer", "default": 5},
    "why": {"type": "text", "default": "too many requests"},
    "where": {"type": "text", "choices": ["eu", "us"], "default": "eu"},
}
SLOWER = {
    "for": ["rate-limit"],
    "parameters": PARAMETERS,
    "steps": [
        {
            "config.step": {
                "path": "/etc/${param.where}.toml",
                "key": "delay",
                "multiply": "${param.factor}",
                "min": 0,
                "max": "${param.most}",
            },
            "timeout_s": "${param.most}",
        },
        {
            "http.call": {"url": "http://localhost/", "body": {"why": "${param.why}", "n": "${param.most}"}},
            "rollback": {"http.call": {"url": "http://localhost/", "body": {"n": "-${param.most}"}}},
        },
    ],
}
PACK = """\
pack: test
components: {web: {config_path: /etc/web.toml}}
playbooks:
"""


def findings(playbooks: str) -> list[str]:
    with pytest.raises(PackError) as caught:
        parse_pack(PACK + playbooks)
    return [problem.message for problem in caught.value.problems]


def test_a_parameter_may_stand_for_a_number_and_reads_as_it_was_written() -> None:
    playbook = Playbook.model_validate(SLOWER)
    written = playbook.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert written["steps"][0]["config.step"]["multiply"] == "${param.factor}"
    assert written["steps"][0]["timeout_s"] == "${param.most}"
    assert written["steps"][1]["rollback"]["http.call"]["body"] == {"n": "-${param.most}"}
    assert Playbook.model_validate(written) == playbook
    assert Playbook.model_validate_json(playbook.model_dump_json(by_alias=True)) == playbook


@given(st.one_of(st.integers(-10, 10), st.floats(-10, 10), st.text(max_size=5), st.booleans()))
@settings(deadline=None)
def test_a_value_is_taken_only_within_type_and_bounds(value: str | int | float | bool) -> None:
    number = Parameter.model_validate({"type": "number", "min": -2, "max": 7})
    fits = isinstance(value, int | float) and not isinstance(value, bool) and -2 <= value <= 7
    assert (number.refusal(value) == "") == fits


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"factor": 9}, "above max 3"),
        ({"factor": "fast"}, "not of type number"),
        ({"most": 1.5}, "not of type integer"),
        ({"where": "mars"}, "not one of eu, us"),
        ({"speed": 1}, "no parameter 'speed'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_reason(given: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        Playbook.model_validate(SLOWER).given(given)  # type: ignore[arg-type]


def test_a_given_value_becomes_the_parameter_s_and_a_missing_one_is_an_error() -> None:
    playbook = Playbook.model_validate(SLOWER).given({"factor": 2})
    assert playbook.parameters["factor"].default == 2
    needy = Playbook.model_validate({**SLOWER, "parameters": {**PARAMETERS, "factor": {"type": "number"}}})
    with pytest.raises(ParameterError, match="'factor' has no default"):
        needy.given({})


def test_a_default_out_of_bounds_is_no_default() -> None:
    with pytest.raises(ValidationError, match="below min 2"):
        Parameter.model_validate({"type": "integer", "default": 1, "min": 2})


def test_an_unknown_parameter_and_a_free_text_that_chooses_a_file_are_found() -> None:
    found = findings(
        "  a: {for: [hang], parameters: {file: {}}, steps: [{file.set: {path: '${param.file}', key: k, value: 1}}]}\n"
        "  b: {for: [hang], steps: [{file.set: {path: /a.toml, key: k, value: '${param.size}'}}]}\n"
    )
    assert any("`file` may be any text" in one for one in found)
    assert any("no parameter `size`" in one for one in found)


def test_a_ladder_that_leads_back_to_itself_is_found_once() -> None:
    step = "steps: [{http.call: {url: 'http://localhost/'}}]"
    ladder = "".join(
        f"  {name}: {{for: [hang], {step}, then: {then}}}\n" for name, then in (("a", "b"), ("b", "c"), ("c", "b"))
    )
    assert findings(ladder) == ["the ladder goes round in a circle: b → c → b"]
    ends = ladder[: ladder.rindex("then: b")] + "then: page-a-human}\n"
    assert parse_pack(PACK + ends).playbooks["a"].then == "b"


def test_conditions_that_are_no_cel_are_found() -> None:
    step = "steps: [{http.call: {url: 'http://localhost/'}}]"
    found = findings(f"  a: {{for: [hang], {step}, preconditions: [{{name: idle, that: 'runs.count =='}}]}}\n")
    assert found[0].startswith("not a CEL expression")


def test_pauses_between_attempts_double_and_have_an_end() -> None:
    assert [Retry(attempts=9, backoff_s=100).pause_s(failed) for failed in (1, 2, 3, 4, 9)] == [100, 200, 400, 600, 600]


def test_permissions_that_are_lacking_are_named() -> None:
    playbook = Playbook.model_validate({**SLOWER, "required_permissions": ["network", "money"]})
    assert playbook.lacks(("network",)) == ("money",)
    assert playbook.lacks(("*",)) == ()


def test_a_step_s_rollback_is_one_action_and_never_a_file() -> None:
    step = {"process.restart": {}, "rollback": {"file.set": {"path": "/a", "key": "k", "value": 1}}}
    with pytest.raises(ValidationError, match="put back from their backup"):
        Playbook.model_validate({"for": ["hang"], "steps": [step]})
