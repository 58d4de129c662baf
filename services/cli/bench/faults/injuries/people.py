"""What people do: forbid, silence, approve, reject, deploy; and traffic, logs and reports that are no fault."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from services.cli.bench.faults.ground import Ground, GroundError, now
from services.cli.bench.faults.scenario import Deed
from shared.contracts.decider import Decision, Verdict

ASKED_WITHIN_S = 20.0
LETS_GO_WITHIN_S = 5.0
FLOOD_BYTES = 4 * 1024 * 1024
"""Logs grow by no more than this, and are cut back afterwards."""


def switch_off_during(deed: Deed) -> Deed:
    """The kill switch is on when the fault strikes."""

    async def strike(ground: Ground) -> None:
        ground.kill_switch.touch()
        await deed(ground)

    return strike


def lift_kill_switch(after_s: float) -> Deed:
    async def lift(ground: Ground) -> None:
        await asyncio.sleep(after_s)
        ground.forbidden_until = now()
        ground.kill_switch.unlink()

    return lift


def silenced(component: str, deed: Deed) -> Deed:
    async def strike(ground: Ground) -> None:
        async with ground.api() as client:
            answer = await client.post(
                "/api/silences", json={"component": component, "for_s": 60, "reason": "fault injection"}
            )
            answer.raise_for_status()
        silence = answer.json()["data"]["id"]

        async def end() -> None:
            async with ground.api() as client:
                (await client.delete(f"/api/silences/{silence}")).raise_for_status()

        ground.undo(end)
        await asyncio.sleep(0.5)
        await deed(ground)

    return strike


def answer(verb: str) -> Deed:
    """`approve` or `reject` the first question that is asked."""

    async def work(ground: Ground) -> None:
        began = now()

        def questions() -> list[Decision]:
            return [d for d in ground.recorder.of(Decision, began) if d.verdict is Verdict.ASK]

        if not await ground.recorder.wait_for(lambda: bool(questions()), ASKED_WITHIN_S):
            return
        ground.forbidden_until = now()
        async with ground.api() as client:
            (await client.post(f"/api/decisions/{questions()[0].decision_id}/{verb}", json={})).raise_for_status()

    return work


def bursts(for_s: float) -> Deed:
    async def strike(ground: Ground) -> None:
        await asyncio.to_thread(ground.shop.set_profile, "bursts", for_s)

        async def calm_down() -> None:
            await asyncio.to_thread(ground.shop.set_profile, "waves")

        ground.undo(calm_down)

    return strike


def log_flood(component: str, line: Callable[[int], dict[str, object]], count: int) -> Deed:
    """Lines that nobody has seen before, at once."""

    async def strike(ground: Ground) -> None:
        path = ground.settings.log_file(component)
        stamp = datetime.now(UTC).isoformat()
        lines = "".join(
            json.dumps({"ts": stamp, "component": component, **line(number)}) + "\n" for number in range(count)
        )
        if len(lines) > FLOOD_BYTES:
            raise GroundError(f"{len(lines)} bytes of log are more than the suite may write")
        with path.open("a") as stream:
            stream.write(lines)

    return strike


def impostor(component: str, status: int) -> Deed:
    """The provider's process goes, and what now answers at its address says `status` to every charge."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self._say(status)

        def _say(self, code: int) -> None:
            self.send_response(code)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            """It keeps no log."""

    async def strike(ground: Ground) -> None:
        ground.kill(component)
        await ground.until(lambda: ground.shop.pid(component) is None, 5)
        ThreadingHTTPServer.allow_reuse_address = True
        address = (ground.settings.bind_host, ground.settings.port(component))
        server = await asyncio.to_thread(_listening, address, Answer)
        Thread(target=server.serve_forever, daemon=True).start()

        async def leave() -> None:
            await asyncio.to_thread(server.shutdown)
            server.server_close()

        ground.undo(leave)

    return strike


def _listening(address: tuple[str, int], answer: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """As soon as the one before has let go of the address. Raises OSError when it doesn't."""
    ends = time.monotonic() + LETS_GO_WITHIN_S
    while True:
        try:
            return ThreadingHTTPServer(address, answer)
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)


def kill_server(name: str) -> Deed:
    """SIGKILL to one of the servers that the platform itself runs on; its supervisor brings it back."""

    async def strike(ground: Ground) -> None:
        status = next(one for one in ground.platform.servers.supervisor.status() if one.name == name)
        if status.pid is None:
            raise GroundError(f"{name} does not run: nothing to break")
        os.kill(status.pid, signal.SIGKILL)

    return strike
