"""The kill switch: a file whose existence stops every action, whatever else is down."""

from __future__ import annotations

import os
from contextlib import suppress
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

    def pull(self, words: str = "") -> None:
        """Turns it on, and keeps there who did and why, where there is room for it; on already, it stays as it is.

        Raises:
            OSError: the file can't be made.
        """
        if self.file is None or self.is_on():
            return
        descriptor = os.open(self.file, os.O_CREAT | os.O_WRONLY, 0o644)  # from here on it is on
        try:
            with suppress(OSError):  # a full disk has room for a name, if not for the words
                os.write(descriptor, f"{words}\n".encode())
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Turns it off.

        Raises:
            OSError: the file can't be removed.
        """
        if self.file is not None:
            self.file.unlink(missing_ok=True)
