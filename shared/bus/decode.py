"""From the bytes of a message to a contract: plain JSON as any client would send it, or a CloudEvent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from uuid import NAMESPACE_OID, UUID, uuid5

from pydantic import ValidationError

from shared.contracts.base import Event


class UndecodableError(Exception):
    """A message that no retry will make readable; the text says what is wrong with it and how to mend it."""


def decode[E: Event](
    contract: type[E], body: bytes, subject: str, *, stream: str, sequence: int, stored_at: datetime
) -> E:
    """The event in `body`.

    What a hand-written message may leave out is filled in from where the message lies: `id` from its place in the
    stream (the same at each delivery), `at` from the server's time, the key from the subject's last token.

    Raises:
        UndecodableError: not JSON, not of this contract, or about something else than its subject says.
    """
    try:
        event = contract.model_validate_json(body, extra="ignore")
    except ValidationError:
        event = _decode_leniently(contract, body, subject, stored_at)
    if "id" not in event.model_fields_set:
        event = event.model_copy(update={"id": uuid5(NAMESPACE_OID, f"{stream}:{sequence}")})
    token = subject.rpartition(".")[2]
    if contract.KEY and str(getattr(event, contract.KEY)) != token:
        raise UndecodableError(
            f"subject {subject} ends in {token!r} but the body's `{contract.KEY}` is "
            f"{getattr(event, contract.KEY)!r}: publish on {event.subject}"
        )
    return event


def _decode_leniently[E: Event](contract: type[E], body: bytes, subject: str, stored_at: datetime) -> E:
    try:
        raw = json.loads(body)
    except ValueError as error:
        raise UndecodableError(f"body on {subject} is not JSON ({error}): send one JSON object") from error
    if not isinstance(raw, dict):
        raise UndecodableError(f"body on {subject} is a JSON {type(raw).__name__}: send one JSON object")
    if "specversion" in raw:
        raw = _unwrap_cloud_event(raw, subject)
    raw.setdefault("at", stored_at.isoformat())
    if contract.KEY:
        raw.setdefault(contract.KEY, subject.rpartition(".")[2])
    try:
        return contract.model_validate(raw, extra="ignore")
    except ValidationError as error:
        raise UndecodableError(f"body on {subject} is no {contract.SUBJECT}: {explain(error)}") from error


def _unwrap_cloud_event(raw: Mapping[str, object], subject: str) -> dict[str, object]:
    """Data of a structured CloudEvent 1.0, with the envelope's id and time."""
    data = raw.get("data")
    if not isinstance(data, dict):
        raise UndecodableError(f"CloudEvent on {subject} has no JSON object in `data`")
    unwrapped: dict[str, object] = dict(data)
    if isinstance(raw.get("time"), str):
        unwrapped.setdefault("at", raw["time"])
    if isinstance(raw.get("id"), str):
        unwrapped.setdefault("id", str(_as_uuid(f"{raw.get('source')}/{raw['id']}", str(raw["id"]))))
    return unwrapped


def _as_uuid(name: str, text: str) -> UUID:
    """CloudEvents ids are any text, unique per source: the same text gives the same UUID."""
    try:
        return UUID(text)
    except ValueError:
        return uuid5(NAMESPACE_OID, name)


def explain(error: ValidationError, most: int = 3) -> str:
    """The first problems of a pydantic error in one line, with the place of each."""
    problems = error.errors(include_url=False)
    shown = "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}" for problem in problems[:most]
    )
    return shown + (f"; and {len(problems) - most} more" if len(problems) > most else "")
