"""The signature of webhooks, against the example of the Standard Webhooks specification."""

from __future__ import annotations

from shared.webhooks import signed_headers


def test_the_example_of_the_specification() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_every_part_is_covered() -> None:
    said = [
        signed_headers(secret, name, at, body)["webhook-signature"]
        for secret, name, at, body in (
            ("s", "a", 1, b"x"),
            ("t", "a", 1, b"x"),
            ("s", "b", 1, b"x"),
            ("s", "a", 2, b"x"),
            ("s", "a", 1, b"y"),
        )
    ]
    assert len(set(said)) == len(said)
