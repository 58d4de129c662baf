"""The kill switch: a file whose existence stops every action, whatever else is down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """`file` None: there is no switch. A switch that can't be read counts as on: it was meant to stop something."""

    file: Path | None

    def is_on(self) -> bool:
        if self.file is None:
            return False
        try:
            self.file.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True
