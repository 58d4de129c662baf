"""What the gateway decides by itself: roles, cursors, differences of packs, stories, and how much is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.access import MIN_TOKEN_CHARS, Role, allows, new_token, token_hash
from services.gateway.domain.health import confidence, overall
from services.gateway.domain.pack_changes import ChangeKind, Collision, Json, PackChange, changes, collisions
from services.gateway.domain.pages import Cursor, CursorError
from services.gateway.domain.story import Act, Moment, tell
from services.gateway.domain.throttle import Throttle

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class TestAccess:
    def test_each_role_may_all_that_the_one_below_may(self) -> None:
        rank = [Role.VIEWER, Role.OPERATOR, Role.ADMIN]
        for held in rank:
            for needed in rank:
                assert allows(held, needed) == (rank.index(held) >= rank.index(needed))

    def test_a_sender_may_report_and_nothing_else_and_a_viewer_not_even_that(self) -> None:
        assert [role for role in Role if allows(role, Role.SENDER)] == [Role.SENDER, Role.OPERATOR, Role.ADMIN]
        assert [needed for needed in Role if allows(Role.SENDER, needed)] == [Role.SENDER]

    def test_tokens_are_long_recognisable_and_kept_as_a_hash(self) -> None:
        token = new_token(bytes(range(32)))
        assert token.startswith("hs_")
        assert len(token) >= MIN_TOKEN_CHARS
        assert token.encode() not in token_hash(token)

    def test_too_little_randomness_is_refused(self) -> None:
        with pytest.raises(ValueError, match="32 random bytes"):
            new_token(b"x" * 31)


class TestCursor:
    @given(st.datetimes(timezones=st.just(UTC)), st.text(min_size=1, max_size=60))
    def test_a_cursor_comes_back_as_it_was(self, at: datetime, key: str) -> None:
        try:
            key.encode()
        except UnicodeEncodeError:
            return
        assert Cursor.decode(Cursor(at, key).encoded()) == Cursor(at, key)

    @given(st.text(max_size=60))
    def test_anything_else_is_refused(self, text: str) -> None:
        try:
            cursor = Cursor.decode(text)
        except CursorError:
            return
        assert cursor.at.tzinfo is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)


class TestPackChanges:
    def test_changes_name_their_place(self) -> None:
        before: Json = {"mode": "auto", "rules": [{"a": 1}, {"b": 2}], "policy": {"x": 1}, "old": 1}
        after: Json = {"mode": "observe", "rules": [{"b": 2}, {"c": 3}], "policy": {"x": 1, "y": 2}}
        assert changes(before, after) == [
            PackChange(ChangeKind.CHANGED, "mode", "auto", "observe"),
            PackChange(ChangeKind.REMOVED, "rules[]", {"a": 1}, None),
            PackChange(ChangeKind.ADDED, "rules[]", None, {"c": 3}),
            PackChange(ChangeKind.ADDED, "policy.y", None, 2),
            PackChange(ChangeKind.REMOVED, "old", 1, None),
        ]

    def test_another_order_of_a_list_is_one_change(self) -> None:
        assert changes({"a": [1, 2]}, {"a": [2, 1]}) == [PackChange(ChangeKind.CHANGED, "a", [1, 2], [2, 1])]

    @given(JSON)
    def test_nothing_differs_from_itself(self, value: Json) -> None:
        assert changes(value, json.loads(json.dumps(value))) == []

    @given(JSON, JSON)
    def test_whatever_differs_is_told_and_turns_round(self, before: Json, after: Json) -> None:
        there, back = changes(before, after), changes(after, before)
        assert bool(there) == (before != after)
        assert len(there) == len(back)

    def test_components_of_other_packs_collide_and_own_ones_do_not(self) -> None:
        in_force = {"shop": ["edge", "orders"], "pay": ["bank"]}
        assert collisions("new", ["orders", "x", "bank"], in_force) == [
            Collision("bank", "pay"),
            Collision("orders", "shop"),
        ]
        assert collisions("shop", ["orders", "edge"], in_force) == []


def moment(act: Act, after_s: float, title: str = "") -> Moment:
    return Moment(act, NOW + timedelta(seconds=after_s), "detector", title)


class TestStory:
    def test_an_empty_story_has_no_moments(self) -> None:
        assert tell([]) == []

    def test_what_happens_at_once_is_told_in_the_order_of_a_case(self) -> None:
        told = tell([moment(Act.DECIDED, 1), moment(Act.SEEN, 1), moment(Act.CAME_OF_IT, 0.5)])
        assert [one.moment.act for one in told] == [Act.CAME_OF_IT, Act.SEEN, Act.DECIDED]

    def test_time_counts_from_when_the_trouble_began(self) -> None:
        (one,) = tell([moment(Act.SEEN, 4)], began_at=NOW)
        assert one.since_start_s == 4

    @given(st.lists(st.tuples(st.sampled_from(list(Act)), st.floats(0, 1e6))), st.floats(-1e6, 1e6))
    def test_times_never_go_back_and_are_never_negative(self, parts: list[tuple[Act, float]], began: float) -> None:
        told = tell([moment(act, after_s) for act, after_s in parts], NOW + timedelta(seconds=began))
        times = [one.since_start_s for one in told]
        assert times == sorted(times)
        assert all(time >= 0 for time in times)
        assert len(told) == len(parts)


class TestThrottle:
    def test_what_is_held_back_is_told_with_the_next_that_passes(self) -> None:
        throttle = Throttle(most=2, window_s=10)
        assert [throttle.pass_at(NOW) for _ in range(5)] == [0, 0, None, None, None]
        assert throttle.pass_at(NOW + timedelta(seconds=10)) == 3
        assert throttle.pass_at(NOW + timedelta(seconds=10)) == 0

    @given(st.lists(st.floats(0, 100), max_size=80).map(sorted), st.integers(1, 5))
    def test_never_more_than_allowed_in_a_window_and_none_is_forgotten(self, times: list[float], most: int) -> None:
        throttle = Throttle(most, window_s=10)
        passed: list[tuple[float, int]] = []
        for after_s in times:
            held_back = throttle.pass_at(NOW + timedelta(seconds=after_s))
            if held_back is not None:
                passed.append((after_s, held_back))
        for after_s, _ in passed:
            assert sum(1 for other, _ in passed if after_s <= other < after_s + 9.99) <= most
        assert len(passed) + sum(count for _, count in passed) <= len(times)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "unknown"),
        (["healthy"], "healthy"),
        (["healthy", "unknown"], "unknown"),
        (["unknown", "warning"], "warning"),
        (["healthy", "warning", "critical"], "critical"),
    ],
)
def test_the_whole_is_as_healthy_as_its_worst_part(statuses: list[str], expected: str) -> None:
    assert overall(statuses) == expected


def test_b06_confidence_in_the_whole_is_the_share_of_parts_that_are_known() -> None:
    """Requirement B06: a health report carries a confidence score."""
    assert confidence(["healthy", "critical", "unknown", "warning"]) == 0.75
    assert confidence([]) == 0.0
