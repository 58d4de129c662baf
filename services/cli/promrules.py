"""Prometheus alerting rules as rules of a pack: what can be said in one, and why the rest can't."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.packs.promql import Binary, Call, Negative, Node, Number, PromqlError, Selector, parse, seconds, selectors

LEAST_ABSENT_S = 60.0
CRITICAL = frozenset({"critical", "page", "error", "high", "emergency", "fatal", "disaster", "p1"})
_KINDS = {
    "rules": ("threshold", "thresholds"),
    "expr": ("expression", "expressions"),
    "expects": ("expectation", "expectations"),
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule as it stands in the file."""

    name: str
    expr: str
    for_s: float = 0.0
    severity: str = "warning"
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Translated:
    kind: str
    """`rules`, `expr` (a rule with an expression) or `expects`."""
    entry: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    name: str
    why: str


@dataclass
class Import:
    """What came of a file."""

    translated: list[Translated] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def count(self) -> str:
        """One line for people."""
        total = len(self.translated) + len(self.refused)
        kinds = Counter(one.kind for one in self.translated)
        parts = ", ".join(f"{n} {_KINDS[kind][n != 1]}" for kind, n in sorted(kinds.items()))
        return f"{len(self.translated)} of {total} rules translated" + (f": {parts}" if parts else "")


def import_file(text: str) -> Import:
    """Translates every alerting rule of a rules file; also of catalogues that nest groups more deeply.

    Raises:
        ValueError: not YAML, or without any rule.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe").load(text)
    except YAMLError as error:
        raise ValueError(f"not YAML: {str(error).splitlines()[0]}") from error
    found, ids = Import(), set[str]()
    for node in _rules(data):
        name = str(node.get("alert") or node.get("name") or node.get("record") or "a rule without a name")
        if "record" in node:
            found.refused.append(Refused(name, "a recording rule: export its metric, or write its expression out"))
            continue
        try:
            alert = _alert(node, name)
            found.translated.append(translate(alert, _token(name, ids)))
        except PromqlError as error:
            found.refused.append(Refused(name, str(error)))
    if not found.translated and not found.refused:
        raise ValueError("no rules: a rules file has `groups`, each with `rules` that have `alert` and `expr`")
    return found


def _rules(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if ("expr" in node and ("alert" in node or "record" in node)) or ("query" in node and "name" in node):
            yield node
        else:
            for child in node.values():
                yield from _rules(child)
    elif isinstance(node, list):
        for child in node:
            yield from _rules(child)


def _alert(node: dict[str, Any], name: str) -> Alert:
    labels, annotations = node.get("labels") or {}, node.get("annotations") or {}
    said = annotations.get("summary") or annotations.get("description") or node.get("description") or ""
    for_ = str(node.get("for") or "0s")
    return Alert(
        name,
        str(node.get("expr") if "expr" in node else node["query"]).strip(),
        0.0 if for_ in ("0", "0s", "0m") else seconds(for_),
        str(labels.get("severity") or node.get("severity") or "warning").lower(),
        " ".join(str(said).split())[:300],
    )


def translate(alert: Alert, id_: str) -> Translated:
    """The entry of a pack that says the same.

    Raises:
        PromqlError: it can't be said in one; why.
    """
    tree = parse(alert.expr, absences=True)
    entry: dict[str, Any] = {}
    if isinstance(tree, Call) and tree.function in ("absent", "absent_over_time"):
        of = tree.arguments[0]
        if not isinstance(of, Selector) or of.offset_s:
            raise PromqlError("absent() of anything but a metric can't be said in a pack")
        entry |= {"metric": of.name, **_labels(of), "within_s": max(LEAST_ABSENT_S, of.range_s, alert.for_s)}
        return Translated("expects", entry | {"severity": _severity(alert)})
    parse(alert.expr)
    if not selectors(tree):
        raise PromqlError("it names no metric, so it is always or never true")
    more: dict[str, Any] = {"severity": _severity(alert)}
    if alert.for_s:
        more["for_s"] = alert.for_s
    if alert.summary:
        more["summary"] = alert.summary
    bound = _bound(tree)
    if bound is not None:
        return Translated("rules", {"id": id_, **bound, **more})
    return Translated("expr", {"id": id_, "expr": " ".join(alert.expr.split()), **more})


def _bound(tree: Node) -> dict[str, Any] | None:
    """A metric above or below a number, as a plain rule; None when it is more than that."""
    if not isinstance(tree, Binary) or tree.sign not in ("<", ">") or tree.as_bool:
        return None
    left, right, sign = tree.left, tree.right, tree.sign
    if _number(left) is not None:
        left, right, sign = right, left, "<" if sign == ">" else ">"
    number = _number(right)
    if not isinstance(left, Selector) or number is None or left.range_s or left.offset_s:
        return None
    try:
        labels = _labels(left)
    except PromqlError:
        return None
    return {"metric": left.name, **labels, "above" if sign == ">" else "below": number}


def _number(node: Node) -> float | None:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Negative):
        inner = _number(node.of)
        return None if inner is None else -inner
    if isinstance(node, Binary) and node.sign in ("*", "+", "-", "/"):
        a, b = _number(node.left), _number(node.right)
        if a is None or b is None or (node.sign == "/" and b == 0):
            return None
        return {"*": a * b, "+": a + b, "-": a - b}.get(node.sign, a / b if b else 0.0)
    return None


def _labels(selector: Selector) -> dict[str, Any]:
    """Matchers as the regular expressions of a pack."""
    labels: dict[str, str] = {}
    for matcher in selector.matchers:
        if matcher.sign.startswith("!") or matcher.label in labels:
            raise PromqlError(f"absent() with {matcher.label}{matcher.sign} can't be said in a pack")
        labels[matcher.label] = matcher.value if matcher.sign == "=~" else re.escape(matcher.value)
    return {"labels": labels} if labels else {}


def _severity(alert: Alert) -> str:
    return "critical" if alert.severity in CRITICAL else "warning"


def _token(name: str, taken: set[str]) -> str:
    """A name that packs allow, and that no other rule has."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name).lower()
    base = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:56].strip("-") or "rule"
    token, number = base, 1
    while token in taken:
        number += 1
        token = f"{base}-{number}"
    taken.add(token)
    return token


def pack_text(found: Import, pack: str, component: str, source: str) -> str:
    """A pack in mode `observe` with what could be translated."""
    from ruamel.yaml import YAML

    body: dict[str, Any] = {
        "pack": pack,
        "description": f"Alerting rules of {source}.",
        "mode": "observe",
        "components": {component: {"kind": "service"}},
    }
    rules = [one.entry for one in found.translated if one.kind != "expects"]
    expects = [one.entry for one in found.translated if one.kind == "expects"]
    body |= ({"rules": rules} if rules else {}) | ({"expects": expects} if expects else {})
    yaml, stream = YAML(), io.StringIO()
    yaml.default_flow_style = False
    yaml.width = 200
    yaml.dump(body, stream)
    return stream.getvalue()
