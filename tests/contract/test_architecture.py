"""The rules of `.importlinter` bite: each is broken once in a copy, and each must notice."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import SERVICES

ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "shared")


def rules() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser


def test_the_rules_are_for_every_service() -> None:
    wanted = {f"services.{name}" for name in SERVICES}
    assert set(rules()["importlinter:contract:rooms"]["containers"].split()) == wanted
    assert set(rules()["importlinter:contract:independence"]["modules"].split()) == wanted


def test_no_module_hides_from_the_rules() -> None:
    """The linter sees packages only: a folder without `__init__.py` would escape it. Migrations are scripts."""
    folders = {file.parent for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    hidden = {f for f in folders if f.name != "migrations" and not (f / "__init__.py").exists()}
    assert sorted(str(folder.relative_to(ROOT)) for folder in hidden) == []


BREAKS = {
    "rooms": ("services/detector/helpers.py", ""),
    "independence": ("services/detector/app.py", "import services.learner.app"),
    "settings": ("services/detector/handlers/__init__.py", "import services.detector.settings"),
    "pure-domain": ("services/detector/domain/__init__.py", "import asyncio"),
    "no-wire-types": ("services/healer/domain/__init__.py", "from shared.contracts.detector import Incident"),
    "storage": ("services/healer/handlers/__init__.py", "import sqlalchemy"),
    "command-line": ("services/cli/app.py", "import services.detector.store"),
    "shared-below": ("shared/partitions.py", "import services.detector"),
    "shared-layers": ("shared/new_idea.py", ""),
    "embedded": ("shared/embedded/__init__.py", "import shared.settings"),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Rule → KEPT or BROKEN in a copy of the code that breaks them all."""
    copy = tmp_path_factory.mktemp("checkout")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", copy)
    for path, line in BREAKS.values():
        with (copy / path).open("a") as file:
            file.write(f"\n{line}\n")
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=copy, capture_output=True, text=True, check=False, timeout=100)
    names = {section.rpartition(":")[2]: options["name"] for section, options in rules().items() if "name" in options}
    said = " ".join(done.stdout.split())
    assert "Contracts:" in said, done.stdout
    return {rule: "BROKEN" if f"{name} BROKEN" in said else "KEPT" for rule, name in names.items()}


@pytest.mark.parametrize("rule", BREAKS)
def test_a_broken_rule_is_noticed(verdicts: dict[str, str], rule: str) -> None:
    assert verdicts[rule] == "BROKEN"


def test_every_rule_is_proven(verdicts: dict[str, str]) -> None:
    assert verdicts.keys() == BREAKS.keys()
