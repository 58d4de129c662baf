"""Which component a series or an alert is about."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.ingest.naming import UNASSIGNED, ComponentRule, slug, without_replica

TOKEN = re.compile(r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$")


@given(st.text(max_size=300))
def test_any_text_gives_one_token(text: str) -> None:
    assert TOKEN.fullmatch(slug(text))
    assert slug(text) == slug(text)
    assert slug(slug(text)) == slug(text)


def test_long_names_and_names_of_other_alphabets_stay_apart() -> None:
    assert slug("a" * 70 + "b") != slug("a" * 70 + "c")
    assert slug("платежи") != slug("заказы")


@pytest.mark.parametrize(
    ("labels", "component"),
    [
        ({"component": "payments", "service": "x", "job": "y"}, "payments"),
        ({"service.name": "Orders API", "job": "y"}, "orders-api"),
        ({"service": "orders", "app": "shop", "job": "k8s"}, "orders"),
        ({"app": "shop", "container": "main", "job": "k8s"}, "shop"),
        ({"container": "cart", "job": "cadvisor"}, "cart"),
        ({"job": "node", "instance": "a:9100"}, "node"),
        ({"instance": "10.0.0.1:9100"}, "10-0-0-1-9100"),
        ({"service": "  ", "job": "node"}, "node"),
        ({"zone": "eu"}, UNASSIGNED),
    ],
)
def test_the_first_label_that_is_there_names_it(labels: dict[str, str], component: str) -> None:
    assert ComponentRule().component_of(labels) == component


def test_the_order_is_a_setting() -> None:
    assert ComponentRule(("team", "job")).component_of({"component": "a", "team": "Red", "job": "b"}) == "red"


def test_replicas_of_a_sender_are_told_apart_by_nothing_else() -> None:
    one, other = (
        {"job": "a", "replica": "0", "empty": ""},
        {"job": "a", "prometheus_replica": "b", "__replica__": "c"},
    )
    assert without_replica(one) == without_replica(other) == {"job": "a"}
