"""A standing pull: there is always a request for more, so that a message never waits for one."""

from __future__ import annotations

import json
from typing import Any, cast

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus.pull import Pull


class Line:
    """As much of a connection as a pull uses: it notes what is asked for, and says what the server would."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.say: Any = None

    async def subscribe(self, _inbox: str, cb: Any) -> None:
        self.say = cb

    async def publish(self, _subject: str, body: bytes, reply: str) -> None:
        self.requests.append(json.loads(body))

    async def ends(self, left: int) -> None:
        headers = {"Status": "408", "Description": "Request Timeout", "Nats-Pending-Messages": str(left)}
        await self.say(Msg(cast(Client, self), "inbox", headers=headers))

    async def tells(self) -> None:
        await self.say(Msg(cast(Client, self), "detector.incident.v1.orders", data=b"{}"))


async def test_a_request_that_ran_out_is_followed_by_the_next_at_once() -> None:
    line = Line()
    async with Pull(cast(Client, line), "EVENTS", "decider", "inbox", 32, shared=True):
        assert len(line.requests) == 1
        await line.ends(left=32)
        assert len(line.requests) == 2, "nobody had to wait for a message or a heartbeat"


async def test_of_two_requests_one_may_run_out() -> None:
    line = Line()
    async with Pull(cast(Client, line), "EVENTS", "decider", "inbox", 2, shared=True) as pull:
        await line.tells()
        assert len(await pull.batch()) == 1
        assert len(line.requests) == 2
        await line.ends(left=1)
        assert len(line.requests) == 2, "the second request stands"
