"""`python -m services.cli.bench.faults [--quick | --only TEXT … | --rivals]`: exit 0 only if all went as declared."""

from __future__ import annotations

import argparse
import asyncio
import logging

from rich.console import Console

from services.cli.bench.faults.catalogue import ACTS
from services.cli.bench.faults.rivals import compare
from services.cli.bench.faults.suite import chosen, play_all
from services.cli.bench.faults.summary import report
from services.cli.bench.results import table
from services.cli.stoppable import run_stoppable


async def main(*, quick: bool, only: tuple[str, ...], rivals: bool) -> bool:
    console = Console()

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False)

    found = [] if rivals else await play_all(chosen(quick=quick, only=only), say)
    console.print(table(report(found, await compare(say) if rivals else ())))
    return all(verdicts.as_declared for verdicts in found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the most telling scenarios, on one platform")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="those whose name holds TEXT")
    parser.add_argument("--rivals", action="store_true", help="only crashes of one process, beside monit and Docker")
    parser.add_argument("--list", action="store_true", help="print the scenarios and play none")
    arguments = parser.parse_args()
    if arguments.list:
        for act, scenarios in ACTS.items():
            for scenario in scenarios:
                Console().print(f"{act:12} {scenario.family:32} {scenario.name} → {scenario.expect}", soft_wrap=True)
        raise SystemExit(0)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        work = main(quick=arguments.quick, only=tuple(arguments.only), rivals=arguments.rivals)
        raise SystemExit(0 if run_stoppable(work) else 1)
    except asyncio.CancelledError:
        raise SystemExit(130) from None
