"""`homeostat contracts`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import console, fail


def contracts(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail when something is out of date.")] = False,
) -> None:
    """Generate AsyncAPI, OpenAPI, the pack's JSON Schema and the architecture's tables from the code."""
    from services.cli.contracts import ContractsError, generate
    from services.cli.contracts import check as differences

    folder = Path.cwd()
    if not (folder / "contracts").is_dir():
        raise fail("contracts/ is not here: run this at the root of a checkout", code=2)
    try:
        if check:
            if found := differences(folder):
                raise fail("\n".join(found))
            return
        for path in generate(folder):
            console.print(f"written: {path}")
    except ContractsError as error:
        raise fail(str(error)) from None
