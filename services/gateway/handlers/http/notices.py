"""What people were told: what was sent, what waits, what was given up; and trying a channel."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request

from services.gateway.clients.deliver import Message, deliver
from services.gateway.clients.outside import DeliveryError
from services.gateway.domain.notices.model import Notice
from services.gateway.handlers.http import schemas
from services.gateway.handlers.http.deps import Operator, Viewer, Wired, audit, audited
from services.gateway.handlers.http.problems import ApiError, not_found
from services.gateway.handlers.http.schemas import Listing, Success
from services.gateway.handlers.notices import NOTICE
from services.gateway.store import notices
from shared.packs import Severity
from shared.packs.notify import NoticeKind

router = APIRouter()


@router.get("/api/notifications", tags=["observe"])
async def list_notifications(
    deps: Wired,
    _bearer: Viewer,
    state: Literal["waiting", "sending", "sent", "failed", "dropped"] | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Listing[schemas.NotificationInfo]:
    """What was told or is to be told, newest first."""
    async with deps.units.begin() as unit:
        rows = await notices.newest(unit.session, state, limit)
    found = []
    for row in rows:
        notice = NOTICE.validate_python(row.body)
        found.append(
            schemas.NotificationInfo(
                id=row.id,
                pack=row.pack,
                channel=row.channel,
                kind=notice.kind.value,
                severity=notice.severity.value,
                component=row.component,
                case_id=row.case_id,
                title=notice.title,
                state=row.state,
                attempts=row.attempts,
                error=row.error,
                created_at=row.created_at,
                sent_at=row.sent_at,
            )
        )
    return Listing(data=found)


@router.post("/api/notifications/{notification_id}/retry", tags=["act"])
async def retry_notification(
    deps: Wired, request: Request, bearer: Operator, notification_id: UUID
) -> Success[schemas.Message]:
    """Sends what was given up once more."""
    async with deps.units.begin() as unit:
        if not await notices.again(unit.session, notification_id, unit.now):
            raise not_found("failed notification", str(notification_id), "see /api/notifications?state=failed")
        await audit(unit, deps, request, bearer, str(notification_id), {})
    return Success(data=schemas.Message(message=f"notification {notification_id} is sent again"))


@router.post("/api/notifications/test", tags=["act"])
async def test_channel(
    deps: Wired, request: Request, bearer: Operator, body: schemas.ChannelBody
) -> Success[schemas.Message]:
    """Sends one message on a channel at once, and says what came of it. It is not kept."""
    packs = [one.pack for one in deps.packs.packs.values() if body.pack in (None, one.pack.pack)]
    found = [(pack, pack.notify.channels[body.channel]) for pack in packs if body.channel in pack.notify.channels]
    if len(found) != 1:
        known = ", ".join(f"{pack.pack}/{name}" for pack in packs for name in pack.notify.channels) or "none"
        raise not_found("channel", body.channel, f"name its pack too; there are: {known}")
    pack, channel = found[0]
    now = deps.clock()
    notice = Notice(
        event_id=deps.ids(),
        case_id=deps.ids(),
        component=next(iter(pack.components)),
        kinds=(NoticeKind.MESSAGE,),
        severity=Severity.WARNING,
        at=now,
        title=f"a test of the channel {body.channel}, asked for by {bearer.name}",
    )
    async with audited(deps, request, bearer, f"{pack.pack}/{body.channel}", {}):
        try:
            await deliver(channel, Message(deps.ids(), (notice,), now), pack.http_hosts)
        except DeliveryError as error:
            remedy = "mend the channel in the pack, or its secret where the gateway runs"
            raise ApiError(502, "not-delivered", f"{pack.pack}/{body.channel}: {error}", remedy) from None
    return Success(data=schemas.Message(message=f"{pack.pack}/{body.channel} took the message"))
