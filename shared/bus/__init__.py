"""The bus: streams and permissions, delivery rules, dead letters, and a service's side of it."""

from shared.bus.bus import Bus, BusRequestError, CommandRefusedError, connect_admin, server_url
from shared.bus.decode import UndecodableError
from shared.bus.streams import PARTITIONS, partition_of, provision

__all__ = [
    "PARTITIONS",
    "Bus",
    "BusRequestError",
    "CommandRefusedError",
    "UndecodableError",
    "connect_admin",
    "partition_of",
    "provision",
    "server_url",
]
