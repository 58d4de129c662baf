"""Conditions in packs (`when`, `guard`): evaluated without side effects, within bounds, and without ever raising.

The language is CEL. A condition that names something unknown, or compares what cannot be compared, does not hold;
`Held.error` says why, so that an explanation can show the author what to mend.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import cel

MAX_LENGTH = 2_000
MAX_COMPREHENSIONS = 2
"""Nested comprehensions are the only way for an expression to take long: two over literal lists take milliseconds."""
_COMPREHENSION = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")


class ExpressionError(ValueError):
    """The text is no condition that may be evaluated; the message says why."""


@dataclass(frozen=True)
class Held:
    """Whether a condition holds. `error` is empty unless it could not be evaluated, which counts as not holding."""

    holds: bool
    error: str = ""

    def __bool__(self) -> bool:
        return self.holds


@lru_cache(maxsize=1_024)
def compile_condition(source: str) -> cel.Program:
    """The compiled condition.

    Raises:
        ExpressionError: not CEL, too long, or with more comprehensions than are allowed.
    """
    if len(source) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(source)} characters; at most {MAX_LENGTH} are allowed")
    if len(_COMPREHENSION.findall(source)) > MAX_COMPREHENSIONS:
        raise ExpressionError(f"the expression has more than {MAX_COMPREHENSIONS} comprehensions (all, exists, map, …)")
    try:
        return cel.compile(source)
    except ValueError as error:
        raise ExpressionError(f"not a CEL expression: {error}") from error


def condition_holds(source: str, context: Mapping[str, object]) -> Held:
    """Evaluates `source` with the variables of `context`: plain dicts, lists, strings, numbers and booleans."""
    try:
        value = compile_condition(source).execute(dict(context))
    except ExpressionError as error:
        return Held(False, str(error))
    except KeyError as error:
        return Held(False, f"no such field: {error}")
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        return Held(False, str(error).splitlines()[0][:200])
    if isinstance(value, bool):
        return Held(value)
    return Held(False, f"gives {type(value).__name__}, not true or false")
