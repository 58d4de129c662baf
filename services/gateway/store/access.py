"""Tokens, and the audit of what people did or were refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.gateway.domain.access import Role, permissions_of
from services.gateway.store.tables import AuditRow, TokenRow
from services.gateway.store.timeline import UNCHAINED, storable

BOOTSTRAP = "bootstrap"
"""Name of the token that the settings give."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whoever a token stands for."""

    id: UUID
    name: str
    role: Role
    expires_at: datetime | None
    permissions: tuple[str, ...] = ()


async def bearer(session: AsyncSession, hashed: bytes) -> Bearer | None:
    """Who has the token of this hash; expired ones too, revoked ones not."""
    query = select(TokenRow).where(TokenRow.hash == hashed, TokenRow.revoked_at.is_(None))
    row = (await session.execute(query)).scalar()
    if row is None:
        return None
    role = Role(row.role)
    return Bearer(row.id, row.name, role, row.expires_at, permissions_of(role, row.permissions))


async def add_token(
    session: AsyncSession,
    token_id: UUID,
    name: str,
    role: Role,
    hashed: bytes,
    now: datetime,
    by: str,
    expires_at: datetime | None,
    permissions: Sequence[str] = (),
) -> None:
    session.add(
        TokenRow(
            id=token_id,
            name=name,
            role=role.value,
            permissions=list(permissions),
            hash=hashed,
            created_at=now,
            created_by=by,
            expires_at=expires_at,
            revoked_at=None,
        )
    )


async def set_bootstrap(session: AsyncSession, token_id: UUID, hashed: bytes, now: datetime) -> None:
    """Makes the token of this hash the one bootstrap token; a former one no longer opens anything."""
    former = (TokenRow.name == BOOTSTRAP, TokenRow.created_by == BOOTSTRAP, TokenRow.hash != hashed)
    await session.execute(update(TokenRow).where(*former, TokenRow.revoked_at.is_(None)).values(revoked_at=now))
    insert = upsert(TokenRow).values(
        id=token_id,
        name=BOOTSTRAP,
        role=Role.ADMIN.value,
        hash=hashed,
        created_at=now,
        created_by=BOOTSTRAP,
    )
    await session.execute(
        insert.on_conflict_do_update(
            index_elements=["hash"], set_={"revoked_at": None, "role": Role.ADMIN.value, "expires_at": None}
        )
    )


async def tokens(session: AsyncSession) -> Sequence[TokenRow]:
    """Every token that still opens something, newest first."""
    query = select(TokenRow).where(TokenRow.revoked_at.is_(None)).order_by(TokenRow.created_at.desc())
    return (await session.execute(query)).scalars().all()


async def revoke(session: AsyncSession, token_id: UUID, now: datetime) -> bool:
    """False when there is no such token, or it was revoked before."""
    statement = update(TokenRow).where(TokenRow.id == token_id, TokenRow.revoked_at.is_(None)).values(revoked_at=now)
    return (await session.execute(statement.returning(TokenRow.id))).first() is not None


# ---- audit


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did or tried. `result` is `done`, `failed` or `refused`."""

    id: UUID
    at: datetime
    actor: str
    role: str
    action: str
    target: str
    result: str
    status: int
    detail: dict[str, JsonValue]


async def write_audit(session: AsyncSession, deed: Deed) -> None:
    detail = storable(deed.detail)
    assert isinstance(detail, dict)
    session.add(
        AuditRow(
            seq=0,
            id=deed.id,
            at=deed.at,
            actor=deed.actor,
            role=deed.role,
            action=deed.action,
            target=deed.target,
            result=deed.result,
            status=deed.status,
            detail=detail,
            prev_hash=UNCHAINED,
            hash=UNCHAINED,
        )
    )


async def audit_before(session: AsyncSession, seq: int | None, limit: int) -> Sequence[AuditRow]:
    """Newest entries first; with `seq` those before it."""
    query = select(AuditRow).order_by(AuditRow.seq.desc()).limit(limit)
    if seq is not None:
        query = query.where(AuditRow.seq < seq)
    return (await session.execute(query)).scalars().all()


async def prune_audit(session: AsyncSession, older_than: datetime, batch: int = 10_000) -> None:
    """Deletes old entries; always keeps the newest."""
    await session.execute(text("set local homeostat.pruning to 'on'"))
    newest = select(func.max(AuditRow.seq)).scalar_subquery()
    old = select(AuditRow.seq).where(AuditRow.at < older_than, AuditRow.seq < newest).order_by(AuditRow.seq)
    await session.execute(delete(AuditRow).where(AuditRow.seq.in_(old.limit(batch))))
