"""routing.*: to the next provider that isn't ill, over a file or over HTTP, set once and read back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.healer.clients.base import ActuatorError, Context
from services.healer.clients.registry import actuator_for
from services.healer.clients.routing.actuators import state_of
from services.healer.clients.spawn import Spawner
from services.healer.domain.routing import RoutingError, failover_target
from shared.packs.component import Component, Providers, SecretRef
from shared.packs.playbook import Step

TOML = b'# by hand\n[upstream]\nprimary = "a"  # ranked\n\n[breakers]\na = "closed"\n'


def providers(route: dict[str, object], backups: tuple[str, ...] = ("b", "c")) -> Providers:
    return Providers.model_validate({"primary": "a", "backups": backups, "route": route})


def in_file(path: Path) -> Providers:
    return providers({"file": {"path": str(path), "key": "upstream.primary", "breaker_key": "breakers.{provider}"}})


def bound(context: Context, declared: Providers, *ill: str) -> Context:
    return replace(context, target=Component(providers=declared), is_ill=lambda name: name in ill)


def step(name: str, spawner: Spawner, context: Context, **parameters: object):  # type: ignore[no-untyped-def]
    return actuator_for(Step.model_validate({name: parameters}), context, spawner)


# ---- who comes next

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=2, unique=True)


@given(names=NAMES, ill=st.sets(st.sampled_from("abcdefgh")), current=st.sampled_from("abcdefgh"))
def test_failover_goes_to_the_first_by_rank_that_is_not_ill_and_never_stays(
    names: list[str], ill: set[str], current: str
) -> None:
    declared = Providers.model_validate(
        {"primary": names[0], "backups": names[1:], "route": {"http": {"url": "http://x"}}}
    )
    well = [name for name in names if name not in ill and name != current]
    if well:
        assert failover_target(declared, current, ill.__contains__) == well[0]
    else:
        with pytest.raises(RoutingError, match="ill too"):
            failover_target(declared, current, ill.__contains__)


def test_a_named_target_must_be_declared_and_well() -> None:
    declared = in_file(Path("x"))
    assert failover_target(declared, "a", lambda _: False, "c") == "c"
    with pytest.raises(RoutingError, match="none of the declared"):
        failover_target(declared, "a", lambda _: False, "z")
    with pytest.raises(RoutingError, match="ill itself"):
        failover_target(declared, "a", lambda _: True, "c")


# ---- in a file


async def test_a_file_changes_in_one_value_and_a_repetition_changes_nothing(
    tmp_path: Path, context: Context, spawner: Spawner
) -> None:
    path = tmp_path / "payments.toml"
    path.write_bytes(TOML)
    context = bound(context, in_file(path), "b")
    failover = step("routing.failover", spawner, context)
    assert list(failover.files) == [str(path)]
    seen = await failover.observe()
    assert (seen["from"], seen["to"]) == ("a", "c")
    assert (await failover.apply(seen)).changed
    assert path.read_bytes() == TOML.replace(b'primary = "a"', b'primary = "c"')
    healed = bound(context, in_file(path))  # what is well by now doesn't matter to a repetition
    assert not (await step("routing.failover", spawner, healed).apply(seen)).changed
    assert (await state_of(in_file(path), ())).provider == "c"


async def test_the_way_back_is_refused_while_the_primary_is_ill(
    tmp_path: Path, context: Context, spawner: Spawner
) -> None:
    path = tmp_path / "payments.toml"
    path.write_bytes(TOML.replace(b'"a"  #', b'"b"  #'))
    with pytest.raises(ActuatorError, match="a is ill again"):
        await step("routing.failback", spawner, bound(context, in_file(path), "a")).observe()
    failback = step("routing.failback", spawner, bound(context, in_file(path)))
    await failback.apply(await failback.observe())
    assert path.read_bytes() == TOML


@pytest.mark.parametrize(("name", "state"), [("open", "open"), ("half_open", "half-open"), ("reset", "closed")])
async def test_a_breaker_in_a_file(tmp_path: Path, context: Context, spawner: Spawner, name: str, state: str) -> None:
    path = tmp_path / "payments.toml"
    path.write_bytes(TOML)
    breaker = step(f"routing.{name}", spawner, bound(context, in_file(path)))
    await breaker.apply(await breaker.observe())
    assert path.read_bytes() == TOML.replace(b'"closed"', f'"{state}"'.encode())


def test_without_providers_or_with_a_stranger_nothing_is_planned(context: Context, spawner: Spawner) -> None:
    with pytest.raises(ActuatorError, match="no `providers`"):
        step("routing.failover", spawner, context)
    declared = bound(context, in_file(Path("x")))
    with pytest.raises(ActuatorError, match="none of the declared"):
        step("routing.open", spawner, declared, provider="z")


# ---- over HTTP


@dataclass
class Application:
    """An application that tells and takes its route at one address."""

    provider: str = "a"
    breakers: dict[str, str] = field(default_factory=lambda: {"a": "closed"})
    puts: list[tuple[dict[str, str], dict[str, object]]] = field(default_factory=list)
    deaf: bool = False

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        if first.startswith("PUT"):
            self.puts.append((headers, body))
            if not self.deaf:
                self.provider = body.get("provider", self.provider)
                self.breakers |= body.get("breakers", {})
        answer = json.dumps({"provider": self.provider, "breakers": self.breakers}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def serve(self, token: SecretRef | None = None) -> AsyncIterator[Providers]:
        async with await asyncio.start_server(self.handle, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/admin/routing"
            yield providers({"http": {"url": url, "token": token.model_dump() if token else None}})


async def test_an_application_is_told_once_and_read_back(
    context: Context, spawner: Spawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTE_TOKEN", "only for the application")
    application = Application()
    async with application.serve(SecretRef(env="ROUTE_TOKEN")) as declared:
        failover = step("routing.failover", spawner, bound(context, declared))
        seen = await failover.observe()
        assert "only for" not in failover.describe(seen)
        assert (await failover.apply(seen)).changed
        assert not (await failover.apply(seen)).changed
        (headers, body), *others = application.puts
        assert (body, others) == ({"provider": "b"}, [])
        assert headers["authorization"] == "Bearer only for the application"
        assert headers["idempotency-key"] == context.key
        await failover.undo(seen, await failover.observe(), files_restored=False)
        assert application.provider == "a"


async def test_a_change_that_does_not_hold_or_was_made_by_somebody_else_is_said(
    context: Context, spawner: Spawner
) -> None:
    application = Application(deaf=True)
    async with application.serve() as declared:
        failover = step("routing.failover", spawner, bound(context, declared))
        seen = await failover.observe()
        with pytest.raises(ActuatorError, match="reads back as a"):
            await failover.apply(seen)
        application.provider = "c"
        with pytest.raises(ActuatorError, match="somebody else"):
            await failover.apply(seen)


async def test_an_undoing_is_possible_even_when_every_provider_is_ill(context: Context, spawner: Spawner) -> None:
    application = Application()
    async with application.serve() as declared:
        failover = step("routing.failover", spawner, bound(context, declared))
        seen = await failover.observe()
        await failover.apply(seen)
        all_ill = step("routing.failover", spawner, bound(context, declared, "a", "b", "c"))
        now = await all_ill.observe()
        with pytest.raises(ActuatorError, match="ill too"):
            all_ill.describe(now)
        await all_ill.undo(seen, now, files_restored=False)
        assert application.provider == "a"


async def test_a_breaker_over_http(context: Context, spawner: Spawner) -> None:
    application = Application()
    async with application.serve() as declared:
        for name, state in (("open", "open"), ("half_open", "half-open"), ("reset", "closed")):
            breaker = step(f"routing.{name}", spawner, bound(context, declared), provider="b")
            await breaker.apply(await breaker.observe())
            assert application.breakers["b"] == state


async def test_an_address_that_is_not_declared_is_refused(context: Context, spawner: Spawner) -> None:
    declared = providers({"http": {"url": "http://elsewhere.example/admin"}})
    with pytest.raises(ActuatorError, match="http_hosts"):
        await step("routing.failover", spawner, bound(context, declared)).observe()
