"""The rendered nats-server configuration grants what was named, and nothing by accident."""

from __future__ import annotations

import pytest

from shared.embedded import EnvRef, NatsConfig, NatsUser, render_nats_config


def render(*users: NatsUser) -> str:
    return render_nats_config(NatsConfig(users=users, store_dir="/data"))


def test_it_listens_on_loopback_and_bounds_payloads() -> None:
    text = render()
    assert 'host: "127.0.0.1"' in text
    assert 'http: "127.0.0.1:8222"' in text
    assert "max_payload: 1048576" in text


def test_a_user_gets_exactly_its_subjects() -> None:
    text = render(NatsUser("detector", "pw", publish=["detector.>", "dlq.>"], subscribe=["ingest.>"], replies=True))
    assert 'user: "detector", password: "pw"' in text
    assert 'publish: { allow: ["detector.>", "dlq.>"] }' in text
    assert 'subscribe: { allow: ["ingest.>"] }' in text
    assert "allow_responses" in text


def test_no_subjects_means_nothing_although_nats_reads_an_empty_list_as_everything() -> None:
    text = render(NatsUser("mute", "pw"))
    assert text.count('{ deny: [">"] }') == 2
    assert "allow" not in text


def test_a_deployment_keeps_passwords_in_the_environment() -> None:
    assert "password: $DETECTOR_PASSWORD" in render(NatsUser("detector", EnvRef("DETECTOR_PASSWORD")))


def test_quotes_cannot_break_out_of_a_value() -> None:
    assert r'password: "a\"b\\c"' in render(NatsUser("a", 'a"b\\c'))


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([NatsUser("a")], "has no password"),
        ([NatsUser("a", "x"), NatsUser("a", "y")], "defined twice"),
        ([NatsUser("a", "x\ny")], "control characters"),
        ([NatsUser("a", EnvRef("A-B"))], "environment variable"),
        ([NatsUser("a", "x", publish=["a b"])], "white space"),
        ([NatsUser("a", "x", subscribe=[""])], "not empty"),
    ],
)
def test_what_nats_cannot_represent_is_refused(users: list[NatsUser], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render(*users)
