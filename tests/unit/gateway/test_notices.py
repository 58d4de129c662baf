"""What people are told: to whom it goes, how much at once, and in which words; and clicks that are really Slack's."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.notices import render
from services.gateway.domain.notices.model import Notice, Question, channels_for
from services.gateway.domain.notices.pacing import Limits, Waiting, plan, retry_s
from services.gateway.domain.notices.slack_answers import SlackAnswerError, is_signed, read_click, signature
from shared.packs import Severity
from shared.packs.notify import NoticeKind, Notify

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MAIL = {"email": {"host": "h", "sender": "a@b", "to": ["c@d"]}}


def notice(*kinds: NoticeKind, severity: Severity = Severity.WARNING, component: str = "web", **more: object) -> Notice:
    values: dict[str, object] = {"title": "it is <down> & out", "lines": ("because",)}
    return Notice(
        event_id=uuid4(), case_id=uuid4(), component=component, kinds=kinds or (NoticeKind.INCIDENT_OPENED,),
        severity=severity, at=NOW, **(values | more),  # type: ignore[arg-type]
    )  # fmt: skip


# ---- to whom


def test_a_notice_goes_to_every_channel_that_a_rule_names_once() -> None:
    notify = Notify.model_validate(
        {
            "channels": {"a": MAIL, "b": MAIL, "c": MAIL},
            "rules": [
                {"channels": ["b", "a"], "kinds": ["incident-opened"]},
                {"channels": ["a"], "severity": "critical"},
                {"channels": ["c"], "components": ["db"], "kinds": ["low-confidence"]},
            ],
        }
    )
    assert channels_for(notice(), notify) == ["a", "b"]
    assert channels_for(notice(NoticeKind.HEALED), notify) == []
    assert channels_for(notice(NoticeKind.HEALED, severity=Severity.CRITICAL), notify) == ["a"]
    assert channels_for(notice(NoticeKind.ASK, NoticeKind.LOW_CONFIDENCE, component="db"), notify) == ["c"]
    assert channels_for(notice(NoticeKind.MESSAGE, channel="b"), notify) == ["b"]


# ---- how much at once


def waiting(seconds_ago: float = 60, **more: object) -> Waiting:
    at = NOW - timedelta(seconds=seconds_ago)
    values: dict[str, object] = {"is_question": False, "case_id": uuid4()}
    return Waiting(id=uuid4(), created_at=at, due_at=at, **(values | more))  # type: ignore[arg-type]


CHAT, PAGER = Limits(5, 20, single=False), Limits(5, 20, single=True)


def test_what_comes_together_is_told_together_and_a_question_at_once_and_alone() -> None:
    fresh, question = waiting(1), waiting(0, is_question=True)
    assert plan([fresh], 0, CHAT, NOW).send == ()
    assert plan([fresh, question], 0, CHAT, NOW).send == (question.id,)
    old = waiting(6)
    assert plan([old, fresh], 0, CHAT, NOW).send == (old.id, fresh.id)


def test_a_message_that_failed_is_repeated_as_it_was() -> None:
    batch = uuid4()
    one, two, other = waiting(batch=batch), waiting(batch=batch), waiting()
    assert plan([one, other, two], 0, CHAT, NOW) == plan([one, two], 0, CHAT, NOW)
    assert plan([one, two], 0, CHAT, NOW).batch == batch


def test_a_beginning_whose_end_is_known_is_not_told_to_a_pager() -> None:
    case = uuid4()
    began, ended = waiting(case_id=case, opens=True), waiting(case_id=case, ends=True)
    planned = plan([began, ended], 0, PAGER, NOW)
    assert (set(planned.drop), planned.send) == ({began.id, ended.id}, ())
    tried = waiting(case_id=case, opens=True, batch=uuid4())
    assert plan([tried, ended], 0, PAGER, NOW).drop == ()
    assert plan([tried, ended], 0, PAGER, NOW).send == (tried.id,)  # in the order of the case


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=30), st.integers(0, 40))
def test_a_storm_never_breaks_the_rate_and_leaves_nothing_out(story: list[tuple[float, bool]], sent: int) -> None:
    left = [waiting(ago, is_question=question) for ago, question in sorted(story, reverse=True)]
    messages, now = 0, NOW + timedelta(seconds=10)
    while planned := plan(left, sent + messages, CHAT, now).send:
        messages += 1
        left = [one for one in left if one.id not in planned]
    assert sent + messages <= max(sent, CHAT.per_minute)
    assert not left or sent + messages >= CHAT.per_minute


def test_pauses_double_to_a_bound_and_end() -> None:
    pauses = [retry_s(n) for n in range(1, 13)]
    assert pauses[:3] == [2, 4, 8]
    assert pauses[-2:] == [600, None]
    assert retry_s(1, asked_for_s=30) == 30
    assert retry_s(1, asked_for_s=1e9) == 600


# ---- in which words


def test_slack_gets_buttons_only_where_answers_can_be_verified_and_no_markup_of_strangers() -> None:
    asked = notice(NoticeKind.ASK, question=Question(UUID(int=7), 3, "restart", NOW))
    blocks = render.slack((asked,), buttons=True)["blocks"]
    values = [element["value"] for element in blocks[1]["elements"]]  # type: ignore[index]
    assert values == [f"{UUID(int=7)}/3"] * 2
    assert len(render.slack((asked,), buttons=False)["blocks"]) == 1  # type: ignore[arg-type]
    assert "<down>" not in json.dumps(render.slack((asked, asked), buttons=True))


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (NoticeKind.INCIDENT_OPENED, "trigger"),
        (NoticeKind.ASK, "trigger"),
        (NoticeKind.RUN_FAILED, "trigger"),
        (NoticeKind.ACTING, "acknowledge"),
        (NoticeKind.INCIDENT_RESOLVED, "resolve"),
    ],
)
def test_pagerduty_hears_of_one_case_as_one_alert(kind: NoticeKind, action: str) -> None:
    told = notice(kind, title="x" * 3000)
    event = render.pagerduty(told, "key")
    assert (event["event_action"], event["dedup_key"]) == (action, f"homeostat/{told.case_id}")
    if action == "trigger":
        assert len(event["payload"]["summary"]) == 1024  # type: ignore[index]


def test_many_notices_have_one_subject() -> None:
    told = (notice(), notice(component="db", severity=Severity.CRITICAL))
    assert render.subject(told) == "[critical] 2 notices on web, db"
    assert "and 5 more" in render.text(tuple(notice() for _ in range(55)))


# ---- Slack's clicks

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
STAMP = "1531420618"
EXAMPLE = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a1"
    b"4d10d2c447fce8b6703c"
)


def test_the_signature_of_slacks_own_example() -> None:
    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert signature(SECRET, STAMP, EXAMPLE) == expected
    assert is_signed(SECRET, STAMP, expected, EXAMPLE, 1531420618 + 299)
    assert not is_signed(SECRET, STAMP, expected, EXAMPLE, 1531420618 + 301)
    assert not is_signed(SECRET, STAMP, expected, EXAMPLE + b"x", 1531420618)
    assert not is_signed("another", STAMP, expected, EXAMPLE, 1531420618)


@given(stamp=st.text(), given_=st.text(), body=st.binary())
def test_no_words_of_a_stranger_pass_or_break_it(stamp: str, given_: str, body: bytes) -> None:
    assert not is_signed(SECRET, stamp, given_, body, 1531420618)
    with pytest.raises(SlackAnswerError):
        read_click(body)


def test_a_click_says_who_and_what() -> None:
    action = {"action_id": "homeostat-approve", "value": f"{UUID(int=7)}/3"}
    payload = {"user": {"id": "U1"}, "actions": [action], "response_url": "https://hooks.slack.com/x"}
    click = read_click(urlencode({"payload": json.dumps(payload)}).encode())
    assert (click.user_id, click.verb, click.decision_id, click.revision) == ("U1", "approve", UUID(int=7), 3)
