"""Commands that run Homeostat: `up`, `serve`, `migrate`."""

from __future__ import annotations

import asyncio
import os
import signal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.output import DEFAULT_DATA_DIR, DataDirOption, console, fail
from shared.settings import SERVICES, SettingsError

if TYPE_CHECKING:
    from shared.runtime import Service


def up(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; chosen once and kept when not given.")] = None,
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C."""
    from services.cli.local import LocalPlatform
    from services.cli.provision import ProvisionError
    from shared.embedded import ChildStatus, EmbeddedError

    def changed(status: ChildStatus) -> None:
        if status.restarts and status.state in ("backoff", "failed", "running"):
            console.print(f"[yellow]{status.name}[/yellow] {status.state}: {status.detail or 'restarted'}")

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        platform = LocalPlatform(data_dir, gateway_port=port, on_progress=_tick, on_change=changed)
        starting = asyncio.create_task(platform.start())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                console.print(f"\nHomeostat is up at [bold]{platform.gateway_url}[/bold] (data in {data_dir})")
                console.print("Another terminal: [bold]homeostat status[/bold]. Ctrl-C stops everything.")
                await stopping
            console.print("stopping …")
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await platform.stop()

    try:
        asyncio.run(main())
    except (EmbeddedError, ProvisionError, SettingsError) as error:
        raise fail(str(error)) from None


def demo(
    data_dir: DataDirOption = Path(".homeostat/demo"),
    report: Annotated[Path, typer.Option(help="Where the page with plots and timeline goes.")] = Path(
        "demo-report.html"
    ),
    keep_running: Annotated[bool, typer.Option("--keep-running", help="Leave everything up until Ctrl-C.")] = False,
) -> None:
    """Break a small real shop in five ways and watch it being healed. Exit 0 only if every fault was."""
    from examples.shop.faults import FaultError
    from examples.shop.supervise import ShopError
    from services.cli.demo.run import DemoError, Options, main
    from services.cli.provision import ProvisionError
    from shared.embedded import EmbeddedError
    from shared.packs.problems import PackError

    try:
        good = main(Options(data_dir, report, keep_running), console)
    except (DemoError, EmbeddedError, ProvisionError, PackError, ShopError, FaultError) as error:
        raise fail(str(error)) from None
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise fail("stopped; nothing is left running", code=130) from None
    if not good:
        raise typer.Exit(1)


def _tick(text: str) -> None:
    console.print(f"[green]✓[/green] {text}", highlight=False)


def serve(service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")]) -> None:
    """Run one service in the foreground. Its settings are HOMEOSTAT_… variables."""
    if service not in SERVICES:
        raise fail(f"there is no service {service!r}: choose one of {', '.join(SERVICES)}", code=2)
    from pydantic import ValidationError

    from shared.runtime import serve as serve_process

    try:
        app = import_module(f"services.{service}.app")
        settings = import_module(f"services.{service}.settings").Settings()
    except ImportError as error:
        raise fail(f"{error}: install it with `pip install 'homeostat[{service}]'`") from None
    except (ValidationError, SettingsError) as error:
        raise fail(f"settings of {service}: {error}") from None

    def build() -> Service:
        built: Service = app.build(settings)
        return built

    try:
        serve_process(build)
    except SettingsError as error:
        raise fail(str(error)) from None


def migrate(
    database_url: Annotated[
        str, typer.Option(envvar="HOMEOSTAT_ADMIN_DATABASE_URL", help="PostgreSQL, as a role that may create roles.")
    ],
    nats_url: Annotated[str, typer.Option(envvar="HOMEOSTAT_NATS_URL")] = "nats://127.0.0.1:4222",
    secrets_dir: Annotated[
        Path,
        typer.Option(envvar="HOMEOSTAT_SECRETS_DIR", help="Files `postgres-<service>`: the password of each role."),
    ] = Path("/run/secrets"),
) -> None:
    """Make roles, schemas, tables and streams, or bring them up to date. Safe to repeat.

    Passwords of the administrators come from the files that HOMEOSTAT_ADMIN_DATABASE_PASSWORD_FILE and
    HOMEOSTAT_NATS_ADMIN_PASSWORD_FILE name.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    from services.cli.provision import ProvisionError, provision_all

    try:
        admin = make_url(database_url)
        if password := _password_from("HOMEOSTAT_ADMIN_DATABASE_PASSWORD_FILE"):
            admin = admin.set(password=password)
        passwords = {service: _read(secrets_dir / f"postgres-{service}") for service in SERVICES}
        nats_password = _password_from("HOMEOSTAT_NATS_ADMIN_PASSWORD_FILE")
        user = "admin" if nats_password else None
        with console.status("migrating …"):
            done = asyncio.run(provision_all(admin, passwords, nats_url, user, nats_password))
    except ArgumentError:
        raise fail("HOMEOSTAT_ADMIN_DATABASE_URL is no address: write postgresql://user@host:port/database") from None
    except (ProvisionError, SettingsError) as error:
        raise fail(str(error)) from None
    for service, before in done.schemas.items():
        _tick(f"{service}: {'new' if before is None else f'was at {before}'}")
    _tick(f"streams: {', '.join(done.streams) or 'all there'}")


def _password_from(variable: str) -> str | None:
    path = os.environ.get(variable)
    return _read(Path(path)) if path else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(f"can't read the secret {path} ({error.strerror}): mount it there") from error
