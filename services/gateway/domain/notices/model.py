"""What people are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.packs import Severity
from shared.packs.notify import NoticeKind, Notify, NotifyRule


@dataclass(frozen=True, slots=True)
class Question:
    """A decision that waits for a person: what a yes or a no is bound to."""

    decision_id: UUID
    revision: int
    playbook: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. `kinds`: all that it is, the most telling one first."""

    event_id: UUID
    case_id: UUID
    component: str
    kinds: tuple[NoticeKind, ...]
    severity: Severity
    at: datetime
    title: str
    lines: tuple[str, ...] = ()
    question: Question | None = None
    channel: str | None = None
    """Only on this one; unset: as the rules say."""

    @property
    def kind(self) -> NoticeKind:
        return self.kinds[0]


_RANK: Mapping[Severity, int] = {Severity.WARNING: 0, Severity.CRITICAL: 1}


def channels_for(notice: Notice, notify: Notify) -> list[str]:
    """The channels that this is told on, each once, in the pack's order."""
    if notice.channel is not None:
        return [notice.channel] if notice.channel in notify.channels else []
    wanted = {name for rule in notify.rules if _fits(rule, notice) for name in rule.channels}
    return [name for name in notify.channels if name in wanted]


def _fits(rule: NotifyRule, notice: Notice) -> bool:
    return (
        (not rule.kinds or not set(rule.kinds).isdisjoint(notice.kinds))
        and _RANK[notice.severity] >= _RANK[rule.severity]
        and (not rule.components or notice.component in rule.components)
    )


def in_words(notices: tuple[Notice, ...], most: int = 20) -> Iterator[str]:
    """One line each; of more than `most` only how many there are."""
    for notice in notices[:most]:
        yield f"{notice.component}: {notice.title}"
    if len(notices) > most:
        yield f"and {len(notices) - most} more"
