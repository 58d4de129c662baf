"""Answers that people give by a click in Slack: verified, given by a mapped person, and heard once."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import JsonValue

from services.gateway.clients.deliver import replace_message
from services.gateway.clients.outside import DeliveryError, read_secret
from services.gateway.domain.notices.slack_answers import Click, SlackAnswerError, is_signed, read_click
from services.gateway.handlers.http.deps import Deps, Wired
from services.gateway.handlers.http.problems import ApiError
from services.gateway.store import access, notices
from services.gateway.store.access import Deed
from shared.bus import BusRequestError
from shared.contracts.decider import Answer, Answered, Verb
from shared.packs.model import Pack
from shared.packs.notify import SlackChannel

log = structlog.get_logger()
router = APIRouter(tags=["act"])

ANSWER_TIMEOUT_S = 2.0
"""Slack wants to hear from us within three seconds."""


@router.post("/api/slack/interactions", openapi_extra={"security": []})
async def slack_interaction(deps: Wired, request: Request) -> Response:
    """Slack's own door: no token, but Slack's signature over the whole request, not older than five minutes.

    The answer to a question counts for whoever the pack's `users` says that the Slack user is, once.
    """
    body = await request.body()
    given = request.headers.get("x-slack-signature", "")
    found = _signer(deps, request.headers.get("x-slack-request-timestamp", ""), given, body)
    if found is None:
        raise await _refused(
            deps, request, "", "bad-signature", HTTPStatus.UNAUTHORIZED, "Slack did not sign this, or not lately"
        )
    pack, channel = found
    try:
        click = read_click(body)
    except SlackAnswerError as error:
        raise ApiError(400, "no-answer", str(error), "only the buttons of Homeostat's questions are heard") from None
    async with deps.units.begin() as unit:
        is_first = await notices.first_click(unit.session, given, unit.now)
    if not is_first:
        return Response(status_code=200)  # a repetition of Slack's, or somebody's: heard already
    person = channel.users.get(click.user_id)
    if person is None:
        said = f"the Slack user {click.user_id[:20]} may not answer: the pack {pack.pack} maps nobody to it"
        raise await _refused(deps, request, click.user_id[:20], "unknown-slack-user", 403, said)
    words = await _answer(deps, request, click, person)
    await _replace(click, words, pack)
    return Response(status_code=200)


def _channels(deps: Deps) -> Iterator[tuple[Pack, SlackChannel]]:
    for applied in deps.packs.packs.values():
        for channel in applied.pack.notify.channels.values():
            if channel.slack is not None and channel.slack.signing_secret is not None:
                yield applied.pack, channel.slack


def _signer(deps: Deps, timestamp: str, given: str, body: bytes) -> tuple[Pack, SlackChannel] | None:
    """The channel whose app signed this."""
    for pack, channel in _channels(deps):
        assert channel.signing_secret is not None
        try:
            secret = read_secret(channel.signing_secret)
        except DeliveryError as error:
            log.warning("a Slack app's answers can't be verified", pack=pack.pack, error=str(error))
            continue
        if is_signed(secret, timestamp, given, body, deps.clock().timestamp()):
            return pack, channel
    return None


async def _answer(deps: Deps, request: Request, click: Click, person: str) -> str:
    """Gives the answer to the decider as this person; returns what came of it, for people."""
    answer = Answer(
        id=deps.ids(),
        at=deps.clock(),
        decision_id=click.decision_id,
        verb=Verb(click.verb),
        by=person,
        comment="by Slack",
        revision=click.revision,
    )
    done = {"approve": "approved", "reject": "rejected"}[click.verb]
    try:
        answered = await deps.bus.request("decider", "answer", answer, Answered, ANSWER_TIMEOUT_S)
    except (BusRequestError, TimeoutError) as error:
        await _audit(deps, request, person, click, "failed", 502, str(error) or "the decider did not answer")
        return f"{person} has not {done} it: the decider did not answer. Answer with `homeostat {click.verb}`."
    result, status = ("done", 200) if answered.accepted else ("refused", 409)
    await _audit(deps, request, person, click, result, status, answered.reason)
    return f"{done} by {person}" if answered.accepted else f"not {done}: {answered.reason}"


async def _replace(click: Click, words: str, pack: Pack) -> None:
    """Takes the buttons away and says what came of it; a failure of this changes nothing of the answer."""
    if not click.response_url:
        return
    try:
        await replace_message(click.response_url, words, pack.http_hosts)
    except DeliveryError as error:
        log.warning("Slack's message not replaced", error=str(error))


async def _audit(deps: Deps, request: Request, person: str, click: Click, result: str, status: int, said: str) -> None:
    detail: dict[str, JsonValue] = {"verb": click.verb, "by": "slack", "slack_user": click.user_id, "said": said}
    await _write(deps, request, person, str(click.decision_id), result, status, detail)


async def _refused(deps: Deps, request: Request, target: str, kind: str, status: int, said: str) -> ApiError:
    """Audited like every refusal, and as sparingly."""
    held_back = deps.refusals.pass_at(deps.clock())
    if held_back is not None:
        detail: dict[str, JsonValue] = {"reason": kind}
        if held_back:
            detail["not_written_before"] = held_back
        await _write(deps, request, "", target, "refused", status, detail)
    remedy = "see docs/how-to/notify-people.md for the app's signing secret and the pack's `users`"
    headers = {"WWW-Authenticate": "Slack-Signature"} if status == HTTPStatus.UNAUTHORIZED else None
    return ApiError(status, kind, said, remedy, headers=headers)


async def _write(
    deps: Deps, request: Request, actor: str, target: str, result: str, status: int, detail: dict[str, JsonValue]
) -> None:
    deed = Deed(
        id=deps.ids(),
        at=deps.clock(),
        actor=actor,
        role="operator" if actor else "",
        action=f"{request.method} {request.url.path}",
        target=target,
        result=result,
        status=status,
        detail=detail,
    )
    async with deps.units.begin() as unit:
        await access.write_audit(unit.session, deed)
