"""Rules that are expressions: evaluates the tree of `shared.packs.promql` over one component's series."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Protocol

from services.detector.domain.signals import Fact, Finding, Method, Severity
from services.detector.domain.thresholds import fill
from shared.packs import promql
from shared.packs.model import Rule
from shared.packs.promql import Aggregate, Binary, Call, Negative, Node, Number, Selector

MAX_ELEMENTS = 1_000
"""Elements that one step of an evaluation may have; more are left out."""
MAX_FOUND = 20
"""Troubles that one rule may tell of one component at a time."""

type Element = tuple[dict[str, str], float]
type Value = float | list[Element]


@dataclass(frozen=True)
class Expression:
    """One rule with an expression: every element of its result is a trouble."""

    id: str
    text: str
    severity: Severity
    for_s: float = 0.0
    summary: str = ""

    @cached_property
    def tree(self) -> Node:
        return promql.parse(self.text)

    @cached_property
    def selectors(self) -> tuple[Selector, ...]:
        return tuple(promql.selectors(self.tree))


def expression_of(rule: Rule) -> Expression:
    assert rule.expr is not None
    name = rule.id or "expression"
    return Expression(name, rule.expr, Severity(rule.severity.value), rule.for_s, rule.summary)


class Source(Protocol):
    """Where an evaluation reads from."""

    def instant(self, selector: Selector) -> Sequence[tuple[Mapping[str, str], float, float]]:
        """(labels, value, read at) of the series a selector means."""

    def over(self, selector: Selector, function: str, ahead_s: float) -> Sequence[tuple[Mapping[str, str], float]]:
        """(labels, result) of a function over the selector's range."""


def evaluate(node: Node, source: Source, now: float) -> Value:
    """Elements without names, as PromQL would give them, or a number."""
    match node:
        case Number():
            return node.value
        case Selector():
            return [(dict(labels), value) for labels, value, _ in source.instant(node)][:MAX_ELEMENTS]
        case Negative():
            return _each(evaluate(node.of, source, now), lambda value: -value)
        case Call():
            return _call(node, source, now)
        case Aggregate():
            return _aggregate(node, source, now)
        case Binary():
            return _binary(node, evaluate(node.left, source, now), evaluate(node.right, source, now))


def _each(value: Value, change: Callable[[float], float]) -> Value:
    if not isinstance(value, list):
        return change(value)
    return [(labels, change(one)) for labels, one in value]


def _safely(function: Callable[[float], float]) -> Callable[[float], float]:
    def safe(value: float) -> float:
        try:
            return function(value)
        except (ValueError, OverflowError):
            return math.nan

    return safe


_MATHS: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": lambda x: float(math.ceil(x)),
    "floor": lambda x: float(math.floor(x)),
    "sqrt": math.sqrt,
    "exp": math.exp,
    "ln": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sgn": lambda x: float((x > 0) - (x < 0)),
}


def _call(node: Call, source: Source, now: float) -> Value:
    name = node.function
    if name in promql.RANGE_FUNCTIONS:
        ranged = node.arguments[0]
        assert isinstance(ranged, Selector)
        ahead_s = _scalar(evaluate(node.arguments[1], source, now)) if len(node.arguments) > 1 else 0.0
        return [(dict(labels), value) for labels, value in source.over(ranged, name, ahead_s)][:MAX_ELEMENTS]
    if name == "timestamp" and isinstance(node.arguments[0], Selector):
        return [(dict(labels), at) for labels, _, at in source.instant(node.arguments[0])]
    given = [evaluate(argument, source, now) for argument in node.arguments]
    if name in _MATHS:
        return _each(given[0], _safely(_MATHS[name]))
    match name:
        case "time":
            return now
        case "scalar":
            return _scalar(given[0])
        case "vector":
            return [({}, _scalar(given[0]))]
        case "histogram_quantile":
            return _quantiles(_scalar(given[0]), given[1])
        case "round":
            step = _scalar(given[1]) if len(given) > 1 else 1.0
            return _each(given[0], _safely(lambda x: math.floor(x / step + 0.5) * step))
        case "clamp" | "clamp_min" | "clamp_max":
            low = -math.inf if name == "clamp_max" else _scalar(given[1])
            high = math.inf if name == "clamp_min" else _scalar(given[-1])
            return _each(given[0], lambda x: max(low, min(high, x)))
    return _each(given[0] if given else now, lambda x: _calendar(name, x))


def _calendar(name: str, at: float) -> float:
    if name == "minute":
        return at // 60 % 60
    return at // 3_600 % 24 if name == "hour" else (at // 86_400 + 4) % 7


def _scalar(value: Value) -> float:
    if not isinstance(value, list):
        return value
    return value[0][1] if len(value) == 1 else math.nan


def _quantiles(q: float, buckets: Value) -> Value:
    """Linear between the bounds of the bucket in which the quantile lies."""
    groups: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for labels, count in buckets if isinstance(buckets, list) else []:
        try:
            bound = float(labels.get("le", "nan"))
        except ValueError:
            continue
        rest = tuple(sorted((name, value) for name, value in labels.items() if name != "le"))
        if not math.isnan(bound):
            groups.setdefault(rest, []).append((bound, count))
    found: list[Element] = []
    for rest, bounds in groups.items():
        bounds.sort()
        total = bounds[-1][1]
        if bounds[-1][0] == math.inf and total > 0:
            found.append((dict(rest), _quantile(q, total, bounds)))
    return found


def _quantile(q: float, total: float, bounds: list[tuple[float, float]]) -> float:
    below, low = 0.0, 0.0
    for bound, count in bounds:
        if count >= q * total:
            if bound == math.inf:
                return low
            inside = count - below
            return bound if inside <= 0 else low + (bound - low) * (q * total - below) / inside
        below, low = count, bound
    return low


