"""Setting one key of a TOML, JSON, YAML or INI document while the rest of it stays as its author wrote it."""

from __future__ import annotations

import json
from collections.abc import MutableMapping

import tomlkit
from tomlkit.exceptions import TOMLKitError

from services.healer.domain import spans

Scalar = str | int | float | bool
_YAML = (".yaml", ".yml")
_INI = (".ini", ".cfg")


class DocumentError(Exception):
    """The document can't be edited as asked; the message says where and why."""


def set_key(content: bytes, path: str, key: str, value: Scalar) -> bytes:
    """`content` with the dotted `key` set to `value`; `path` tells the format by its suffix.

    Formats: `.toml`, `.json`, `.yaml`/`.yml`, `.ini`/`.cfg` (there `key` is `<section>.<option>`).

    The key must exist and hold a scalar: a playbook changes settings, and a misspelt key must not add one. A
    number keeps its kind (a whole number stays whole where the document has one).

    Raises:
        DocumentError: unreadable document, unknown key, a table in its place, or an unsupported format.
    """
    text = _text(content, path)
    if path.endswith(".toml"):
        return _set_toml(text, path, key, value).encode()
    if path.endswith(".json"):
        return _set_json(text, path, key, value).encode()
    return _set_span(text, path, key, value).encode()


def get_key(content: bytes, path: str, key: str) -> Scalar:
    """The scalar at the dotted `key`. Raises DocumentError as `set_key` does."""
    text = _text(content, path)
    if not path.endswith((".toml", ".json")):
        return _span(text, path, key).value
    document = _parse_toml(text, path) if path.endswith(".toml") else _parse_json(text, path)
    parent, last = _parent(document, path, key)
    found = parent[last]
    return found if isinstance(found, str | int | float | bool) else str(found)


def _text(content: bytes, path: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from error


def _parse_toml(text: str, path: str) -> MutableMapping[str, object]:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise DocumentError(f"{path} is not TOML: {error}") from error


def _parse_json(text: str, path: str) -> MutableMapping[str, object]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise DocumentError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise DocumentError(f"{path} holds a {type(document).__name__}, not an object with keys")
    return document


def _parent(document: MutableMapping[str, object], path: str, key: str) -> tuple[MutableMapping[str, object], str]:
    *tables, last = key.split(".")
    parent = document
    for depth, name in enumerate(tables):
        inner = parent.get(name)
        if not isinstance(inner, MutableMapping):
            raise DocumentError(f"{path} has no table {'.'.join(tables[: depth + 1])!r}: check the key {key!r}")
        parent = inner
    if last not in parent:
        raise DocumentError(f"{path} has no key {key!r}: file.set changes settings, it doesn't add them")
    if isinstance(parent[last], MutableMapping | list):
        raise DocumentError(f"{key!r} in {path} is not a single value")
    return parent, last


def _fitting(old: object, new: Scalar) -> Scalar:
    """A tuned value arrives as a float; where the document has a whole number, 800.0 is written 800."""
    whole = isinstance(old, int) and not isinstance(old, bool)
    if whole and isinstance(new, float) and new.is_integer():
        return int(new)
    return new


def _set_toml(text: str, path: str, key: str, value: Scalar) -> str:
    document = _parse_toml(text, path)
    parent, last = _parent(document, path, key)
    parent[last] = _fitting(parent[last], value)
    return tomlkit.dumps(document)


def _set_json(text: str, path: str, key: str, value: Scalar) -> str:
    document = _parse_json(text, path)
    parent, last = _parent(document, path, key)
    parent[last] = _fitting(parent[last], value)
    return json.dumps(document, ensure_ascii=False, indent=_indent(text)) + ("\n" if text.endswith("\n") else "")


def _span(text: str, path: str, key: str) -> spans.Span:
    try:
        if path.endswith(_YAML):
            return spans.find_yaml(text, key)
        if path.endswith(_INI):
            return spans.find_ini(text, key)
    except spans.SpanError as error:
        raise DocumentError(f"{path} {error}") from error
    raise DocumentError(f"{path} is none of .toml, .json, .yaml, .yml, .ini, .cfg: only these are edited")


def _set_span(text: str, path: str, key: str, value: Scalar) -> str:
    """Replaces the value's own characters, then reads both texts: nothing but the key may differ."""
    span = _span(text, path, key)
    fitting = _fitting(span.value, value)
    try:
        written = spans.yaml_text(fitting) if path.endswith(_YAML) else spans.ini_text(fitting)
        edited = span.replaced(text, written)
        before, after = _values(text, path), _values(edited, path)
    except spans.SpanError as error:
        raise DocumentError(f"{path} can't be edited at {key!r}: {error}") from error
    wanted: Scalar = fitting if path.endswith(_YAML) else written
    if _changed(before, after, ()) - {(*_names(path, key),)} or _at(after, _names(path, key)) != wanted:
        raise DocumentError(f"{path} can't be edited at {key!r} alone: the value is shared, repeated or continued")
    return edited


def _names(path: str, key: str) -> tuple[str, ...]:
    if path.endswith(_YAML):
        return tuple(key.split("."))
    section, _, option = key.rpartition(".")
    return section, option.lower()


def _values(text: str, path: str) -> object:
    return spans.yaml_values(text) if path.endswith(_YAML) else spans.ini_values(text)


def _at(document: object, names: tuple[str, ...]) -> object:
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _changed(before: object, after: object, at: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Where two documents differ, as paths of keys."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return {place for name in before for place in _changed(before[name], after[name], (*at, str(name)))}
    return set() if repr(before) == repr(after) else {at}


def _indent(text: str) -> int | None:
    """The indentation of a JSON text, from its first indented line; None for one that is all on one line."""
    for line in text.splitlines()[1:]:
        stripped = line.lstrip(" ")
        if stripped and stripped != line:
            return len(line) - len(stripped)
    return None
