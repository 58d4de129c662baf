"""`homeostat agent` and `homeostat agents`: hands on other hosts."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from services.cli.client import connect
from services.cli.output import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    ago,
    fail,
    print_json,
    print_table,
)


def agent(
    name: Annotated[str, typer.Option(help="Its name, as `host:` in packs says it.")],
    allow: Annotated[Path, typer.Option(help="What it may do: see docs/how-to/act-on-other-hosts.md.")],
    nats_url: Annotated[
        str, typer.Option("--nats", envvar="HOMEOSTAT_NATS_URL", help="Where the bus is.")
    ] = "nats://127.0.0.1:4222",
    password_file: Annotated[
        Path | None, typer.Option(envvar="HOMEOSTAT_NATS_PASSWORD_FILE", help="Of the NATS user `agent-<name>`.")
    ] = None,
    kill_switch_file: Annotated[
        Path | None,
        typer.Option(envvar="HOMEOSTAT_KILL_SWITCH_FILE", help="While this file is there, nothing is done."),
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="Where it remembers what it has done.")] = Path(".homeostat-agent"),
) -> None:
    """Do on this host what the healer asks, as far as the allow-list lets it."""
    from services.agent.allow import AllowError
    from services.agent.app import Agent

    try:
        password = password_file.read_text().strip() if password_file else os.environ.get("HOMEOSTAT_NATS_PASSWORD")
        asyncio.run(Agent(name, allow, data_dir, nats_url, password, kill_switch_file).run())
    except (AllowError, OSError) as error:
        raise fail(escape(str(error))) from None


def agents(data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """Agents on other hosts, and when each was last heard of."""
    found = connect(data_dir).get("/api/healing/agents")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            escape(one["name"]),
            "[red]away[/red]" if one["away"] else "[green]there[/green]",
            ago(one["last_seen_at"]) or "never",
            escape(one["version"]),
            "on" if one["switched_off"] else "",
            escape(", ".join(one["actuators"])),
        )
        for one in found
    ]
    print_table("", ("agent", "is", "last seen", "version", "kill switch", "may"), rows, "No agents.")
