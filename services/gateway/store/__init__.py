"""The gateway's tables and queries."""

from sqlalchemy.ext.asyncio import AsyncSession as Session

from services.gateway.store.tables import AuditRow, Base, LatestRow, PackRow, SilenceRow, TimelineRow, TokenRow

__all__ = ["AuditRow", "Base", "LatestRow", "PackRow", "Session", "SilenceRow", "TimelineRow", "TokenRow"]
