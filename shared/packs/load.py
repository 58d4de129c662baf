"""Loads and validates packs: the one way from a file that a person wrote to a `Pack` that services trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

from pydantic import JsonValue, ValidationError

from shared.packs.checks import check
from shared.packs.explain import explain
from shared.packs.model import Pack
from shared.packs.playbook import Playbook
from shared.packs.problems import Finding, PackError, Place, Problem
from shared.packs.source import MAX_BYTES, fill_in, read_source

SCHEMA_ID = "https://homeostat.invalid/contracts/pack.schema.json"
PLAYBOOK_SCHEMA_ID = "https://homeostat.invalid/contracts/playbook.schema.json"


def load_pack(path: Path, variables: Mapping[str, str] | None = None) -> Pack:
    """The pack in the file `path`; `variables` come before the defaults that the pack declares.

    Raises:
        PackError: with all its problems at once.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PackError([Problem(str(path), 0, 0, "", f"larger than {MAX_BYTES} bytes", "split the pack")])
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"can't be read ({error.strerror})"
        raise PackError([Problem(str(path), 0, 0, "", message, "give the path of a pack's YAML file")]) from error
    except UnicodeDecodeError as error:
        raise PackError([Problem(str(path), 0, 0, "", "not UTF-8 text", "save it as UTF-8")]) from error
    return parse_pack(text, variables, str(path))


def parse_pack(text: str, variables: Mapping[str, str] | None = None, file: str = "pack") -> Pack:
    """Like `load_pack`, for YAML or JSON that is at hand; `file` names it in problems."""
    source = read_source(text, file)
    fill_in(source, variables or {})
    findings = list(source.findings)
    pack = _validated(source.data, findings)
    if findings:
        raise PackError(source.problem(finding) for finding in findings)
    assert pack is not None
    return pack


def _validated(data: dict[str, JsonValue], findings: list[Finding]) -> Pack | None:
    """Checks form and meaning. What is ill-formed is left out so that the rest can be checked in the same go."""
    kept = {section: list(range(len(items))) for section, items in data.items() if isinstance(items, list)}
    pack, wrong = _attempt(data)
    if pack is None:
        known = {finding.place for finding in findings}
        findings += (finding for finding in wrong if finding.place not in known)
        rest = _without_unknown_keys(data, wrong)
        pack, wrong = _attempt(rest)
        if pack is None:
            pack, _ = _attempt(_without_entries(rest, {finding.place for finding in wrong}, kept))
    if pack is None:
        return None
    for finding in check(pack, _names(data, "components"), _names(data, "playbooks")):
        findings.append(_moved_back(finding, kept))
    return pack


def _attempt(data: dict[str, JsonValue]) -> tuple[Pack | None, list[Finding]]:
    try:
        return Pack.model_validate(data), []
    except ValidationError as error:
        return None, explain(error.errors(include_url=False), data, Pack)


def _names(data: dict[str, JsonValue], section: str) -> list[str]:
    named = data.get(section)
    return list(named) if isinstance(named, dict) else []


def _without_unknown_keys(data: dict[str, JsonValue], findings: Sequence[Finding]) -> dict[str, JsonValue]:
    rest = deepcopy(data)
    for finding in findings:
        if finding.at_key and finding.message.startswith("unknown "):
            here: JsonValue = rest
            for step in finding.place[:-1]:
                here = here[step]  # type: ignore[index]
            if isinstance(here, dict):
                here.pop(str(finding.place[-1]), None)
    return rest


def _without_entries(data: dict[str, JsonValue], wrong: set[Place], kept: dict[str, list[int]]) -> dict[str, JsonValue]:
    """The pack without the entries that hold a wrong place; `kept` learns which positions of a list remain."""
    rest: dict[str, JsonValue] = {}
    for section, items in data.items():
        if (section,) in wrong:
            continue
        if isinstance(items, dict):
            rest[section] = {key: item for key, item in items.items() if not _touches((section, key), wrong)}
        elif isinstance(items, list):
            kept[section] = [i for i in range(len(items)) if not _touches((section, i), wrong)]
            rest[section] = [items[i] for i in kept[section]]
        else:
            rest[section] = items
    rest.setdefault("pack", "unnamed")
    return rest


def _touches(entry: Place, wrong: set[Place]) -> bool:
    return any(place[: len(entry)] == entry for place in wrong)


def _moved_back(finding: Finding, kept: dict[str, list[int]]) -> Finding:
    """`finding` with its list position as in the file, before entries were left out."""
    if len(finding.place) > 1 and isinstance(finding.place[1], int):
        section, position = str(finding.place[0]), finding.place[1]
        place = (section, kept[section][position], *finding.place[2:])
        return Finding(place, finding.message, finding.remedy, finding.at_key)
    return finding


def pack_schema() -> dict[str, JsonValue]:
    """JSON Schema (2020-12) of a pack file, for editors: `# yaml-language-server: $schema=…`.

    A text made of `${var.…}` or `${param.…}` stands for any value, so the schema allows it wherever a number or a
    truth value stands.
    """
    schema = Pack.model_json_schema(by_alias=True, mode="validation")
    _allow_variables(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "Homeostat pack",
    }


_VARIABLE_TEXT: JsonValue = {"type": "string", "pattern": r"^\$\{(var|param)\.[^}]+\}$"}
_OUTER = ("title", "description", "default")


def _allow_variables(node: JsonValue) -> None:
    """Rewrites every schema of a number or boolean inside `node`, in place."""
    if isinstance(node, list):
        for item in node:
            _allow_variables(item)
    if not isinstance(node, dict):
        return
    for key, value in list(node.items()):
        _allow_variables(value)
        if key == "properties" and isinstance(value, dict):
            for name, inner in value.items():
                value[name] = _or_variable(inner)
        elif key in ("items", "additionalProperties"):
            node[key] = _or_variable(value)


def _or_variable(schema: JsonValue) -> JsonValue:
    if not isinstance(schema, dict) or schema.get("type") not in ("number", "integer", "boolean"):
        return schema
    outer = {key: value for key, value in schema.items() if key in _OUTER}
    inner: JsonValue = {key: value for key, value in schema.items() if key not in _OUTER}
    return {**outer, "anyOf": [inner, _VARIABLE_TEXT]}


def parse_playbook(text: str, name: str, body: Mapping[str, JsonValue], file: str = "playbook") -> Pack:
    """The pack `body` (as it is in force) with the playbook in `text`, YAML or JSON, under `name`.

    Raises:
        PackError: with all problems of the playbook, and of what it breaks in the pack, at once.
    """
    source = read_source(text, file)
    playbooks = body.get("playbooks")
    others = playbooks if isinstance(playbooks, dict) else {}
    found: list[Finding] = []
    pack = _validated({**body, "playbooks": {**others, name: source.data}}, found)
    inside = ("playbooks", name)
    for one in found:
        place = one.place[2:] if one.place[:2] == inside else one.place
        source.findings.append(Finding(place, one.message, one.remedy, one.at_key))
    if source.findings:
        raise PackError(source.problem(finding) for finding in source.findings)
    assert pack is not None
    return pack


def playbook_schema() -> dict[str, JsonValue]:
    """JSON Schema of one playbook in a file of its own, for editors."""
    schema = Playbook.model_json_schema(by_alias=True, mode="validation")
    _allow_variables(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": PLAYBOOK_SCHEMA_ID,
        **schema,
        "title": "Homeostat playbook",
    }
