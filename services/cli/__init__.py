"""The command line: everything a person does with Homeostat from a terminal."""

from __future__ import annotations


def main() -> None:
    """Entry point of `homeostat`."""
    from services.cli.app import app

    app()
