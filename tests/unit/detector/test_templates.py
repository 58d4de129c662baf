"""Which lines count as the same, and what the miner keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.domain.templates import WILD, Miner, MinerState, tokens

LINE = st.text(max_size=60) | st.text(alphabet="ab1 .:/=\"'<*>[]{},-_E\\@f0X", max_size=40)
WORDS = st.lists(st.sampled_from(["read", "wrote", "block", "7", "from", "alice", "x=1", "/tmp/a"]), max_size=6)
LOG = st.lists(WORDS.map(" ".join), max_size=60)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("took 12 ms", "took 3.5 s"),
        ("from 10.0.0.1:80 up", "from db-3.example.com:5432 up"),
        ("opened /var/log/a.log", "opened /etc/passwd"),
        ("asked to delete blk_1 blk_2", "asked to delete blk_3"),
        ("session 7f9c2ba4-e88f-827d-6160-455512e0ab12 over", "session deadbeef over"),
        ('{"msg":"paid","user":"alice"}', '{"msg":"paid","user":"bob"}'),
        ("level=info msg=ready user=alice", "level=info msg=ready user=bob"),
        ("status changed Thu Aug 25 15:36:05 PDT 2005", "status changed Fri Jul 1 01:02:03 PDT 2005"),
    ],
)
def test_values_of_one_place_are_alike(one: str, other: str) -> None:
    assert tokens(one) == tokens(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("read failed: Link has been severed", "read failed: Connection reset by peer"),
        ("from NEW to ASSIGNED", "from ASSIGNED to RUNNING"),
        ("link eth0 up", "link eth1 up"),
        ('msg="order placed" id=1', 'msg="order declined" id=1'),
        ("java.io.IOException: closed", "java.net.SocketException: closed"),
    ],
)
def test_what_a_programmer_wrote_stays_apart(one: str, other: str) -> None:
    miner = Miner()
    assert miner.add(one)[0].id != miner.add(other)[0].id


def test_a_place_with_many_words_becomes_a_wildcard_and_the_oldest_name_stays() -> None:
    miner = Miner()
    first = miner.add("quota of alice exceeded")[0].id
    gone = [miner.add(f"quota of {who} exceeded")[1] for who in ("bob", "carol", "dave", "erin")]
    assert [len(each) for each in gone] == [0, 0, 0, 3]
    template, _ = miner.add("quota of mallory exceeded")
    assert (template.id, template.words, template.count) == (first, ("quota", "of", WILD, "exceeded"), 6)


@given(LINE)
def test_masks_are_idempotent_on_any_text(line: str) -> None:
    masked = tokens(line)
    assert tokens(" ".join(masked)) == masked


@given(st.lists(LINE, max_size=30))
def test_the_same_line_twice_has_the_same_template(log: list[str]) -> None:
    miner = Miner()
    for line in log:
        first, _ = miner.add(line)
        again, gone = miner.add(line)
        assert (again.id, gone) == (first.id, ())


@given(LOG, LOG)
def test_a_restored_miner_goes_on_as_the_first_would(before: list[str], after: list[str]) -> None:
    miner = Miner()
    for line in before:
        miner.add(line)
    state = miner.state()
    copy = MinerState(state.next_id, state.lines, [type(each)(*_fields(each)) for each in state.templates])
    restored = Miner(copy)
    assert [_told(restored, line) for line in after] == [_told(miner, line) for line in after]


@given(st.lists(st.text(alphabet="abcdef ", min_size=1, max_size=12), max_size=120))
def test_memory_is_bounded_and_no_line_is_lost_of_count(log: list[str]) -> None:
    miner = Miner(max_templates=20)
    for line in log:
        miner.add(line)
        assert len(miner.templates) <= 20
    assert miner.state().lines == len(log)
    assert sum(each.count for each in miner.templates) <= len(log)


def _fields(template: object) -> tuple[object, ...]:
    return tuple(getattr(template, name) for name in ("id", "words", "count", "used"))


def _told(miner: Miner, line: str) -> tuple[int, tuple[int, ...]]:
    template, gone = miner.add(line)
    return template.id, gone
