"""Programs: processes and containers."""

from __future__ import annotations

from shared.packs.base import Part, Path


class ProcessAction(Part):
    """Acts on the component's declared process."""

    signal: str | None = None
    """For `process.reload`: the signal to send, `SIGHUP` unless said."""


class DockerAction(Part):
    container: str = "${component.container}"
    socket: Path = "/var/run/docker.sock"
