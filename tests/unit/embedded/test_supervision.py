"""The pure parts of supervision: when to restart, how an end is told, how logs stay bounded."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.embedded import RestartPolicy
from shared.embedded.postgres import quote_identifier
from shared.embedded.processes import describe_exit, log_size_bytes, log_tail, rotate_log

policies = st.builds(
    RestartPolicy,
    initial_s=st.floats(0.001, 1),
    max_s=st.floats(1, 60),
    stable_s=st.floats(1, 60),
    failed_after=st.integers(1, 20),
)


@given(policies)
def test_delays_begin_small_never_shrink_and_are_bounded(policy: RestartPolicy) -> None:
    delays = [policy.delay_s(deaths) for deaths in range(1, 60)]
    assert all(later >= earlier for earlier, later in pairwise(delays))
    assert max(delays) == policy.max_s
    if policy.failed_after > 1:
        assert delays[0] == policy.initial_s


@given(policies, st.lists(st.floats(0, 120), max_size=30))
def test_the_row_of_deaths_counts_the_runs_since_the_last_stable_one(
    policy: RestartPolicy, runs_s: list[float]
) -> None:
    deaths = 0
    for lasted_s in runs_s:
        deaths = policy.deaths_in_a_row(deaths, lasted_s)
    stable = [index for index, lasted_s in enumerate(runs_s) if lasted_s >= policy.stable_s]
    assert deaths == len(runs_s) - (stable[-1] if stable else 0)


def test_the_first_restart_is_fast_and_failure_is_declared_within_two_seconds() -> None:
    policy = RestartPolicy()
    assert policy.delay_s(1) == pytest.approx(0.05)
    assert sum(policy.delay_s(deaths) for deaths in range(1, policy.failed_after)) < 2


@pytest.mark.parametrize(
    ("returncode", "words"),
    [(0, "exit status 0"), (3, "exit status 3"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")],
)
def test_an_end_is_told_in_words(returncode: int, words: str) -> None:
    assert describe_exit(returncode) == words


def test_the_tail_of_a_log_is_that_of_the_last_run(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == ()
    log.write_text("old\n")
    start_bytes = log_size_bytes(log)
    with log.open("a") as file:
        file.write("".join(f"line {i}\n" for i in range(100)))
    assert log_tail(log, start_bytes)[-1] == "line 99"
    assert len(log_tail(log, start_bytes)) == 12
    log.write_text("rotated\n" * 2)
    assert log_tail(log, start_bytes + 50) == ("rotated", "rotated")


def test_a_log_is_rotated_under_its_open_writer(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        rotate_log(log, max_bytes=100)
        assert log.stat().st_size == 100
        writer.write(b"y")
        rotate_log(log, max_bytes=100)
        writer.write(b"after")
    assert log.read_bytes() == b"after"
    assert (tmp_path / "log.1").stat().st_size == 101


def test_identifiers_are_quoted_and_bounded() -> None:
    assert quote_identifier('we"ird') == '"we""ird"'
    for bad in ("", "x" * 64, "a\x00b"):
        with pytest.raises(ValueError, match="1 to 63 bytes"):
            quote_identifier(bad)
