"""Programs: processes and containers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.packs.base import Part, Path

_UNIT = r"^(\$\{component\.\w+\}|[A-Za-z0-9][A-Za-z0-9:_.@\\-]*\.(service|socket|timer|path))$"


class ProcessAction(Part):
    """Acts on the component's declared process."""

    signal: str | None = None
    """For `process.reload`: the signal to send, `SIGHUP` unless said."""


class SystemdUnit(Part):
    """A unit of the systemd that runs the healer's machine, or of the healer's own user."""

    unit: Annotated[str, Field(pattern=_UNIT, max_length=255)]
    scope: Literal["system", "user"] = "system"


class DockerAction(Part):
    container: str = "${component.container}"
    socket: Path = "/var/run/docker.sock"
