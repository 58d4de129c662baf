"""The subset of PromQL: what is read, and what is refused with its reason."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.packs.promql import Aggregate, Binary, Call, Number, PromqlError, Selector, parse, seconds, selectors


def test_signs_bind_as_in_prometheus() -> None:
    tree = parse("a + b * 2 > 3 and c")
    assert isinstance(tree, Binary)
    assert tree.sign == "and"
    assert isinstance(tree.left, Binary)
    assert tree.left.sign == ">"
    assert isinstance(tree.left.left, Binary)
    assert tree.left.left.sign == "+"
    power = parse("2 ^ 3 ^ 2")
    assert isinstance(power, Binary)
    assert power.left == Number(2.0)


@pytest.mark.parametrize("text", ["sum by (job) (rate(x[5m]))", "sum(rate(x[5m])) by (job)"])
def test_a_grouping_may_stand_before_or_after(text: str) -> None:
    assert parse(text) == Aggregate("sum", Call("rate", (Selector("x", (), 300.0),)), ("job",))


def test_matching_of_series_is_kept() -> None:
    tree = parse("a / on(job) group_left(team) b")
    assert isinstance(tree, Binary)
    assert (tree.on, tree.many) == (("job",), "left")
    tree = parse('a{mode!="idle",cpu=~"[0-3]"} > bool ignoring(cpu) 5m')
    assert isinstance(tree, Binary)
    assert tree.as_bool
    assert tree.right == Number(300.0)
    chosen = selectors(tree)[0]
    assert chosen.matches({"mode": "user", "cpu": "2"})
    assert not chosen.matches({"mode": "idle", "cpu": "2"})
    assert not chosen.matches({"mode": "user", "cpu": "12"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate(x)", "needs a selector with a range"),
        ("x[5m] > 1", "outside a function"),
        ("max_over_time(rate(x[1m])[1h:1m])", "subqueries"),
        ("rate(x[5m:1m])", "subqueries"),
        ("rate(x[5m] offset 1h)", "range with an offset"),
        ("x offset -5m", "negative"),
        ('{job="a"}', "without a metric's name"),
        ("absent(x)", "expects"),
        ('label_replace(x, "a", "b", "c", "d")', "label_replace"),
        ("x >", "the end"),
        ("x ) y", "not expected"),
        ("?", "is not PromQL"),
        ('x{a=~"("}', "no regular expression"),
        ("(" * 60 + "x" + ")" * 60, "deeply"),
        ("x" * 5_000, "longer than"),
    ],
)
def test_what_is_beyond_the_subset_is_named(text: str, said: str) -> None:
    with pytest.raises(PromqlError, match=said):
        parse(text)


def test_comments_and_lines_are_passed_over() -> None:
    assert parse("x # all of them\n  > 1 # more than one") == parse("x > 1")


@given(st.text(alphabet='ax(){}[]<>=!~+-*/^%,:"5mhdoffset by', max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(PromqlError):
        parse(text)


def test_durations() -> None:
    assert seconds("1d12h") == 129_600
    with pytest.raises(PromqlError, match="no duration"):
        seconds("5 minutes")
