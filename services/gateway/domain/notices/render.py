"""Notices as each kind of channel wants them: plain data, ready to be written as JSON or as a letter."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from services.gateway.domain.notices.model import Notice, in_words
from shared.packs import Severity
from shared.packs.notify import NoticeKind

type Json = dict[str, object]

MOST_LINES = 10
_SLACK_TEXT = 2_900
"""A section may have 3,000 characters."""
_PAGERDUTY_SUMMARY = 1_024

PAGERDUTY_ACTIONS: Mapping[NoticeKind, str] = {
    NoticeKind.INCIDENT_RESOLVED: "resolve",
    NoticeKind.ACTING: "acknowledge",
    NoticeKind.HEALED: "acknowledge",
    NoticeKind.FAILOVER: "acknowledge",
}
"""All other kinds trigger. Resolved is what the detector saw end, not what a repair claims."""


def subject(notices: tuple[Notice, ...]) -> str:
    """One line for all."""
    first = notices[0]
    if len(notices) == 1:
        return f"[{first.severity}] {first.component}: {first.title}"
    worst = Severity.CRITICAL if any(one.severity is Severity.CRITICAL for one in notices) else Severity.WARNING
    components = list(dict.fromkeys(one.component for one in notices))
    named = ", ".join(components[:5]) + (" and others" if len(components) > 5 else "")
    return f"[{worst}] {len(notices)} notices on {named}"


def text(notices: tuple[Notice, ...]) -> str:
    """As a letter's body."""
    if len(notices) > 1:
        return "\n".join(in_words(notices, most=50)) + "\n"
    one = notices[0]
    lines = [f"{one.component}: {one.title}", "", *one.lines[:MOST_LINES]]
    if one.question is not None:
        lines += ["", f"homeostat approve {one.question.decision_id}", f"homeostat reject {one.question.decision_id}"]
    lines += ["", f"homeostat trace {one.case_id}"]
    return "\n".join(lines).rstrip() + "\n"


def webhook(notices: tuple[Notice, ...]) -> Json:
    """All of it; each notice has an id of its own, by which a receiver knows one that it has had."""
    return {
        "type": "homeostat.notices",
        "notices": [
            {
                "id": str(one.event_id),
                "kind": one.kind.value,
                "kinds": [kind.value for kind in one.kinds],
                "severity": one.severity.value,
                "component": one.component,
                "case_id": str(one.case_id),
                "at": one.at.isoformat(),
                "title": one.title,
                "lines": list(one.lines[:MOST_LINES]),
                "decision_id": str(one.question.decision_id) if one.question else None,
            }
            for one in notices
        ],
    }


def pagerduty(notice: Notice, routing_key: str) -> Json:
    """An event of the Events API v2. One case is one alert: its id is the `dedup_key`."""
    action = PAGERDUTY_ACTIONS.get(notice.kind, "trigger")
    event: Json = {"routing_key": routing_key, "event_action": action, "dedup_key": f"homeostat/{notice.case_id}"}
    if action == "trigger":
        event["payload"] = {
            "summary": f"{notice.component}: {notice.title}"[:_PAGERDUTY_SUMMARY],
            "source": notice.component,
            "severity": notice.severity.value,
            "timestamp": notice.at.isoformat(),
            "class": notice.kind.value,
            "custom_details": {"why": list(notice.lines[:MOST_LINES]), "case_id": str(notice.case_id)},
        }
    return event


def slack(notices: tuple[Notice, ...], buttons: bool) -> Json:
    """A message of Block Kit. A question has buttons, whose value binds an answer to the revision that was read."""
    body = slack_text("\n".join(in_words(notices))) if len(notices) > 1 else _slack_story(notices[0])
    message: Json = {"text": slack_text(subject(notices))}
    blocks: list[Json] = [{"type": "section", "text": {"type": "mrkdwn", "text": body}}]
    question = notices[0].question if len(notices) == 1 else None
    if question is not None and buttons:
        value = answer_value(question.decision_id, question.revision)
        blocks.append(
            {
                "type": "actions",
                "block_id": "homeostat-answer",
                "elements": [
                    _button("Approve", "homeostat-approve", "primary", value),
                    _button("Reject", "homeostat-reject", "danger", value),
                ],
            }
        )
    message["blocks"] = blocks
    return message


def answer_value(decision_id: UUID, revision: int) -> str:
    return f"{decision_id}/{revision}"


def _button(label: str, action_id: str, style: str, value: str) -> Json:
    caption = {"type": "plain_text", "text": label}
    return {"type": "button", "action_id": action_id, "style": style, "text": caption, "value": value}


def _slack_story(notice: Notice) -> str:
    lines = [f"*{slack_text(notice.component)}*: {slack_text(notice.title)}"]
    lines += [f"• {slack_text(line)}" for line in notice.lines[:MOST_LINES]]
    if notice.question is not None and notice.question.expires_at is not None:
        lines.append(f"_asked until {notice.question.expires_at:%H:%M:%S} UTC_")
    return "\n".join(lines)[:_SLACK_TEXT]


def slack_text(words: str) -> str:
    """With the three characters escaped that mean something to Slack: a log line must not mention or link anybody."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")[:_SLACK_TEXT]
