"""Fault scenarios over a real shop: what is healed, what is done wrongly, what is put back, and how fast."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from services.cli.bench.faults.suite import everything
from services.cli.bench.results import Report


async def run(_data: Path | None = None) -> Report:
    """The table of this area."""
    return await everything(Console(stderr=True).print)
