"""Messages that were ever promised to be readable stay readable: `contracts/examples` is read by the code of today."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from services.cli.contracts import EXAMPLES, read_examples
from services.cli.contracts.registry import Command, all_ears, contracts
from shared.bus.decode import decode
from shared.contracts.base import Event

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / EXAMPLES).glob("*.json"))
STORED_AT = datetime(2026, 3, 2, 9, 14, 3, tzinfo=UTC)
SUBJECTS = contracts()


def subject_of(file: Path) -> str:
    return file.stem.partition("--")[0]


EVENT_FILES = [file for file in FILES if subject_of(file) in SUBJECTS]
COMMAND_FILES = [file for file in FILES if subject_of(file).startswith("cmd.")]


def read(file: Path, body: bytes | None = None) -> Event:
    """As the bus reads it; a message that doesn't name its component was published on that of `payments`."""
    model = SUBJECTS[subject_of(file)].model
    body = body or file.read_bytes()
    raw = json.loads(body)
    inner = raw.get("data", raw) if "specversion" in raw else raw
    key = inner.get(model.KEY) or raw.get("subject") or "payments"
    return decode(model, body, f"{model.SUBJECT}.{key}", stream="S", sequence=7, stored_at=STORED_AT)


@pytest.fixture(scope="module")
def commands() -> dict[str, Command]:
    return {command.subject: command for ears in all_ears().values() for command in ears.commands}


@pytest.mark.parametrize("file", EVENT_FILES, ids=lambda file: file.stem)
def test_every_example_is_read_by_its_contract(file: Path) -> None:
    event = read(file)
    again = decode(
        type(event), event.model_dump_json().encode(), event.subject, stream="S", sequence=8, stored_at=STORED_AT
    )
    assert again.model_dump_json() == event.model_dump_json(), "what is read and written again says the same"


@pytest.mark.parametrize("file", COMMAND_FILES, ids=lambda file: file.stem)
def test_every_example_of_a_command_is_read_by_it(file: Path, commands: dict[str, Command]) -> None:
    command = commands[subject_of(file).removesuffix(".reply")]
    model = command.reply if file.stem.endswith(".reply") else command.request
    value = model.model_validate_json(file.read_bytes())
    assert model.model_validate_json(value.model_dump_json()) == value


def test_every_example_has_a_contract_and_every_contract_an_example(commands: dict[str, Command]) -> None:
    assert sorted([*EVENT_FILES, *COMMAND_FILES]) == FILES
    shown = set(read_examples(ROOT))
    assert not SUBJECTS.keys() - shown, f"add examples to {EXAMPLES}"
    for verb, request, reply in {(c.verb, c.request, c.reply) for c in commands.values()}:
        alike = {c.subject for c in commands.values() if (c.verb, c.request, c.reply) == (verb, request, reply)}
        assert alike & shown, f"add an example of one of {alike}"
        assert {f"{subject}.reply" for subject in alike} & shown, f"add an example of a reply to one of {alike}"


@pytest.mark.parametrize("file", EVENT_FILES, ids=lambda file: file.stem)
def test_fields_of_a_newer_release_are_ignored_at_every_depth(file: Path) -> None:
    event = read(file)
    raw = json.loads(file.read_bytes())
    newer = {**raw, "data": from_tomorrow(event, raw["data"])} if "specversion" in raw else from_tomorrow(event, raw)
    assert newer != raw
    assert read(file, json.dumps(newer).encode()).model_dump_json() == event.model_dump_json()


def from_tomorrow(value: object, raw: Any) -> Any:
    """`raw` with an unknown field in every part that has fields; open mappings such as labels stay."""
    if isinstance(value, BaseModel):
        names = {info.alias or name: name for name, info in type(value).model_fields.items()}
        known = {key: from_tomorrow(getattr(value, names.get(key, key), None), inner) for key, inner in raw.items()}
        return {**known, "said_from_tomorrow_on": {"by": "a newer release"}}
    if isinstance(value, list | tuple):
        return [from_tomorrow(*pair) for pair in zip(value, raw, strict=True)]
    return raw


@pytest.mark.parametrize("kind", ["metrics", "logs", "checks", "changes", "incidents", "outcomes"])
def test_a_message_written_by_hand_needs_neither_id_nor_time_nor_component(kind: str) -> None:
    file = ROOT / EXAMPLES / f"ingest.{kind}.v1--minimal.json"
    assert not {"id", "at", "component"} & json.loads(file.read_bytes()).keys()
    event = read(file)
    assert event.at == STORED_AT
    assert event.subject.endswith(".payments")
    assert event.id == read(file).id, "the same at each delivery"


def test_a_structured_cloud_event_gives_its_time_and_an_id_of_its_source() -> None:
    event = read(ROOT / EXAMPLES / "ingest.incidents.v1--cloudevent.json")
    assert event.subject == "ingest.incidents.v1.provider-a"
    assert event.at == datetime(2026, 3, 2, 9, 14, 1, tzinfo=UTC)


def listed() -> Iterator[tuple[str, str]]:
    for line in (ROOT / EXAMPLES / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        yield name, digest


def test_an_example_is_never_changed() -> None:
    """What was once a good message must stay one: add a new file instead, and its line to SHA256SUMS."""
    assert dict(listed()) == {file.name: sha256(file.read_bytes()).hexdigest() for file in FILES}
