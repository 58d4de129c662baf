"""The flow of messages as tables and a diagram for `docs/architecture.md`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from services.cli.contracts.registry import Contract, Ears, contracts, reporters
from shared.bus.streams import EVENTS, INGEST, STATE

OUTSIDE = "other systems"
_LISTENER = "gateway"
"""Hears everything, to keep the timeline: left out of the diagram so that the loop can be seen."""


def markdown(all_ears: Mapping[str, Ears]) -> str:
    """Diagram, and a table each of events, state and commands."""
    return "\n\n".join((_diagram(all_ears), _contract_table(all_ears), _command_table(all_ears)))


def _diagram(all_ears: Mapping[str, Ears]) -> str:
    edges: dict[tuple[str, str], list[str]] = defaultdict(list)
    for contract in contracts().values():
        for listener in _listeners(contract, all_ears):
            if listener != _LISTENER and contract.stream != STATE:
                edges[contract.owner or "outside", listener].append(_short(contract))
    lines = ["```mermaid", "flowchart LR", f'  outside(["{OUTSIDE}"])']
    lines += [f"  {service}" for service in all_ears]
    lines += [f'  {source} -- "{"<br/>".join(names)}" --> {target}' for (source, target), names in edges.items()]
    return "\n".join([*lines, "```"])


def _contract_table(all_ears: Mapping[str, Ears]) -> str:
    rows = []
    for contract in contracts().values():
        owner = contract.owner or ", ".join((OUTSIDE, *reporters()))
        heard_by = ", ".join(_listeners(contract, all_ears)) or "–"
        address = contract.address.replace("{", "<").replace("}", ">")
        rows.append((f"`{address}`", f"`{contract.model.__name__}`", contract.stream, owner, heard_by))
    return _table(("subject", "contract", "stream", "may be said by", "heard by"), rows)


def _command_table(all_ears: Mapping[str, Ears]) -> str:
    """Commands that every service answers are one row."""
    rows: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for ears in all_ears.values():
        for command in ears.commands:
            rows[command.verb, command.request.__name__, command.reply.__name__].append(command.service)
    return _table(
        ("command", "request", "reply", "answered by"),
        [
            (
                f"`cmd.{services[0] if len(services) == 1 else '<service>'}.{verb}`",
                f"`{request}`",
                f"`{reply}`",
                "every service" if len(services) == len(all_ears) else ", ".join(services),
            )
            for (verb, request, reply), services in sorted(rows.items())
        ],
    )


def _listeners(contract: Contract, all_ears: Mapping[str, Ears]) -> list[str]:
    listeners = [name for name, ears in all_ears.items() if contract in ears.contracts]
    return ["every service"] if len(listeners) == len(all_ears) else listeners


def _short(contract: Contract) -> str:
    """`detector.incident.v1` → `incident`."""
    return contract.subject.split(".")[1] if contract.stream in (EVENTS, INGEST) else contract.subject


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    def lines() -> Iterator[str]:
        yield "| " + " | ".join(head) + " |"
        yield "|" + "---|" * len(head)
        for row in rows:
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"

    return "\n".join(lines())
