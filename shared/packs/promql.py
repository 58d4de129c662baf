"""A subset of PromQL as a tree: what rules may say about a component's series, and what can be imported.

Left out, with an error that says so: subqueries, `@`, negative offsets, and functions that `FUNCTIONS` doesn't name.
Grammar and precedence: prometheus.io/docs/prometheus/latest/querying.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

MAX_CHARS = 4_000
MAX_DEPTH = 40


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


RANGE_FUNCTIONS = _names(
    "rate irate increase delta idelta deriv predict_linear changes resets avg_over_time sum_over_time min_over_time "
    "max_over_time count_over_time last_over_time stddev_over_time present_over_time"
)
FUNCTIONS = RANGE_FUNCTIONS | _names(
    "abs ceil floor round sqrt exp ln log2 log10 sgn clamp clamp_min clamp_max time timestamp scalar vector "
    "histogram_quantile minute hour day_of_week"
)
ABSENCES = frozenset({"absent", "absent_over_time"})
"""Parsed for whoever translates them; what isn't there can't be evaluated."""
AGGREGATIONS = _names("sum avg min max count group stddev topk bottomk quantile")
WITH_PARAMETER = frozenset({"topk", "bottomk", "quantile"})
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SETS = frozenset({"and", "or", "unless"})
_PRECEDENCE = ({"or"}, {"and", "unless"}, COMPARISONS, {"+", "-"}, {"*", "/", "%"}, {"^"})
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}
_TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*(?:\n|\Z)\s*)*(?:
      (?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![\w.]))
    | (?P<number>0x[0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<sign>==|!=|>=|<=|=~|!~|[-+*/%^(){}\[\],=<>:@])
    )""",
    re.VERBOSE,
)


class PromqlError(ValueError):
    """Not an expression, or one beyond the subset; says which part."""


# ---- the tree


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Matcher:
    label: str
    sign: str
    value: str


@dataclass(frozen=True)
class Selector:
    """`name{label="value"}[range] offset …`; `range_s` 0: the newest value."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    range_s: float = 0.0
    offset_s: float = 0.0

    @cached_property
    def _tests(self) -> tuple[tuple[str, re.Pattern[str], bool], ...]:
        return tuple(
            (m.label, re.compile(m.value if "~" in m.sign else re.escape(m.value)), not m.sign.startswith("!"))
            for m in self.matchers
        )

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether a series of this name is meant."""
        return all(bool(p.fullmatch(labels.get(label, ""))) is wanted for label, p, wanted in self._tests)


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    operation: str
    of: Node
    labels: tuple[str, ...] = ()
    without: bool = False
    parameter: Node | None = None


@dataclass(frozen=True, slots=True)
class Binary:
    """`on`: None matches by all labels but `ignoring`; `many`: the side of which several may match one."""

    sign: str
    left: Node
    right: Node
    as_bool: bool = False
    on: tuple[str, ...] | None = None
    ignoring: tuple[str, ...] = ()
    many: str = ""


@dataclass(frozen=True, slots=True)
class Negative:
    of: Node


type Node = Number | Selector | Call | Aggregate | Binary | Negative


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    match node:
        case Call():
            children: tuple[Node, ...] = node.arguments
        case Aggregate():
            children = (node.of, *((node.parameter,) if node.parameter else ()))
        case Binary():
            children = (node.left, node.right)
        case Negative():
            children = (node.of,)
        case _:
            children = ()
    for child in children:
        yield from walk(child)


def selectors(node: Node) -> list[Selector]:
    """The selectors of an expression, each once."""
    return list(dict.fromkeys(found for found in walk(node) if isinstance(found, Selector)))


