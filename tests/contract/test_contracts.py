"""What every contract keeps to, so that a subject tells who says a thing and who may."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.cli.contracts.registry import (
    Contract,
    Ears,
    all_ears,
    contract_models,
    contracts,
    reporters,
    spoken_by,
)
from shared.bus.streams import EVENTS, INGEST, STATE, service_permissions, stream_configs
from shared.contracts.base import CaseEvent, Event
from shared.settings import SERVICES

ROOT = Path(__file__).parents[2]
CONTRACTS = list(contracts().values())
each_contract = pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.subject)


def test_no_two_classes_share_a_subject() -> None:
    subjects = [model.SUBJECT for model in contract_models()]
    assert sorted(subjects) == sorted(set(subjects))


@each_contract
def test_a_subject_is_owner_event_and_version(contract: Contract) -> None:
    assert re.fullmatch(r"(state\.)?[a-z]+\.[a-z]+\.v[1-9][0-9]*", contract.subject)
    module, _, _ = contract.model.__module__.rpartition(".")[2].partition("_")
    assert module == (contract.owner or "ingest"), "a contract lives in its owner's module"
    assert contract.owner in ("", *SERVICES)


@each_contract
def test_its_key_is_a_field_that_fits_into_a_subject(contract: Contract) -> None:
    key = contract.model.model_fields[contract.model.KEY]
    patterns = [getattr(rule, "pattern", "") for rule in key.metadata]
    assert any("a-z0-9" in (pattern or "") for pattern in patterns), "the key is a Token: no dots, no wildcards"


@each_contract
def test_it_has_an_id_of_its_own_and_a_time(contract: Contract) -> None:
    fields = contract.model.model_fields
    assert fields["id"].default_factory is not None
    assert fields["at"].is_required(), "when it happened is said by whoever says it"
    assert contract.model.model_config.get("frozen")
    assert contract.model.model_config.get("extra") == "ignore"


@each_contract
def test_exactly_one_stream_keeps_it_and_only_its_owner_may_say_it(contract: Contract) -> None:
    kept = [config.name for config in stream_configs() if any(covers(s, contract.subject) for s in config.subjects)]
    assert kept == [contract.stream]
    allowed = {s for s in SERVICES if any(covers(p, contract.subject) for p in service_permissions(s).publish)}
    assert allowed == ({contract.owner} if contract.owner else set(reporters()))


@pytest.mark.parametrize("contract", [c for c in CONTRACTS if c.stream == EVENTS], ids=lambda c: c.subject)
def test_an_event_belongs_to_a_case_unless_it_is_about_none(contract: Contract) -> None:
    """Anomalies are evidence for cases to come; a playbook's right to act alone is earned, and lost, over many."""
    about_none = ("detector.anomaly.v1", "decider.autonomy.v1", "learner.drift.v1")
    assert issubclass(contract.model, CaseEvent) or contract.subject in about_none


@pytest.fixture(scope="module")
def heard() -> dict[str, Ears]:
    return all_ears()


@each_contract
def test_somebody_hears_it(contract: Contract, heard: dict[str, Ears]) -> None:
    assert [name for name, ears in heard.items() if contract in ears.contracts]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_says_all_that_it_owns(service: str) -> None:
    source = "\n".join(file.read_text() for file in (ROOT / "services" / service).rglob("*.py"))
    owned = [contract.model.__name__ for contract in spoken_by(service) if contract.stream != INGEST]
    assert [name for name in owned if not re.search(rf"\b{name}\(", source)] == []


def test_every_service_answers_a_sweep_and_replays_its_dead_letters(heard: dict[str, Ears]) -> None:
    for service, ears in heard.items():
        verbs = {command.verb for command in ears.commands}
        assert verbs >= {"dlq-replay", *(() if service == "gateway" else ("sweep",))}, service


def test_every_service_follows_the_packs(heard: dict[str, Ears]) -> None:
    for ears in heard.values():
        assert "state.gateway.pack.v1" in {contract.subject for contract in ears.state}
        assert {contract.stream for contract in ears.state} == {STATE}


def test_two_events_are_never_the_same() -> None:
    class Said(Event):
        SUBJECT = "test.said.v1"

    at = "2026-03-02T09:14:02Z"
    assert Said.model_validate({"at": at}).id != Said.model_validate({"at": at}).id


def covers(pattern: str, subject: str) -> bool:
    """Whether messages below `subject` match a NATS pattern such as `detector.>`."""
    return pattern == ">" or (pattern.endswith(".>") and f"{subject}.".startswith(pattern[:-1]))
