"""Picks from requirements.lock what the image needs, hashes included, so that one lock serves everything.

Usage: python requirements.py pyproject.toml requirements.lock extra [extra ...] > image.lock
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

PROJECT = "homeostat"
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==")
_PARENT = re.compile(r"\s+#\s+(?:via )?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[(?P<extras>[^]]*)])?")


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(project: Mapping[str, object], extras: Iterable[str]) -> set[str]:
    """Names that the project itself asks for, with these extras.

    Raises ValueError for an extra that the project doesn't have.
    """
    optional = project["optional-dependencies"]
    dependencies = project["dependencies"]
    assert isinstance(optional, dict)
    assert isinstance(dependencies, list)
    open_extras, seen, requirements = list(extras), set[str](), [str(one) for one in dependencies]
    names = set[str]()
    while open_extras:
        extra = open_extras.pop()
        if extra in seen:
            continue
        seen.add(extra)
        if extra not in optional:
            raise ValueError(f"pyproject.toml has no extra {extra!r}: it has {', '.join(sorted(optional))}")
        requirements += optional[extra]
        own = (_REQUIREMENT.match(one) for one in optional[extra])
        open_extras += [
            name.strip()
            for match in own
            if match and match["name"] == PROJECT and match["extras"]
            for name in match["extras"].split(",")
        ]
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        if match is None:
            raise ValueError(f"pyproject.toml: {requirement!r} is no requirement")
        names.add(normal(match["name"]))
    return names - {PROJECT}


def blocks(lock: str) -> dict[str, list[str]]:
    """The lines of each pinned distribution, in the lock's order."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lock.splitlines():
        match = _PIN.match(line)
        if match:
            current = found[normal(match["name"])] = []
        if line.strip() and not line.startswith("#"):
            current.append(line)
    return found


def parents(lines: Iterable[str]) -> set[str]:
    """Who needs a distribution, from the comments that uv writes below it."""
    names = set[str]()
    for line in lines:
        match = _PARENT.match(line)
        if match and match["name"] != "via":
            names.add(normal(match["name"]))
    return names


def select(pyproject: str, lock: str, extras: Iterable[str]) -> str:
    """The part of `lock` that the project needs with `extras`, as text for `pip install --require-hashes`.

    Raises ValueError when the lock misses something: compile it again.
    """
    pinned = blocks(lock)
    kept = wanted(tomllib.loads(pyproject)["project"], extras)
    missing = sorted(kept - pinned.keys())
    if missing:
        raise ValueError(f"requirements.lock has no {', '.join(missing)}: compile it again from pyproject.toml")
    asked_by = {name: parents(lines) for name, lines in pinned.items()}
    while True:
        more = {name for name, users in asked_by.items() if name not in kept and users & kept}
        if not more:
            return "\n".join(line for name, lines in pinned.items() if name in kept for line in lines) + "\n"
        kept |= more


if __name__ == "__main__":
    project_file, lock_file, *chosen = sys.argv[1:]
    sys.stdout.write(select(Path(project_file).read_text(), Path(lock_file).read_text(), chosen))
