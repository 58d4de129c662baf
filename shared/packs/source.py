"""Reads the YAML of a pack into plain values while remembering where each came from, and fills in variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from pydantic import JsonValue
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from shared.contracts.base import Scalar
from shared.packs.problems import Finding, PackError, Place, Problem, dotted, suggestion

MAX_BYTES = 1_048_576
MAX_VALUES = 50_000
"""Aliases make a small file stand for a huge one: what they stand for is bounded too."""
MAX_DEPTH = 40
_MERGE = "tag:yaml.org,2002:merge"
_VARIABLE = re.compile(r"\$\{var\.([^}]*)\}")


@dataclass(slots=True)
class Source:
    """Plain values of a file with the position (line, column; from 1) of every key and value."""

    file: str
    data: dict[str, JsonValue] = field(default_factory=dict)
    values: dict[Place, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Place, tuple[int, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def problem(self, finding: Finding) -> Problem:
        """`finding` at its line; where the place itself is not in the file, at what encloses it."""
        place = finding.place
        line, column = 0, 0
        while not line:
            found = (self.keys.get(place) if finding.at_key else None) or self.values.get(place) or self.keys.get(place)
            if found:
                line, column = found
            elif not place:
                break
            place = place[:-1]
        return Problem(self.file, line, column, dotted(finding.place), finding.message, finding.remedy)


def read_source(text: str, file: str) -> Source:
    """Parses YAML 1.2 (JSON included).

    Raises:
        PackError: not YAML, too large, too deep, or not a mapping.
    """
    if len(text.encode()) > MAX_BYTES:
        raise _unreadable(file, f"the pack is larger than {MAX_BYTES} bytes", "split it into several packs")
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        message = f"not YAML: {error.problem or error.context or 'syntax error'}"
        raise PackError([Problem(file, line, column, "", message, "mend the syntax at this place")]) from error
    except (YAMLError, ValueError) as error:
        raise _unreadable(file, f"not YAML: {error}", "mend the syntax") from error
    except RecursionError as error:
        raise _unreadable(file, f"nested deeper than {MAX_DEPTH} levels", "flatten it") from error
    if not isinstance(root, MappingNode):
        raise _unreadable(file, "a pack is a mapping of keys", "begin it with `pack: <name>`")
    source = Source(file)
    plain = _Converter(source).convert(root, ())
    assert isinstance(plain, dict)
    source.data = plain
    return source


def _unreadable(file: str, message: str, remedy: str) -> PackError:
    return PackError([Problem(file, 0, 0, "", message, remedy)])


class _Converter:
    """Nodes to plain values. Mistakes become findings of the source; only what is too big ends the work."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._scalars = YAML(typ="safe", pure=True).constructor
        self._left = MAX_VALUES

    def convert(self, node: Node, place: Place) -> JsonValue:
        self._left -= 1
        if self._left < 0:
            message = f"the pack holds more than {MAX_VALUES} values, aliases expanded"
            raise _unreadable(self._source.file, message, "split it into several packs")
        if len(place) > MAX_DEPTH:
            raise _unreadable(self._source.file, f"nested deeper than {MAX_DEPTH} levels", "flatten it")
        self._source.values.setdefault(place, _position(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, place)
        if isinstance(node, SequenceNode):
            return [self.convert(item, (*place, number)) for number, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, JsonValue]:
        own: dict[str, JsonValue] = {}
        parents: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                parents += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
            elif not isinstance(key_node, ScalarNode):
                self._source.findings.append(Finding(place, "a key is not a word", "write keys as plain words"))
            elif key_node.value in own:
                key_place = (*place, key_node.value)
                self._source.keys[key_place] = _position(key_node)
                message = f"`{key_node.value}` is written twice"
                self._source.findings.append(Finding(key_place, message, "keep one of the two", at_key=True))
            else:
                key_place = (*place, key_node.value)
                self._source.keys.setdefault(key_place, _position(key_node))
                own[key_node.value] = self.convert(value_node, key_place)
        # Merged after the mapping's own keys: what is written here wins, and so does its position.
        for parent in parents:
            if isinstance(parent, MappingNode):
                own = {**self._mapping(parent, place), **own}
        return own

    def _scalar(self, node: Node, place: Place) -> JsonValue:
        try:
            value = self._scalars.construct_object(node)
        except (YAMLError, ValueError) as error:
            message = getattr(error, "problem", None) or str(error)
            self._source.findings.append(Finding(place, str(message), "write a text, a number, true, false or null"))
            return None
        if isinstance(value, date) or not isinstance(value, str | int | float | bool | None):
            return str(node.value)
        return value


def _position(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


# ---- variables


def fill_in(source: Source, given: Mapping[str, str]) -> None:
    """Replaces `${var.NAME}` in every text of the pack by the variable's value, `given` before the pack's default.

    The values in force stay in the pack's `variables`, so that an applied pack says what it was made of.
    A text that is nothing but one reference takes the variable's type.
    """
    declared = source.data.get("variables", {})
    if not isinstance(declared, dict):
        return  # the schema says so with its line
    for name in sorted(given.keys() - declared.keys()):
        remedy = suggestion(name, declared, "variables of this pack: {0}")
        source.findings.append(Finding(("variables",), f"there is no variable `{name}` to set", remedy))
    values: dict[str, Scalar] = {}
    for name, default in declared.items():
        place: Place = ("variables", name)
        if isinstance(default, dict | list):
            source.findings.append(Finding(place, "a variable is a text, a number, true or false", "write one value"))
            continue
        value = _typed(source, place, given[name], default) if name in given else default
        if isinstance(value, str):
            value = _filled(source, place, value, values)
        if value is None:
            message = f"the variable `{name}` has no value"
            source.findings.append(Finding(place, message, f"give it with --set {name}=…, or write a default"))
        values[name] = value
    filled: dict[str, JsonValue] = {
        key: _walk(source, (key,), value, values) for key, value in source.data.items() if key != "variables"
    }
    if "variables" in source.data:
        filled["variables"] = dict(values)
    source.data = filled


def _typed(source: Source, place: Place, text: str, default: Scalar) -> Scalar:
    """A value from the command line, as the type that the default has."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
    except (KeyError, ValueError):
        kind = "true or false" if isinstance(default, bool) else "a number"
        source.findings.append(Finding(place, f"{text!r} was given for `{place[-1]}`", f"give {kind}"))
        return default
    return text


def _walk(source: Source, place: Place, value: JsonValue, variables: Mapping[str, Scalar]) -> JsonValue:
    if isinstance(value, str):
        return _filled(source, place, value, variables)
    if isinstance(value, list):
        return [_walk(source, (*place, number), item, variables) for number, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _walk(source, (*place, key), item, variables) for key, item in value.items()}
    return value


def _filled(source: Source, place: Place, text: str, variables: Mapping[str, Scalar]) -> Scalar:
    whole = _VARIABLE.fullmatch(text)
    if whole and whole[1] in variables:
        return variables[whole[1]]

    def value_of(reference: re.Match[str]) -> str:
        if reference[1] not in variables:
            remedy = suggestion(reference[1], variables, "variables declared before this place: {0}")
            source.findings.append(Finding(place, f"there is no variable `{reference[1]}`", remedy))
            return ""
        value = variables[reference[1]]
        return str(value).lower() if isinstance(value, bool) else str(value)

    return _VARIABLE.sub(value_of, text)
