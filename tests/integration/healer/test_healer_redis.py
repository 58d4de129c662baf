"""redis.invalidate and redis.config_set on a real redis-server: bounded, once, and back byte for byte."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from services.healer.clients.base import ActuatorError
from services.healer.clients.redis_actuators import InvalidateKeys, SetRedisParameter
from shared.packs.actions.stores import RedisConfigSet, RedisInvalidate
from shared.packs.component import SecretRef
from tests.integration.test_detector_probes_stores import redis_server
from tests.unit.healer.helpers import Drawer, context_of

PASSWORD = "canary-hunter2"
CACHE = SecretRef(env="CACHE_URL")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis"), "--requirepass", PASSWORD) as (number, _):
        yield number


@pytest.fixture
async def redis(port: int, monkeypatch: pytest.MonkeyPatch) -> Redis:
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    monkeypatch.setenv("CACHE_URL", url)
    client = Redis.from_url(url)
    await client.flushall()
    return client


def invalidate(drawer: Drawer, pattern: str = "catalog:*", max_keys: int = 100) -> InvalidateKeys:
    return InvalidateKeys(context_of(drawer=drawer), RedisInvalidate(url=CACHE, pattern=pattern, max_keys=max_keys))


async def fill(redis: Redis) -> None:
    """A value of each type, some that end."""
    await redis.set("catalog:bytes", bytes(range(256)), px=60_000)
    await redis.hset("catalog:hash", mapping={f"field{n}": n for n in range(300)})
    await redis.rpush("catalog:list", *range(300))
    await redis.zadd("catalog:zset", {f"member{n}": n / 7 for n in range(300)})
    await redis.sadd("catalog:set", *range(300))
    await redis.xadd("catalog:stream", {"a": "1"}, id="5-1")
    await redis.pexpireat("catalog:hash", 4_102_444_800_123)
    await redis.set("orders:1", "not ours")


async def sight(redis: Redis) -> dict[bytes, tuple[object, int]]:
    """Of each key its value as its own type reads it, and the moment it ends."""
    found: dict[bytes, tuple[object, int]] = {}
    for key in sorted(await redis.keys("*")):
        reading: dict[bytes, Callable[[], Awaitable[object]]] = {
            b"string": lambda key=key: redis.get(key),
            b"hash": lambda key=key: redis.hgetall(key),
            b"list": lambda key=key: redis.lrange(key, 0, -1),
            b"zset": lambda key=key: redis.zrange(key, 0, -1, withscores=True),
            b"set": lambda key=key: redis.smembers(key),
            b"stream": lambda key=key: redis.xrange(key),
        }
        found[key] = (await reading[await redis.type(key)](), await redis.pexpiretime(key))
    return found


async def test_what_matches_is_deleted_once_and_comes_back_byte_and_end_exact(redis: Redis) -> None:
    await fill(redis)
    before, drawer = await sight(redis), Drawer()
    step = invalidate(drawer)
    seen = await step.observe()
    assert seen == {"keys": 6}
    assert "delete 6 keys matching 'catalog:*'" in step.describe(seen)
    assert (await step.apply(seen)).detail == "deleted 6 keys"
    assert list(await sight(redis)) == [b"orders:1"]
    assert not (await step.apply(seen)).changed
    assert (await step.undo(seen, await step.observe(), files_restored=False)).changed
    assert await sight(redis) == before
    again = await step.undo(seen, seen, files_restored=False)
    assert "written again" not in again.detail
    assert await sight(redis) == before


class KilledError(Exception):
    pass


async def test_a_repetition_after_a_crash_deletes_only_what_was_copied(redis: Redis) -> None:
    await fill(redis)
    drawer = Drawer()

    async def keep_and_die(content: bytes) -> None:
        await drawer.keep(content)
        raise KilledError

    step = invalidate(drawer)
    dying = replace(step, context=replace(step.context, keep=keep_and_die))
    with pytest.raises(KilledError):
        await dying.apply({})
    assert len(await redis.keys("catalog:*")) == 6
    await redis.set("catalog:new", "written since")
    await redis.set("catalog:bytes", "changed since")
    assert (await step.apply({})).detail == "deleted 5 of 6 keys"
    assert sorted(await redis.keys("catalog:*")) == [b"catalog:bytes", b"catalog:new"]


async def test_what_was_written_again_stays_at_undo_and_what_has_ended_stays_away(
    redis: Redis, eventually: Callable[..., Awaitable[None]]
) -> None:
    await fill(redis)
    await redis.set("catalog:brief", "x", px=200)
    step = invalidate(Drawer())
    ends_at_ms = await redis.pexpiretime("catalog:brief")
    await step.apply({})
    await redis.set("catalog:bytes", "fresh")

    async def ended() -> bool:
        seconds, micros = await redis.time()
        return seconds * 1000 + micros // 1000 > ends_at_ms

    await eventually(ended)
    done = await step.undo({}, {}, files_restored=False)
    assert "1 were written again" in done.detail
    assert await redis.get("catalog:bytes") == b"fresh"
    assert await redis.exists("catalog:brief") == 0
    assert await redis.llen("catalog:list") == 300


async def test_a_key_that_changes_while_it_is_copied_is_copied_again(redis: Redis) -> None:
    await fill(redis)
    drawer = Drawer()
    step = invalidate(drawer)

    async def keep_while_somebody_writes(content: bytes) -> None:
        if drawer.times == 0:
            await redis.set("catalog:bytes", "newer")
            await redis.delete("catalog:list")
        await drawer.keep(content)

    busy = replace(step, context=replace(step.context, keep=keep_while_somebody_writes))
    await busy.apply({})
    assert await redis.keys("catalog:*") == []
    await step.undo({}, {}, files_restored=False)
    assert await redis.get("catalog:bytes") == b"newer"
    assert await redis.exists("catalog:list") == 0, "somebody else deleted it"


async def test_more_keys_than_allowed_are_left_alone(redis: Redis) -> None:
    await fill(redis)
    drawer = Drawer()
    step = invalidate(drawer, max_keys=5)
    for refused in (step.observe(), step.apply({})):
        with pytest.raises(ActuatorError, match="max_keys = 5"):
            await refused
    assert len(await redis.keys("catalog:*")) == 6
    assert drawer.content is None
    assert not (await step.undo({}, {}, files_restored=False)).changed


async def test_a_parameter_is_set_once_and_put_back(redis: Redis) -> None:
    action = RedisConfigSet(url=CACHE, parameter="maxmemory", value="64Mi")
    step = SetRedisParameter(context_of(), action)
    seen = await step.observe()
    assert step.describe(seen) == "set maxmemory of redis-config:CACHE_URL from '0' to '67108864'"
    assert (await step.apply(seen)).changed
    assert not (await step.apply(seen)).changed
    assert (await redis.config_get("maxmemory"))["maxmemory"] == "67108864"
    await step.undo(seen, await step.observe(), files_restored=False)
    assert (await redis.config_get("maxmemory"))["maxmemory"] == "0"


async def test_a_parameter_that_somebody_else_changed_is_left(redis: Redis) -> None:
    step = SetRedisParameter(context_of(), RedisConfigSet(url=CACHE, parameter="maxclients", value=500))
    seen = await step.observe()
    await redis.config_set("maxclients", 700)
    with pytest.raises(ActuatorError, match="changed by somebody else to '700'"):
        await step.apply(seen)
    seen = await step.observe()
    await step.apply(seen)
    await redis.config_set("maxclients", 600)
    with pytest.raises(ActuatorError, match="changed by somebody else to '600'"):
        await step.undo(seen, await step.observe(), files_restored=False)


async def test_a_value_that_redis_refuses_or_makes_another_of_is_not_left_there(redis: Redis) -> None:
    policy = RedisConfigSet(url=CACHE, parameter="maxmemory-policy", value="allkeys-best")
    refused = SetRedisParameter(context_of(), policy)
    with pytest.raises(ActuatorError, match="maxmemory-policy"):
        await refused.apply(await refused.observe())
    clamped = SetRedisParameter(context_of(), RedisConfigSet(url=CACHE, parameter="hz", value=9_000))
    with pytest.raises(ActuatorError, match="Redis makes '500' of '9000'"):
        await clamped.apply(await clamped.observe())
    assert (await redis.config_get("hz"))["hz"] == "10"


@pytest.mark.parametrize("url", [f"redis://:wrong-{PASSWORD}@127.0.0.1:{{port}}/0", f"{PASSWORD} is no address"])
async def test_errors_name_the_secret_and_never_show_it(port: int, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CACHE_URL", url.format(port=port))
    with pytest.raises(ActuatorError, match="CACHE_URL") as refused:
        await invalidate(Drawer()).observe()
    assert PASSWORD not in str(refused.value)
    monkeypatch.delenv("CACHE_URL")
    with pytest.raises(ActuatorError, match="CACHE_URL is not set"):
        await invalidate(Drawer()).observe()
