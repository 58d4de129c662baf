"""Scenarios of the known-patterns bench: labelled telemetry of a failure, or of ordinary running.

A folder holds both kinds. *Made* scenarios are YAML: components with a `kind`, whose ordinary series stand in
`profiles.yaml`, and what is different during the failure. *Recorded* ones are folders with `scenario.yaml` (pack,
label) and `messages.jsonl` or `messages.jsonl.gz`: one message a line, `{"subject": …, "at": …, "data": {…}}`,
as it was on the bus.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from services.cli.bench import _patterns_made as made
from services.cli.bench.data import DataMissingError
from shared.contracts.base import ComponentEvent
from shared.contracts.ingest import Change, Check, ExternalIncident, LogBatch, MetricBatch
from shared.packs import Category, Pack

KINDS: Mapping[str, type[ComponentEvent]] = {
    event.SUBJECT: event for event in (MetricBatch, LogBatch, Check, Change, ExternalIncident)
}
DEADLINE_S = 600.0
PROFILES = "profiles.yaml"

type Message = tuple[float, ComponentEvent]
"""When it was on the bus, and what it said."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of a failure. `causes`: more than one only where the telemetry can't tell them apart."""

    component: str
    causes: tuple[Category, ...]
    onset: float
    recovered: float
    deadline_s: float = DEADLINE_S
    severity: str = ""
    also: tuple[str, ...] = ()
    """Components that are truly in trouble of their own, too."""


@dataclass(frozen=True)
class Scenario:
    """`label` None: nothing is wrong, every incident is a false alarm."""

    name: str
    group: str
    recorded: bool
    pack: Pack
    label: Label | None
    messages: Callable[[], Iterable[Message]] = field(repr=False)


def scenarios(folder: Path) -> list[Scenario]:
    """All of a folder, in order of group and name. Raises DataMissingError for one that can't be read."""
    profiles = made.Profiles.model_validate(_yaml(folder / PROFILES)) if (folder / PROFILES).is_file() else None
    found: list[Scenario] = []
    for path in sorted(folder.glob("*.yaml")):
        if path.name != PROFILES:
            found += _made(path, profiles or made.Profiles())
    for path in sorted(folder.rglob("scenario.yaml")):
        found.append(_recorded(path))
    names = [scenario.name for scenario in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataMissingError(f"{folder}: two scenarios are named {', '.join(twice)}: rename one")
    return found


def _yaml(path: Path) -> object:
    try:
        return YAML(typ="safe").load(path.read_text())
    except (OSError, YAMLError) as error:
        raise DataMissingError(f"{path}: {error}") from error


def _made(path: Path, profiles: made.Profiles) -> Iterator[Scenario]:
    try:
        suite = made.Suite.model_validate(_yaml(path))
        for story in suite.scenarios:
            yield Scenario(
                story.name,
                suite.group,
                recorded=False,
                pack=story.system(),
                label=_label(story),
                messages=lambda story=story: made.play(story, profiles),  # type: ignore[misc]
            )
    except (ValidationError, ValueError) as error:
        raise DataMissingError(f"{path}: {error}") from error


def _label(story: made.Story) -> Label | None:
    if story.expect is None:
        return None
    onset = made.START + story.normal_s
    expect = story.expect
    return Label(
        expect.component,
        expect.cause,
        onset,
        onset + story.failure_s,
        story.deadline_s,
        expect.severity,
        expect.also,
    )


def _recorded(path: Path) -> Scenario:
    try:
        about = made.Recording.model_validate(_yaml(path))
    except ValidationError as error:
        raise DataMissingError(f"{path}: {error}") from error
    kept = [path.parent / "messages.jsonl", path.parent / "messages.jsonl.gz"]
    file = next((each for each in kept if each.is_file()), None)
    if file is None:
        raise DataMissingError(f"{path.parent}: a recording needs messages.jsonl or messages.jsonl.gz beside its label")
    label = None
    if about.expect is not None:
        assert about.onset is not None
        assert about.recovered is not None
        label = Label(
            about.expect.component,
            about.expect.cause,
            about.onset.timestamp(),
            about.recovered.timestamp(),
            about.deadline_s,
            about.expect.severity,
            about.expect.also,
        )
    return Scenario(about.name, about.group, recorded=True, pack=about.pack, label=label, messages=lambda: _read(file))


def _read(file: Path) -> Iterator[Message]:
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
        for number, line in enumerate(lines, start=1):
            try:
                said = json.loads(line)
                subject, _, component = str(said["subject"]).rpartition(".")
                at = datetime.fromisoformat(said["at"]).astimezone(UTC)
                event = KINDS[subject].model_validate({"at": at, "component": component, **said["data"]})
            except (ValueError, KeyError) as error:
                raise DataMissingError(f"{file}:{number}: not a message: {error}") from error
            yield at.timestamp(), event
