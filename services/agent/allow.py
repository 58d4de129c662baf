"""What an agent may do: a file on its own host, which its owner writes and no healer can change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.packs.component import Process
from shared.packs.problems import PackError
from shared.packs.source import read_source


class AllowError(Exception):
    """The allow-list can't be used; the message says where and why."""


class NotAllowedError(Exception):
    """The allow-list does not let this be done; the message says what to add, for whoever may."""


class Allow(BaseModel):
    """`*` and `?` stand for any text. Nothing is allowed that isn't named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actuators: Annotated[tuple[str, ...], Field(min_length=1)]
    """As `file.*`, `process.restart`."""
    paths: tuple[str, ...] = ()
    """Files that may be read, and changed by the actuators above; links are followed before they are compared."""
    processes: tuple[Process, ...] = ()
    """Processes, exactly as the pack declares them: command, pid file and all."""
    resources: tuple[str, ...] = ()
    """Anything else that is acted on, as `unit:shop-*.service`, `container:shop-*`, `http:http://127.0.0.1:9100/*`."""

    def check_step(self, actuator: str, resource: str, files: Sequence[str], process: Process | None) -> None:
        """Raises NotAllowedError."""
        if not _matches(actuator, self.actuators):
            raise NotAllowedError(f"{actuator} is not in `actuators` of the agent's allow-list")
        for path in files:
            self.check_path(path)
        if actuator.startswith("process."):
            if process is None or process not in self.processes:
                raise NotAllowedError(f"{resource} is not in `processes` of the agent's allow-list, as it is declared")
        elif not files and not _matches(resource, self.resources):
            raise NotAllowedError(f"{resource} is not in `resources` of the agent's allow-list")

    def check_path(self, path: str) -> None:
        """Raises NotAllowedError."""
        real = os.path.realpath(path)
        if not (_matches(real, self.paths) and os.path.isabs(path)):
            raise NotAllowedError(f"{real} is not in `paths` of the agent's allow-list")


def _matches(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def read_allow(file: Path) -> Allow:
    """Raises AllowError."""
    try:
        return Allow.model_validate(read_source(file.read_text(), str(file)).data)
    except OSError as error:
        raise AllowError(f"can't read the allow-list {file}: {error.strerror}") from error
    except PackError as error:
        raise AllowError(str(error)) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'all'}: {one['msg']}" for one in error.errors()[:5])
        raise AllowError(f"{file}: {problems}") from error
