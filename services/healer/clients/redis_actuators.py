"""redis.invalidate and redis.config_set: bounded, and undone as far as nobody else has acted since."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from services.healer.clients.base import ActuatorError, Context, Done, Facts, text
from services.healer.clients.secrets import read_secret
from shared.packs.actions.stores import OnRedis, RedisConfigSet, RedisInvalidate
from shared.packs.component import SecretRef

_CHUNK = 100
_MAX_COPY_BYTES = 16 * 1024 * 1024
_ROUNDS = 3
_DELETE_AS_SEEN = "if redis.call('DUMP', KEYS[1]) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end return 0"
_NEVER = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """A key as it was: its serialised value and the moment in ms since 1970 at which it ends (0: never)."""

    key: bytes
    value: bytes
    ends_at_ms: int


def packed(entries: Iterable[Kept]) -> bytes:
    """Entries as they are kept, for `unpacked`."""
    rows = [[_text(each.key), _text(each.value), each.ends_at_ms] for each in entries]
    return json.dumps(rows, separators=(",", ":")).encode()


def unpacked(content: bytes) -> list[Kept]:
    return [Kept(base64.b64decode(key), base64.b64decode(value), ends) for key, value, ends in json.loads(content)]


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


async def _on_redis[T](action: OnRedis, timeout_s: float, work: Callable[[Redis], Awaitable[T]]) -> T:
    """One connection for one piece of work. Raises ActuatorError, in which the address never stands."""
    url = read_secret(action.url, os.environ) if isinstance(action.url, SecretRef) else action.url
    try:
        client = Redis.from_url(
            url,
            single_connection_client=True,
            protocol=2,  # understood by every version; nothing of the newer one is needed
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            client_name="homeostat-healer",
        )
    except ValueError:  # its text would hold the address, and so the password
        raise ActuatorError(
            f"redis {action.target}: not the address of a Redis: write redis://user:password@host:6379/0"
        ) from None
    try:
        return await work(client)
    except (RedisError, OSError) as error:
        raise ActuatorError(f"redis {action.target}: {type(error).__name__}: {error}") from error
    finally:
        with suppress(RedisError, OSError):  # it may be gone already
            await client.aclose()


@dataclass(frozen=True, slots=True)
class InvalidateKeys:
    """Copies the matching keys durably, then deletes each if it still is what was copied.

    A repetition deletes from the copy and never looks for keys again: what was written since stays.
    """

    context: Context
    action: RedisInvalidate

    @property
    def resource(self) -> str:
        return f"redis:{self.action.target}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        found = await _on_redis(self.action, self.context.timeout_s, self._matching)
        if len(found) > self.action.max_keys and await self.context.kept() is None:
            raise ActuatorError(self._too_many())
        return {"keys": len(found)}

    def describe(self, seen: Facts) -> str:
        return f"delete {seen['keys']} keys matching {self.action.pattern!r} of {self.resource}"

    async def apply(self, seen: Facts) -> Done:
        return await _on_redis(self.action, self.context.timeout_s, self._delete)

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        """What has been written again since is newer, and stays."""
        kept = await self.context.kept()
        if kept is None:
            return Done("nothing had been deleted", changed=False)
        return await _on_redis(self.action, self.context.timeout_s, lambda client: _restore(client, unpacked(kept)))

    def _too_many(self) -> str:
        limit = self.action.max_keys
        return (
            f"{self.resource}: more than max_keys = {limit} keys match {self.action.pattern!r}: "
            "nothing is deleted; narrow the pattern or raise max_keys"
        )

    async def _matching(self, client: Redis) -> list[bytes]:
        """At most one more than allowed."""
        found: dict[bytes, None] = {}  # SCAN may name a key twice
        async for key in client.scan_iter(match=self.action.pattern.encode(), count=_CHUNK * 5):
            found[key] = None
            if len(found) > self.action.max_keys:
                break
        return list(found)

    async def _delete(self, client: Redis) -> Done:
        kept = await self.context.kept()
        if kept is not None:
            entries = unpacked(kept)
            deleted = len(entries) - len(await _delete_as_seen(client, entries))
            return Done(f"deleted {deleted} of {len(entries)} keys", changed=deleted > 0)
        keys = await self._matching(client)
        if len(keys) > self.action.max_keys:
            raise ActuatorError(self._too_many())
        gone: list[Kept] = []
        for _ in range(_ROUNDS):
            entries = await self._copied(client, keys)
            if entries or gone:
                await self.context.keep(packed([*gone, *entries]))
            changed = await _delete_as_seen(client, entries)
            gone += [each for each in entries if each not in changed]
            if not changed:
                return Done(f"deleted {len(gone)} keys", changed=bool(gone))
            keys = [each.key for each in changed]
        raise ActuatorError(
            f"{self.resource}: {len(keys)} keys matching {self.action.pattern!r} change faster than they are copied: "
            "narrow the pattern"
        )

    async def _copied(self, client: Redis, keys: Sequence[bytes]) -> list[Kept]:
        """The keys that are there. Raises ActuatorError when there is too much to keep."""
        entries: list[Kept] = []
        size = 0
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            pipe = client.pipeline(transaction=True)
            for key in chunk:
                pipe.dump(key)
                pipe.execute_command("PEXPIRETIME", key)  # Redis 7
            answers = await pipe.execute()
            for key, value, ends_at_ms in zip(chunk, answers[::2], answers[1::2], strict=True):
                if value is not None:
                    entries.append(Kept(key, value, max(ends_at_ms, _NEVER)))
                    size += len(key) + len(value)
            if size > _MAX_COPY_BYTES:
                raise ActuatorError(
                    f"{self.resource}: keys matching {self.action.pattern!r} hold more than {_MAX_COPY_BYTES} bytes: "
                    "nothing is deleted; narrow the pattern"
                )
        return entries


async def _delete_as_seen(client: Redis, entries: Sequence[Kept]) -> list[Kept]:
    """Deletes those that are what was copied; returns the others, gone or changed."""
    others: list[Kept] = []
    for start in range(0, len(entries), _CHUNK):
        chunk = entries[start : start + _CHUNK]
        pipe = client.pipeline(transaction=False)
        for each in chunk:
            pipe.eval(_DELETE_AS_SEEN, 1, each.key, each.value)
        others += [each for each, deleted in zip(chunk, await pipe.execute(), strict=True) if not deleted]
    return others


async def _restore(client: Redis, entries: Sequence[Kept]) -> Done:
    """Byte for byte and to the millisecond of its end; one whose end has come stays away."""
    newer = 0
    for start in range(0, len(entries), _CHUNK):
        chunk = entries[start : start + _CHUNK]
        pipe = client.pipeline(transaction=False)
        for each in chunk:
            pipe.restore(each.key, each.ends_at_ms, each.value, absttl=True)
        answers = await pipe.execute(raise_on_error=False)
        for each, answer in zip(chunk, answers, strict=True):
            if isinstance(answer, ResponseError) and "BUSYKEY" in str(answer):
                newer += await client.dump(each.key) != each.value
            elif isinstance(answer, Exception):
                raise answer
    left = f", {newer} were written again since and stay" if newer else ""
    return Done(f"restored {len(entries) - newer} keys{left}", changed=newer < len(entries))


@dataclass(frozen=True, slots=True)
class SetRedisParameter:
    """Sets a parameter if it still is what was seen, and reads it back."""

    context: Context
    action: RedisConfigSet

    @property
    def resource(self) -> str:
        return f"redis-config:{self.action.target}"

    @property
    def files(self) -> Sequence[str]:
        return ()

    async def observe(self) -> Facts:
        return {"value": await self._on_server(self._read)}

    def describe(self, seen: Facts) -> str:
        return f"set {self._what} from {seen['value']!r} to {self.action.plain_value!r}"

    @property
    def _what(self) -> str:
        return f"{self.action.parameter} of {self.resource}"

    async def apply(self, seen: Facts) -> Done:
        return await self._on_server(lambda client: self._set(client, text(seen, "value"), self.action.plain_value))

    async def undo(self, before: Facts, now: Facts, *, files_restored: bool) -> Done:
        return await self._on_server(lambda client: self._set(client, self.action.plain_value, text(before, "value")))

    async def _on_server[T](self, work: Callable[[Redis], Awaitable[T]]) -> T:
        return await _on_redis(self.action, self.context.timeout_s, work)

    async def _read(self, client: Redis) -> str:
        answer = await client.config_get(self.action.parameter)
        found = {_plain(key): _plain(value) for key, value in answer.items()}
        if self.action.parameter not in found:
            raise ActuatorError(f"{self.resource} knows no parameter {self.action.parameter!r}: its version lacks it")
        return found[self.action.parameter]

    async def _set(self, client: Redis, old: str, new: str) -> Done:
        now = await self._read(client)
        if now == new:
            return Done(f"{self._what} is {new!r} already", changed=False)
        if now != old:
            raise ActuatorError(f"{self._what} was changed by somebody else to {now!r}: left as it is")
        await client.config_set(self.action.parameter, new)
        made = await self._read(client)
        if made != new:
            await client.config_set(self.action.parameter, old)
            raise ActuatorError(f"{self._what}: Redis makes {made!r} of {new!r}: it is {old!r} again, write {made!r}")
        return Done(f"{self._what}: {old!r} → {new!r}")


def _plain(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
