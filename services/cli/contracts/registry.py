"""Who says and hears what, read from the code itself: the contracts, and the services as they are wired.

Nothing is kept by hand beside it, so a document made from here can't say otherwise than the program does.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_type_hints

from pydantic import BaseModel

import shared.contracts
from shared.bus.streams import EVENTS, INGEST, STATE, service_permissions
from shared.contracts.base import Event
from shared.partitions import KINDS
from shared.runtime import Service
from shared.settings import SERVICES


@dataclass(frozen=True, slots=True)
class Contract:
    """One subject and the class of its messages."""

    model: type[Event]
    owner: str
    """The service that says it; empty: any other system."""
    stream: str
    """The stream that keeps it; empty for a command."""

    @property
    def subject(self) -> str:
        return self.model.SUBJECT

    @property
    def address(self) -> str:
        """Subject with its key as a parameter: `detector.incident.v1.{component}`."""
        return f"{self.subject}.{{{self.model.KEY}}}" if self.model.KEY else self.subject

    @property
    def summary(self) -> str:
        """First paragraph of the class's docstring as one line; its own name where it has none."""
        return first_paragraph(self.model) or self.model.__name__


@dataclass(frozen=True, slots=True)
class Command:
    """One request that a service answers on `cmd.<service>.<verb>`."""

    service: str
    verb: str
    request: type[BaseModel]
    reply: type[BaseModel]
    summary: str

    @property
    def subject(self) -> str:
        return f"cmd.{self.service}.{self.verb}"


@dataclass(frozen=True, slots=True)
class Ears:
    """All that one service listens to."""

    service: str
    events: tuple[Contract, ...]
    """One durable consumer each: every event is handled once."""
    telemetry: tuple[Contract, ...]
    """Read in partitions, in order."""
    state: tuple[Contract, ...]
    """Last values, followed."""
    commands: tuple[Command, ...]

    @property
    def contracts(self) -> tuple[Contract, ...]:
        return (*self.events, *self.telemetry, *self.state)


def first_paragraph(thing: object) -> str:
    """The first paragraph of a docstring in one line; empty where there is none of its own."""
    text = getattr(thing, "__doc__", None)
    return " ".join((inspect.cleandoc(text).split("\n\n")[0] if text else "").split())


def contract_models() -> Iterator[type[Event]]:
    """Every class with a subject, in the order of their modules."""
    for module_info in pkgutil.iter_modules(shared.contracts.__path__, "shared.contracts."):
        module = importlib.import_module(module_info.name)
        for value in vars(module).values():
            is_contract = isinstance(value, type) and issubclass(value, Event) and bool(value.SUBJECT)
            if is_contract and value.__module__ == module.__name__:
                yield value


def contracts() -> dict[str, Contract]:
    """Events and state by subject, sorted; commands are found in the services that answer them.

    Raises:
        ValueError: two classes claim one subject.
    """
    found: dict[str, Contract] = {}
    for model in contract_models():
        first, second = model.SUBJECT.split(".")[:2]
        if first == "cmd":
            continue
        if model.SUBJECT in found:
            raise ValueError(f"{model.SUBJECT}: both {found[model.SUBJECT].model.__name__} and {model.__name__}")
        if first == "ingest":
            found[model.SUBJECT] = Contract(model, "", INGEST)
        elif first == "state":
            found[model.SUBJECT] = Contract(model, second, STATE)
        else:
            found[model.SUBJECT] = Contract(model, first, EVENTS)
    return dict(sorted(found.items()))


def reporters() -> tuple[str, ...]:
    """Services that may report on `ingest.` like any other system."""
    return tuple(name for name in SERVICES if "ingest.>" in service_permissions(name).publish)


def spoken_by(service: str) -> tuple[Contract, ...]:
    """What `service` may say."""
    reports = service in reporters()
    return tuple(
        contract
        for contract in contracts().values()
        if contract.owner == service or (reports and contract.stream == INGEST)
    )


def build(service: str) -> Service:
    """The service as its `app.py` wires it, connected to nothing."""
    app = importlib.import_module(f"services.{service}.app")
    built: Service = app.build(app.Settings())
    return built


def ears(service: Service) -> Ears:
    """What a built service listens to."""
    known = contracts()
    kinds = {kind for consumer in service.consumers for kind in consumer.kinds}
    return Ears(
        service=service.name,
        events=_sorted(known[route.contract] for route in service.bus.routes.values()),
        telemetry=_sorted(known[KINDS[kind].SUBJECT] for kind in kinds),
        state=_sorted(known[watch.contract.SUBJECT] for watch in service.bus.watches),
        commands=tuple(sorted(_commands(service), key=lambda command: command.verb)),
    )


def all_ears() -> dict[str, Ears]:
    """Of all services, in the order of the loop."""
    return {name: ears(build(name)) for name in SERVICES}


def _sorted(found: Iterator[Contract]) -> tuple[Contract, ...]:
    unique = {contract.subject: contract for contract in found}
    return tuple(unique[subject] for subject in sorted(unique))


def _commands(service: Service) -> Iterator[Command]:
    for command in service.bus.commands:
        reply = get_type_hints(command.handler)["return"]
        yield Command(service.name, command.verb, command.request, reply, first_paragraph(command.handler))
