"""config.step: one bounded step of one number, the rest of the file byte for byte, and a repetition goes no further."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.healer.clients.base import ActuatorError, Context
from services.healer.clients.file_actuators import StepKey
from services.healer.domain.documents import DocumentError, get_key, set_key
from services.healer.domain.stepping import StepError, stepped
from shared.packs.actions.files import ConfigStep
from shared.packs.playbook import Playbook, Step

YAML = b"# by hand\njobs:\n  delay_s: 0.8   # politeness\n  batch: 50\n  name: 'a: b'\nother: {x: [1, 2], y: ~}\n"
INI = b"; by hand\n[jobs]\ndelay_s = 0.8\nBatch: 50\nname = x = y\n\n[jobs.slow]\ndelay_s=3\n"
TOML = b"# by hand\n[jobs]\ndelay_s = 0.8 # politeness\nbatch = 50\n"
JSON = b'{\n  "jobs": {\n    "delay_s": 0.8,\n    "batch": 50\n  }\n}\n'
KINDS = [("yaml", YAML), ("yml", YAML), ("ini", INI), ("cfg", INI), ("toml", TOML), ("json", JSON)]


def _step(low: float, high: float, **move: float) -> ConfigStep:
    return ConfigStep.model_validate({"path": "/a.toml", "key": "k", "min": low, "max": high, **move})


numbers = st.one_of(st.integers(-1000, 1000), st.floats(-1000, 1000).map(lambda value: round(value, 3)))
moves = st.one_of(
    st.builds(lambda by: {"multiply": by}, st.sampled_from([0.1, 0.5, 0.9, 1.5, 2.0])),
    st.builds(lambda by: {"add": by}, st.sampled_from([-50.0, -1.0, -0.1, 0.1, 1.0, 50.0])),
)


@given(numbers, moves, st.integers(-100, 100), st.integers(1, 200))
def test_a_step_ends_within_its_bounds_moves_and_keeps_the_kind_of_number(
    old: int | float, move: dict[str, float], low: int, span: int
) -> None:
    step = _step(low, low + span, **move)
    try:
        new = stepped(old, step)
    except StepError:
        return
    assert low <= new <= low + span
    assert new != old
    assert type(new) is type(old)


@pytest.mark.parametrize(
    ("old", "move", "new"),
    [
        (0.8, {"multiply": 1.5}, 1.2),
        (4.0, {"multiply": 1.5}, 5.0),
        (0.1, {"add": 0.2}, 0.3),
        (50, {"multiply": 0.5}, 25),
        (1, {"multiply": 1.2}, 2),
    ],
)
def test_steps_as_a_person_would_reckon_them(old: float, move: dict[str, float], new: float) -> None:
    assert stepped(old, _step(0.1, 50, **move) if isinstance(old, int) else _step(0.1, 5, **move)) == new


@pytest.mark.parametrize("old", [5.0, 7.0, float("nan"), True, "fast", 0.0])
def test_what_can_not_move_is_refused(old: float | str | bool) -> None:
    with pytest.raises(StepError, match="is "):
        stepped(old, _step(0.1, 5, multiply=1.5))


@pytest.mark.parametrize(
    "wrong", [{}, {"multiply": 2, "add": 1}, {"multiply": 1}, {"add": 0}, {"multiply": -1}, {"add": 1, "min": 9}]
)
def test_a_step_that_means_nothing_is_no_step(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ConfigStep.model_validate({"path": "/a", "key": "k", "min": 0, "max": 9, **wrong})


@pytest.mark.parametrize(("suffix", "content"), KINDS)
async def test_a_step_changes_its_characters_only_and_a_repetition_nothing(
    context: Context, tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"jobs.{suffix}"
    path.write_bytes(content)
    path.chmod(0o640)
    step = StepKey(context, ConfigStep(path=str(path), key="jobs.delay_s", multiply=1.5, min=0.1, max=5))
    seen = await step.observe()
    assert "from 0.8 to 1.2" in step.describe(seen)
    assert (await step.apply(seen)).changed
    assert path.read_bytes() == content.replace(b"0.8", b"1.2")
    assert path.stat().st_mode & 0o777 == 0o640
    assert not (await step.apply(seen)).changed
    assert path.read_bytes() == content.replace(b"0.8", b"1.2")


async def test_at_its_bound_the_plan_fails_and_names_the_key(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "jobs.ini"
    path.write_bytes(INI)
    with pytest.raises(ActuatorError, match=r"jobs\.slow\.delay_s .* at its bound"):
        await StepKey(context, ConfigStep(path=str(path), key="jobs.slow.delay_s", add=1, min=0, max=3)).observe()
    assert path.read_bytes() == INI


async def test_over_somebody_elses_change_no_step_is_taken(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_bytes(YAML)
    step = StepKey(context, ConfigStep(path=str(path), key="jobs.batch", multiply=0.5, min=1, max=100))
    seen = await step.observe()
    path.write_bytes(YAML.replace(b"50", b"10"))
    with pytest.raises(ActuatorError, match="changed by somebody else"):
        await step.apply(seen)
    assert b"batch: 10" in path.read_bytes()


@pytest.mark.parametrize(
    ("content", "path", "key"),
    [
        (b"a: &x 1\nb: *x\n", "/a.yaml", "a"),
        (b"a: &x 1\nb: *x\n", "/a.yaml", "b"),
        (b"a: 1\na: 2\n", "/a.yaml", "a"),
        (b"a: |\n  text\n", "/a.yaml", "a"),
        (b"a: [1]\n", "/a.yaml", "a"),
        (b"a:\n", "/a.yaml", "a"),
        (b"a: 1\n", "/a.yaml", "a.b"),
        (b"[a]\nb = 1\n  2\n", "/a.ini", "a.b"),
        (b"[a]\nb = 1\nb = 2\n", "/a.ini", "a.b"),
        (b"b = 1\n", "/a.ini", "b"),
        (b"[a]\nb = 1\n", "/a.ini", "a.c"),
    ],
)
def test_a_value_that_does_not_stand_alone_is_refused(content: bytes, path: str, key: str) -> None:
    with pytest.raises(DocumentError, match=path):
        set_key(content, path, key, 7)


plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)


@given(st.one_of(plain, st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_whatever_is_set_in_yaml_reads_back(value: str | int | float | bool) -> None:
    edited = set_key(YAML, "/a.yaml", "jobs.batch", value)
    assert get_key(edited, "/a.yaml", "jobs.batch") == value
    assert get_key(edited, "/a.yaml", "jobs.name") == "a: b"


def test_a_playbook_of_steps_can_be_undone_whole() -> None:
    step = {"config.step": {"path": "/a.toml", "key": "k", "multiply": 2, "min": 1, "max": 9}}
    playbook = Playbook.model_validate({"for": ["timeout"], "steps": [step]})
    assert playbook.reversible
    assert Step.model_validate(step).actuator == "config.step"
