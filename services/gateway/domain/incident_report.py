"""The report of one incident as a document: sections of sentences, and the same as Markdown (C12, C13)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_[]<>#|"})


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its sentences, one fact each."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report; sections without sentences are left out of it."""

    title: str
    summary: str
    sections: tuple[Section, ...]


def compose(title: str, summary: str, sections: Iterable[Section]) -> Report:
    return Report(title, summary, tuple(section for section in sections if section.lines))


def as_markdown(report: Report) -> str:
    """What others said is escaped, so that no message of theirs becomes markup.

    >>> print(as_markdown(compose("A", "It broke.", [Section("Why", ("a *b*",)), Section("Empty", ())])))
    # A
    <BLANKLINE>
    It broke.
    <BLANKLINE>
    ## Why
    <BLANKLINE>
    - a \\*b\\*
    """
    blocks = [f"# {_plain(report.title)}", _plain(report.summary)]
    for section in report.sections:
        blocks.append(f"## {_plain(section.title)}")
        blocks.append("\n".join(f"- {_plain(line)}" for line in section.lines))
    return "\n\n".join(blocks)


def _plain(text: str) -> str:
    return " ".join(text.split()).translate(_SPECIAL)