def seconds(duration: str) -> float:
    """
    >>> seconds("1h30m"), seconds("500ms")
    (5400.0, 0.5)
    """
    parts = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    if not parts or "".join(n + u for n, u in parts) != duration:
        raise PromqlError(f"{duration!r} is no duration: write it as 30s, 5m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


@lru_cache(maxsize=4_096)
def parse(text: str, absences: bool = False) -> Node:
    """The tree of an expression. `absences`: with `absent()`, which can't be evaluated.

    >>> parse('rate(errors_total{code=~"5.."}[5m]) > 1').sign
    '>'

    Raises:
        PromqlError: not PromQL, or beyond the subset.
    """
    if len(text) > MAX_CHARS:
        raise PromqlError(f"longer than {MAX_CHARS} characters")
    parser = _Parser(list(_tokens(text)))
    node = parser.binary(0)
    if parser.peek()[0] != "end":
        raise PromqlError(f"{parser.peek()[1]!r} is not expected here")
    _check(node)
    absent = next((each.function for each in walk(node) if isinstance(each, Call) and each.function in ABSENCES), None)
    if absent and not absences:
        raise PromqlError(f"{absent}() is not an expression here: say it in `expects`")
    return node


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    text, at = text.rstrip(), 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            rest = text[at:].strip()
            if not rest or (rest.startswith("#") and "\n" not in rest):
                return
            raise PromqlError(f"{rest[:20]!r} is not PromQL")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def _check(node: Node) -> None:
    """Ranges stand where functions want them, and nowhere else."""
    match node:
        case Selector() if node.range_s:
            raise PromqlError(f"the range of {node.name} stands outside a function over ranges")
        case Call() if node.function in RANGE_FUNCTIONS or node.function == "absent_over_time":
            first = node.arguments[0] if node.arguments else None
            if not isinstance(first, Selector) or not first.range_s:
                raise PromqlError(f"{node.function}() needs a selector with a range, such as x[5m]")
            children: tuple[Node, ...] = node.arguments[1:]
        case Call():
            children = node.arguments
        case Aggregate():
            children = (node.of, *((node.parameter,) if node.parameter else ()))
        case Binary():
            children = (node.left, node.right)
        case Negative():
            children = (node.of,)
        case _:
            children = ()
    for child in children:
        _check(child)


class _Parser:
    """Recursive descent by precedence."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "the end")

    def take(self, wanted: str | None = None) -> str:
        kind, word = self.peek()
        if kind == "end" or (wanted is not None and word != wanted):
            raise PromqlError(f"{word!r} stands where {wanted or 'more'!r} is expected")
        self._at += 1
        return word

    def binary(self, level: int) -> Node:
        if level == len(_PRECEDENCE):
            return self._unary()
        left = self.binary(level + 1)
        while self.peek()[1].lower() in _PRECEDENCE[level] and self.peek()[0] in ("word", "sign"):
            sign = self.take().lower()
            as_bool = self._word("bool")
            on, ignoring, many = self._matching()
            # `^` is the only sign that binds to the right.
            right = self.binary(level) if sign == "^" else self.binary(level + 1)
            left = Binary(sign, left, right, as_bool, on, ignoring, many)
        return left

    def _matching(self) -> tuple[tuple[str, ...] | None, tuple[str, ...], str]:
        on: tuple[str, ...] | None = None
        ignoring: tuple[str, ...] = ()
        many = ""
        if self._word("on"):
            on = self._names()
        elif self._word("ignoring"):
            ignoring = self._names()
        for side in ("left", "right"):
            if self._word(f"group_{side}"):
                many = side
                if self.peek()[1] == "(":
                    self._names()  # labels taken over from the one side tell nothing that a threshold needs
        return on, ignoring, many

    def _word(self, wanted: str) -> bool:
        found = self.peek()[0] == "word" and self.peek()[1].lower() == wanted
        self._at += found
        return found

    def _names(self) -> tuple[str, ...]:
        self.take("(")
        names: list[str] = []
        while self.peek()[1] != ")":
            names.append(self.take())
            if self.peek()[1] == ",":
                self.take()
        self.take(")")
        return tuple(names)

    def _unary(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PromqlError("nested too deeply")
        try:
            if self.peek()[1] in ("-", "+") and self.peek()[0] == "sign":
                negative = self.take() == "-"
                inner = self.binary(len(_PRECEDENCE) - 1)
                return Negative(inner) if negative else inner
            return self._suffixed(self._primary())
        finally:
            self._depth -= 1

    def _primary(self) -> Node:
        kind, word = self.peek()
        if kind == "number":
            return Number(float(int(self.take(), 16)) if word.lower().startswith("0x") else float(self.take()))
        if kind == "duration":
            return Number(seconds(self.take()))
        if word == "(":
            self.take()
            inner = self.binary(0)
            self.take(")")
            return inner
        if word == "{":
            return self._selector("")
        if kind != "word":
            raise PromqlError(f"{word!r} is not expected here")
        self.take()
        if word.lower() in AGGREGATIONS and self.peek()[1] in ("(", "by", "without"):
            return self._aggregate(word.lower())
        if self.peek()[1] == "(":
            return self._call(word)
        if word.lower() in ("inf", "nan"):
            return Number(float(word))
        return self._selector(word)

    def _call(self, function: str) -> Node:
        if function not in FUNCTIONS | ABSENCES:
            raise PromqlError(f"the function {function}() is not supported")
        return Call(function, self._arguments())

    def _arguments(self) -> tuple[Node, ...]:
        self.take("(")
        found: list[Node] = []
        while self.peek()[1] != ")":
            if self.peek()[0] == "text":
                raise PromqlError("functions of texts are not supported")
            found.append(self.binary(0))
            if self.peek()[1] == ",":
                self.take()
        self.take(")")
        return tuple(found)

    def _aggregate(self, operation: str) -> Node:
        labels, without, given = self._grouping()
        arguments = self._arguments()
        if not given:
            labels, without, _ = self._grouping()
        parameter = arguments[0] if operation in WITH_PARAMETER else None
        if len(arguments) != (2 if parameter is not None else 1):
            raise PromqlError(f"{operation}() has {len(arguments)} arguments")
        return Aggregate(operation, arguments[-1], labels, without, parameter)

    def _grouping(self) -> tuple[tuple[str, ...], bool, bool]:
        for word in ("by", "without"):
            if self._word(word):
                return self._names(), word == "without", True
        return (), False, False

    def _selector(self, name: str) -> Node:
        matchers: list[Matcher] = []
        if self.peek()[1] == "{":
            self.take()
            while self.peek()[1] != "}":
                matchers.append(self._matcher())
                if self.peek()[1] == ",":
                    self.take()
            self.take("}")
        for matcher in matchers:
            if matcher.label == "__name__" and matcher.sign == "=" and not name:
                name = matcher.value
        if not name:
            raise PromqlError("a selector without a metric's name is not supported")
        return Selector(name, tuple(m for m in matchers if m.label != "__name__"))

    def _matcher(self) -> Matcher:
        label, sign = self.take(), self.take()
        if sign not in ("=", "!=", "=~", "!~") or self.peek()[0] != "text":
            raise PromqlError(f'{label}{sign} needs a text, as in {label}="value"')
        value = re.sub(r"\\(.)", r"\1", self.take()[1:-1])
        if "~" in sign:
            try:
                re.compile(value)
            except re.error as error:
                raise PromqlError(f"{value!r} is no regular expression: {error.msg}") from error
        return Matcher(label, sign, value)

    def _suffixed(self, node: Node) -> Node:
        range_s = offset_s = 0.0
        if self.peek()[1] == "[":
            self.take()
            range_s = seconds(self.take())
            if self.peek()[1].startswith(":"):
                raise PromqlError("subqueries are not supported")
            self.take("]")
        if self._word("offset"):
            if self.peek()[1] == "-":
                raise PromqlError("negative offsets are not supported")
            offset_s = seconds(self.take())
        if self.peek()[1] == "@":
            raise PromqlError("@ is not supported")
        if not range_s and not offset_s:
            return node
        if range_s and offset_s:
            raise PromqlError("a range with an offset is not supported")
        if not isinstance(node, Selector):
            raise PromqlError("a range or offset of anything but a selector is not supported")
        return Selector(node.name, node.matchers, range_s, offset_s)
