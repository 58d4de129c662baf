"""The streams, who may publish and read what, and how telemetry is spread over partitions.

Provisioned once, by `homeostat migrate`; services only subscribe.
"""

from __future__ import annotations

from dataclasses import dataclass

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, SubjectTransform
from nats.js.errors import NotFoundError

from shared.settings import SERVICES

PARTITIONS = 32
DAY_S = 86_400
GIB = 1024**3
MAX_MESSAGE_BYTES = 1_048_576

INGEST, EVENTS, STATE, DLQ = "INGEST", "EVENTS", "STATE", "DLQ"


def partition_of(component: str) -> int:
    """The partition the server puts a component in: FNV-1a of its name, modulo `PARTITIONS`."""
    digest = 2_166_136_261
    for byte in component.encode():
        digest = ((digest ^ byte) * 16_777_619) & 0xFFFF_FFFF
    return digest % PARTITIONS


def stream_configs(replicas: int = 1) -> list[StreamConfig]:
    """What there is to keep, and for how long."""
    return [
        StreamConfig(
            name=INGEST,
            description="What other systems and probes report; partitioned by component on the server.",
            subjects=["ingest.>"],
            subject_transform=SubjectTransform(
                src="ingest.*.v1.*",
                dest=f"ingest.{{{{wildcard(1)}}}}.v1.{{{{partition({PARTITIONS},2)}}}}.{{{{wildcard(2)}}}}",
            ),
            max_age=2 * DAY_S,
            max_bytes=4 * GIB,
            max_msg_size=MAX_MESSAGE_BYTES,
            discard=DiscardPolicy.OLD,
            duplicate_window=120,
            num_replicas=replicas,
        ),
        StreamConfig(
            name=EVENTS,
            description="What the services tell each other.",
            subjects=[f"{service}.>" for service in SERVICES],
            max_age=7 * DAY_S,
            max_bytes=2 * GIB,
            max_msg_size=MAX_MESSAGE_BYTES,
            discard=DiscardPolicy.OLD,
            duplicate_window=120,
            num_replicas=replicas,
        ),
        StreamConfig(
            name=STATE,
            description="Last value of each subject: packs in force, what has been learned, health.",
            subjects=["state.>"],
            max_msgs_per_subject=1,
            max_msg_size=MAX_MESSAGE_BYTES,
            allow_direct=True,
            duplicate_window=120,
            num_replicas=replicas,
        ),
        StreamConfig(
            name=DLQ,
            description="Messages nobody could handle, with the reason in their headers.",
            subjects=["dlq.>"],
            max_age=30 * DAY_S,
            max_bytes=GIB // 4,
            duplicate_window=120,
            num_replicas=replicas,
        ),
    ]


async def provision(jetstream: JetStreamContext, replicas: int = 1) -> list[str]:
    """Creates what is missing and brings the rest to the wanted configuration; returns what was created."""
    created = []
    for config in stream_configs(replicas):
        config.storage = StorageType.FILE
        config.retention = RetentionPolicy.LIMITS
        assert config.name is not None
        try:
            await jetstream.stream_info(config.name)
        except NotFoundError:
            await jetstream.add_stream(config)
            created.append(config.name)
        else:
            await jetstream.update_stream(config)
    return created


@dataclass(frozen=True, slots=True)
class NatsPermissions:
    """What one NATS user may publish and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


_READ_STREAMS = tuple(
    subject
    for stream in (INGEST, EVENTS, STATE, DLQ)
    for subject in (
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.CONSUMER.CREATE.{stream}.>",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.>",
        f"$JS.API.CONSUMER.INFO.{stream}.>",
        f"$JS.API.CONSUMER.DELETE.{stream}.>",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.>",
        f"$JS.ACK.{stream}.>",
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}.>",
    )
)
_INGESTERS = ("detector", "gateway")
"""Services that report like any outside system: probes, and protocols spoken over HTTP."""


def service_permissions(service: str) -> NatsPermissions:
    """A service publishes under its own name only, and reads streams only through consumers."""
    publish = [f"{service}.>", f"state.{service}.>", f"dlq.{service}.>", "$JS.API.INFO", *_READ_STREAMS]
    if service in _INGESTERS:
        publish.append("ingest.>")
    if service == "gateway":
        publish.append("cmd.>")
    subscribe = [f"_INBOX.{service}.>", f"cmd.{service}.>"]
    if service == "healer":
        publish.append("agent.>")
        subscribe.append("beat.*")
    publish.append(f"$JS.API.STREAM.MSG.DELETE.{DLQ}")
    return NatsPermissions(tuple(publish), tuple(subscribe))


def agent_permissions(name: str) -> NatsPermissions:
    """An agent on another host hears its own orders and the kill switch, and says that it is there; no more."""
    return NatsPermissions((f"beat.{name}",), (f"agent.{name}.order", "agent.all.switch"))


def admin_permissions() -> NatsPermissions:
    """For `homeostat migrate`: streams."""
    return NatsPermissions((">",), (">",))


def publisher_permissions() -> NatsPermissions:
    """For another system that reports to Homeostat and follows what it does."""
    return NatsPermissions(
        ("ingest.>", "$JS.API.INFO"),
        ("_INBOX.publisher.>", "detector.>", "diagnoser.>", "decider.>", "healer.>", "predictor.>", "optimizer.>"),
    )
