"""What is wrong with a pack, so that its author can mend it without reading code: what, where, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

type Place = tuple[str | int, ...]
"""A path through keys and list positions, as `("probes", 3, "http")`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `line` and `column` count from 1; 0 means that the place is not in a file."""

    file: str
    line: int
    column: int
    where: str
    """Dotted path inside the pack, as `probes[3].http.url`."""
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.where + ': ' if self.where else ''}{self.message}: {self.remedy}"


class PackError(Exception):
    """A pack can't be used; `problems` holds every mistake that was found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = sorted(set(problems), key=lambda p: (p.line, p.column, p.where, p.message))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem before its place is turned into line and column. `at_key`: the key is wrong, not its value."""

    place: Place
    message: str
    remedy: str
    at_key: bool = False


def dotted(place: Place) -> str:
    """`("probes", 3, "http")` → `probes[3].http`."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def suggestion(word: str, known: Iterable[str], otherwise: str) -> str:
    """`did you mean …?` when something known is close to `word`, and always what there is."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    listed = ", ".join(names[:40]) or "none"
    return (f"did you mean `{close[0]}`? " if close else "") + otherwise.format(listed)