# ---- aggregations


def _aggregate(node: Aggregate, source: Source, now: float) -> Value:
    value = evaluate(node.of, source, now)
    elements = [({}, value)] if not isinstance(value, list) else value
    parameter = _scalar(evaluate(node.parameter, source, now)) if node.parameter else 0.0

    def key(element: Element) -> tuple[tuple[str, str], ...]:
        chosen = {name: v for name, v in element[0].items() if (name in node.labels) is not node.without}
        return tuple(sorted(chosen.items()))

    found: list[Element] = []
    for labels, members in groupby(sorted(elements, key=key), key):
        of_group = list(members)
        if node.operation in ("topk", "bottomk"):
            best = sorted(of_group, key=lambda element: element[1], reverse=node.operation == "topk")
            found += best[: int(parameter) if parameter > 0 else 0]
        else:
            found.append((dict(labels), _of_group(node.operation, [each for _, each in of_group], parameter)))
    return found


def _of_group(operation: str, values: list[float], parameter: float) -> float:
    mean = sum(values) / len(values)
    match operation:
        case "sum":
            return sum(values)
        case "avg":
            return mean
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "count":
            return float(len(values))
        case "stddev":
            return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        case "quantile":
            ordered = sorted(values)
            return ordered[min(len(ordered) - 1, max(0, round(parameter * (len(ordered) - 1))))]
    return 1.0  # group


# ---- signs


def _binary(node: Binary, left: Value, right: Value) -> Value:
    if not isinstance(left, list) and not isinstance(right, list):
        return _apply(node.sign, left, right)
    if node.sign in promql.SETS:
        return _set(node, _vector(left), _vector(right))
    if not isinstance(left, list) or not isinstance(right, list):
        return _with_number(node, left, right)
    return _matched(node, left, right)


def _vector(value: Value) -> list[Element]:
    return [({}, value)] if not isinstance(value, list) else value


def _with_number(node: Binary, left: Value, right: Value) -> Value:
    found: list[Element] = []
    if isinstance(left, list):
        assert not isinstance(right, list)
        for labels, value in left:
            found += _result(node, labels, value, right, kept=value)
    else:
        for labels, value in _vector(right):
            found += _result(node, labels, left, value, kept=value)
    return found


def _result(node: Binary, labels: dict[str, str], a: float, b: float, kept: float) -> list[Element]:
    """A comparison keeps the value that it is about, unless it is asked for 0 and 1."""
    result = _apply(node.sign, a, b)
    if node.sign not in promql.COMPARISONS or node.as_bool:
        return [(labels, result)]
    return [(labels, kept)] if result else []


def _key(node: Binary, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if node.on is not None:
        return tuple((name, labels.get(name, "")) for name in sorted(node.on))
    return tuple(sorted((name, value) for name, value in labels.items() if name not in node.ignoring))


def _set(node: Binary, left: list[Element], right: list[Element]) -> list[Element]:
    if node.sign == "or":
        there = {_key(node, labels) for labels, _ in left}
        return left + [element for element in right if _key(node, element[0]) not in there]
    wanted = {_key(node, labels) for labels, _ in right}
    return [element for element in left if (_key(node, element[0]) in wanted) is (node.sign == "and")]


def _matched(node: Binary, left: list[Element], right: list[Element]) -> list[Element]:
    """One to one, or many to one; what has no partner falls out."""
    many, one = (right, left) if node.many == "right" else (left, right)
    partners = {_key(node, labels): value for labels, value in one}
    found: list[Element] = []
    for labels, value in many:
        partner = partners.get(_key(node, labels))
        if partner is not None:
            a, b = (partner, value) if node.many == "right" else (value, partner)
            kept = labels if node.many else dict(_key(node, labels))
            found += _result(node, kept, a, b, kept=a)
    return found


def _apply(sign: str, a: float, b: float) -> float:
    match sign:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/":
            return a / b if b else (math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a))
        case "%":
            return math.fmod(a, b) if b else math.nan
        case "^":
            return _safely(lambda x: float(x**b))(a)
    compared = {"==": a == b, "!=": a != b, ">": a > b, "<": a < b, ">=": a >= b, "<=": a <= b}
    return float(compared[sign])


# ---- what came of it


def troubles(expression: Expression, source: Source, now: float) -> list[Element]:
    """What the rule finds: never a number that is none."""
    value = evaluate(expression.tree, source, now)
    elements = [({}, value)] if not isinstance(value, list) and value else value
    if not isinstance(elements, list):
        return []
    return sorted(
        ((labels, one) for labels, one in elements if not math.isnan(one)), key=lambda each: sorted(each[0].items())
    )[:MAX_FOUND]


def subject(expression: Expression, labels: Mapping[str, str]) -> str:
    named = ",".join(f'{name}="{labels[name]}"' for name in sorted(labels))
    return f"{expression.id}{{{named}}}" if named else expression.id


def finding(
    component: str, expression: Expression, labels: Mapping[str, str], value: float, since: float, at: float
) -> Finding:
    held = f" for {expression.for_s:g} s" if expression.for_s else ""
    what = subject(expression, labels)
    shown = fill(expression.summary, labels, value) or f"{what}: {expression.text}"
    return Finding(
        component=component,
        method=Method.THRESHOLD,
        subject=f"expr:{what}",
        pattern=expression.id,
        severity=expression.severity,
        summary=f"{component}: {shown[:300]} (now {value:.6g}{held})",
        at=at,
        fact=Fact(what, value, at, component, f"not: {expression.text[:200]}"),
        labels={"rule": expression.id, **labels},
        since=since,
    )
