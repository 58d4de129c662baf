"""Where a single value stands in a YAML or INI document, so that only its own characters are replaced."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

type Scalar = str | int | float | bool

_SECTION = re.compile(r"\[(?P<name>.+)\]\s*")
_OPTION = re.compile(r"(?P<name>[^\s=:#;\[][^=:]*?)\s*[=:][ \t]*(?P<value>.*?)\s*")
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"-?\d{1,17}\.\d{1,17}")


class SpanError(Exception):
    """There is no such single value, or it can't be replaced by itself; the message says why."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` up to `end` of a text hold `value`."""

    start: int
    end: int
    value: Scalar

    def replaced(self, text: str, by: str) -> str:
        return text[: self.start] + by + text[self.end :]


def find_yaml(text: str, key: str) -> Span:
    """The value at the dotted `key` of one YAML document.

    Raises:
        SpanError: no YAML, no such key, not a single value, or one written as a block, with an anchor or a tag.
    """
    try:
        node = _reader().compose(text)
    except YAMLError as error:
        raise SpanError(f"is not YAML: {error}") from error
    *tables, last = key.split(".")
    for name in [*tables, last]:
        found = [value for label, value in node.value if label.value == name] if isinstance(node, MappingNode) else []
        if not found:
            raise SpanError(f"has no key {key!r}: only settings that are there are changed")
        node = found[0]
    if not isinstance(node, ScalarNode):
        raise SpanError(f"holds no single value at {key!r}")
    start, end = node.start_mark.index, node.end_mark.index
    if node.style in {"|", ">"} or start == end or text[start] in "&!":
        raise SpanError(
            f"holds at {key!r} a block, nothing, an anchor or a tag: write a plain value to have it changed"
        )
    value = yaml_values(text[start:end])
    return Span(start, end, value if isinstance(value, str | int | float | bool) else str(value))


def _reader() -> YAML:
    return YAML(typ="safe", pure=True)


def yaml_values(text: str) -> object:
    """What the document says. Raises SpanError for no YAML, or a key that is given twice."""
    try:
        values: object = _reader().load(text)
    except YAMLError as error:
        raise SpanError(f"is not YAML: {error}") from error
    return values


def yaml_text(value: Scalar) -> str:
    """A value as it is written in YAML; text always in quotes, so that it stays text."""
    if isinstance(value, str):
        plain = (char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in value)
        return f'"{"".join(plain)}"'
    return str(value).lower()


def find_ini(text: str, key: str) -> Span:
    """The value at `<section>.<option>`; text that is a number in decimal counts as one.

    Raises:
        SpanError: no INI, or no such option.
    """
    section, _, option = key.rpartition(".")
    ini_values(text)
    current, at = "", 0
    for line in text.splitlines(keepends=True):
        body = line.rstrip("\r\n")
        if header := _SECTION.fullmatch(body):
            current = header["name"]
        elif current == section and (found := _OPTION.fullmatch(body)) and found["name"].lower() == option.lower():
            return Span(at + found.start("value"), at + found.end("value"), _number(found["value"]))
        at += len(line)
    raise SpanError(f"has no option {option!r} in section {section!r}: write the key as `section.option`")


def _number(text: str) -> Scalar:
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def ini_text(value: Scalar) -> str:
    """A value as it is written in INI. Raises SpanError for text that would not read back."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text != text.strip() or len(text.splitlines()) > 1:
        raise SpanError(f"can't hold {text!r}: an INI value is one line without blanks at its ends")
    return text


def ini_values(text: str) -> dict[str, dict[str, str]]:
    """Every option by section. Raises SpanError for what is no INI, or says something twice."""
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise SpanError(f"is not INI: {error}") from error
    return {name: dict(parser[name]) for name in parser.sections()}
