"""AsyncAPI 3.0 documents, composed from the registry.

FastStream's own document has only what goes through its subscribers: not what a service says through its outbox,
nor telemetry, state or dead letters. Those are channels too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import Literal

from pydantic import BaseModel, JsonValue
from pydantic.json_schema import models_json_schema

from services.cli.contracts.registry import (
    Command,
    Contract,
    Ears,
    first_paragraph,
    spoken_by,
)
from shared.bus.streams import DLQ, INGEST, PARTITIONS, STATE
from shared.contracts.base import CaseEvent

type Document = dict[str, JsonValue]
type Examples = Mapping[str, Sequence[tuple[str, JsonValue]]]
"""Subject → (name, body) of its example messages."""

_TEXT: JsonValue = {"type": "string"}
_TRACE: Document = {"traceparent": {"type": "string", "description": "W3C trace context."}, "tracestate": _TEXT}
HEADERS: dict[str, Document] = {
    "EventHeaders": {
        "type": "object",
        "description": "CloudEvents 1.0 in binary mode and W3C trace context. A message without headers is accepted.",
        "properties": {
            "Nats-Msg-Id": {"type": "string", "description": "The event's id: the stream drops a quick repetition."},
            "ce-specversion": {"type": "string", "const": "1.0"},
            "ce-id": {"type": "string", "format": "uuid"},
            "ce-source": {"type": "string", "examples": ["homeostat/detector"]},
            "ce-type": {"type": "string", "description": "The subject without its key."},
            "ce-time": {"type": "string", "format": "date-time"},
            "content-type": {"type": "string", "const": "application/json"},
            **_TRACE,
        },
    },
    "RequestHeaders": {"type": "object", "properties": _TRACE},
    "ReplyHeaders": {
        "type": "object",
        "properties": {
            "Homeostat-Error": {"type": "string", "description": "Why the request was refused; the body says nothing."}
        },
    },
    "DeadLetterHeaders": {
        "type": "object",
        "description": "Headers of the message as it came, and where it came from.",
        "properties": {
            "Homeostat-Dlq-Subject": _TEXT,
            "Homeostat-Dlq-Stream": _TEXT,
            "Homeostat-Dlq-Sequence": {"type": "string", "pattern": "^[0-9]+$"},
            "Homeostat-Dlq-Handler": _TEXT,
            "Homeostat-Dlq-Reason": {"type": "string", "description": "What was wrong, and how to mend it."},
        },
    },
}
KEYS = {
    "component": "The component's name in its pack: one token of small letters, digits, `_` and `-`.",
    "pack": "The pack's name.",
    "slug": "Signature and playbook as one token.",
    "name": "The agent's name, as `host` of components says it.",
    "slot": "Number of the silence, used again when it is over.",
    "handler": "The consumer that failed.",
}


def document(ears: Ears, commands: Sequence[Command], examples: Examples) -> Document:
    """The AsyncAPI document of one service; `commands` are those that it may send to others."""
    builder = _Builder(ears.service, examples)
    for contract in spoken_by(ears.service):
        builder.says(contract)
    for contract in ears.events:
        builder.hears(contract, durable=f"{ears.service}-{contract.subject.replace('.', '-')}")
    for contract in ears.telemetry:
        builder.hears(contract, partitions=PARTITIONS)
    for contract in ears.state:
        builder.hears(contract)
    for command in ears.commands:
        builder.command(command, "receive")
    for command in commands:
        builder.command(command, "send")
    builder.sets_aside()
    return builder.document()


@dataclass
class _Builder:
    service: str
    examples: Examples
    channels: Document = field(default_factory=dict)
    operations: Document = field(default_factory=dict)
    messages: dict[str, Document] = field(default_factory=dict)
    models: dict[type[BaseModel], Literal["validation", "serialization"]] = field(default_factory=dict)
    """Schemas needed: of what may be written by hand as it is read, of the rest as it is written."""

    def says(self, contract: Contract) -> None:
        name = contract.model.__name__
        self._channel(contract)
        self.operations[f"send{name}"] = {
            "action": "send",
            "channel": _ref("channels", name),
            "summary": contract.summary,
            "messages": [_message_of(name)],
            "x-jetstream": {"stream": contract.stream},
        }

    def hears(self, contract: Contract, durable: str = "", partitions: int = 0) -> None:
        name = contract.model.__name__
        self._channel(contract)
        jetstream: Document = {"stream": contract.stream}
        if durable:
            jetstream["durable"] = durable
        if partitions:
            jetstream["partitions"] = partitions
        if contract.stream == STATE:
            jetstream["deliver"] = "last-per-subject"
        self.operations[f"{'watch' if contract.stream == STATE else 'receive'}{name}"] = {
            "action": "receive",
            "channel": _ref("channels", name),
            "summary": contract.summary,
            "messages": [_message_of(name)],
            "x-jetstream": jetstream,
        }

    def command(self, command: Command, action: Literal["send", "receive"]) -> None:
        name = _pascal(f"{command.service}-{command.verb}")
        self._message(command.request, "RequestHeaders", "validation", "", self._example_of(command, ""))
        self._message(command.reply, "ReplyHeaders", "serialization", "", self._example_of(command, ".reply"))
        self.channels[name] = {
            "address": command.subject,
            "description": f"Core NATS request. {command.summary}".strip(),
            "messages": {command.request.__name__: _ref("components/messages", command.request.__name__)},
        }
        self.channels[f"{name}Reply"] = {
            "address": None,
            "description": "The inbox that the request names.",
            "messages": {command.reply.__name__: _ref("components/messages", command.reply.__name__)},
        }
        operation: Document = {
            "action": action,
            "channel": _ref("channels", name),
            "summary": command.summary,
            "messages": [_message_of(name, command.request.__name__)],
            "reply": {
                "address": {"location": "$message.header#/reply"},
                "channel": _ref("channels", f"{name}Reply"),
                "messages": [_message_of(f"{name}Reply", command.reply.__name__)],
            },
        }
        if action == "receive":
            operation["bindings"] = {"nats": {"queue": command.service}}
        self.operations[f"{'answer' if action == 'receive' else 'ask'}{name}"] = operation

    def sets_aside(self) -> None:
        self.messages["DeadLetter"] = {
            "name": "DeadLetter",
            "title": f"dlq.{self.service}",
            "summary": "A message that could not be handled, byte for byte, with the reason in its headers.",
            "headers": _ref("components/schemas", "DeadLetterHeaders"),
            "payload": {"description": "The body as it came."},
        }
        self.channels["DeadLetter"] = {
            "address": f"dlq.{self.service}.{{handler}}",
            "parameters": {"handler": {"description": KEYS["handler"]}},
            "messages": {"DeadLetter": _ref("components/messages", "DeadLetter")},
        }
        self.operations["sendDeadLetter"] = {
            "action": "send",
            "channel": _ref("channels", "DeadLetter"),
            "summary": "Sets a message aside.",
            "messages": [_message_of("DeadLetter")],
            "x-jetstream": {"stream": DLQ},
        }

    def document(self) -> Document:
        package = import_module(f"services.{self.service}")
        refs, schemas = models_json_schema(
            sorted(self.models.items(), key=lambda item: item[0].__name__),
            by_alias=False,
            ref_template="#/components/schemas/{model}",
        )
        for model, mode in self.models.items():
            self.messages[model.__name__]["payload"] = refs[model, mode]
        return {
            "asyncapi": "3.0.0",
            "info": {
                "title": f"Homeostat {self.service}",
                "version": version("homeostat"),
                "description": first_paragraph(package),
            },
            "defaultContentType": "application/json",
            "servers": {"nats": {"host": "127.0.0.1:4222", "protocol": "nats"}},
            "channels": dict(sorted(self.channels.items())),
            "operations": dict(sorted(self.operations.items())),
            "components": {
                "messages": {name: self.messages[name] for name in sorted(self.messages)},
                "schemas": dict(sorted({**schemas.get("$defs", {}), **HEADERS}.items())),
            },
        }

    def _channel(self, contract: Contract) -> None:
        name = contract.model.__name__
        mode: Literal["validation", "serialization"] = "validation" if contract.stream == INGEST else "serialization"
        self._message(contract.model, "EventHeaders", mode, contract.subject, contract.subject)
        channel: Document = {"address": contract.address}
        if contract.stream == INGEST:
            stored = contract.address.replace(".v1.", ".v1.<partition>.")
            channel["description"] = f"Kept in the stream as `{stored}`, in one of {PARTITIONS} partitions."
        channel["parameters"] = {contract.model.KEY: {"description": KEYS[contract.model.KEY]}}
        channel["messages"] = {name: _ref("components/messages", name)}
        self.channels[name] = channel

    def _example_of(self, command: Command, part: str) -> str:
        """Under which subject an example is kept: a command that several services answer has that of one of them."""
        alike = sorted(name for name in self.examples if name.endswith(f".{command.verb}{part}"))
        own = f"{command.subject}{part}"
        return own if own in alike else next((name for name in alike if name.startswith("cmd.")), own)

    def _message(
        self,
        model: type[BaseModel],
        headers: str,
        mode: Literal["validation", "serialization"],
        subject: str,
        example: str,
    ) -> None:
        name = model.__name__
        message: Document = {
            "name": name,
            "title": subject or name,
            "summary": first_paragraph(model) or name,
            "headers": _ref("components/schemas", headers),
            "payload": {},
        }
        if issubclass(model, CaseEvent):
            message["correlationId"] = {
                "location": "$message.payload#/case_id",
                "description": "The incident, prediction, recommendation or request that it belongs to.",
            }
        if examples := self.examples.get(example):
            message["examples"] = [{"name": label, "payload": body} for label, body in examples]
        self.messages[name] = message
        self.models[model] = mode


def _ref(section: str, name: str) -> Document:
    return {"$ref": f"#/{section}/{name}"}


def _message_of(channel: str, message: str = "") -> Document:
    return _ref(f"channels/{channel}/messages", message or channel)


def _pascal(text: str) -> str:
    return "".join(word.capitalize() for word in text.replace(".", "-").split("-"))
