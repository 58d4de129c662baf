"""Conditions in packs hold, do not hold, or cannot be told: they never raise and never take long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.packs.expressions import ExpressionError, compile_condition, condition_holds

CONTEXT = {"change": {"kind": "config", "age_s": 12.0}, "errors": {"ratio": 0.4}}


def test_a_condition_reads_numbers_and_words() -> None:
    assert condition_holds("change.kind == 'config' && change.age_s < 600 && errors.ratio > 0.2", CONTEXT)
    assert not condition_holds("change.kind == 'deployment'", CONTEXT)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nobody.knows == 1", "nobody"),
        ("change.colour == 'red'", "colour"),
        ("change.kind > 3", "overload"),
        ("change.age_s", "not true or false"),
        ("1 / 0 == 1", "division"),
        ("change ++ 1", "not a CEL expression"),
    ],
)
def test_what_cannot_be_evaluated_does_not_hold_and_says_why(source: str, words: str) -> None:
    held = condition_holds(source, CONTEXT)
    assert not held
    assert words in held.error


def test_an_expression_that_would_take_long_is_refused() -> None:
    digits = "[0,1,2,3,4,5,6,7,8,9]"
    bomb = "a"
    for name in "abcdefgh":
        bomb = f"{digits}.map({name}, {bomb})"
    with pytest.raises(ExpressionError, match="comprehensions"):
        compile_condition(bomb)
    numbers = "[" + ",".join(["1"] * 400) + "]"
    started = time.perf_counter()
    condition_holds(f"{numbers}.all(a, {numbers}.all(b, a == b))", {})
    assert time.perf_counter() - started < 2.0


@given(st.text(max_size=60))
def test_no_text_makes_it_raise(source: str) -> None:
    condition_holds(source, CONTEXT)
