"""What preconditions and success criteria see, and parameters filled into steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.healer.clients.figures import folded
from services.healer.domain.conditions import Errors, Figure, Standing, Surroundings, first_unmet, wants_figures
from services.healer.domain.interpolation import InterpolationError, interpolate, values_of
from services.healer.domain.runs import Reason, RunStatus, Undoing, ending_of_failure
from shared.contracts.ingest import MetricBatch, Sample
from shared.packs.component import Component
from shared.packs.playbook import Condition, Playbook

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SEEN = Surroundings(
    now=NOW,
    name="web",
    component=Component(kind="http-service", attributes={"region": "eu"}),
    parameters={"most": 3},
    health={"web": Standing("healthy", 4), "books": Standing("critical", 9)},
    dependencies=("books",),
    dependents=("edge",),
    acted_on=("edge",),
    case_clear=True,
    figures={"latency_ms": Figure(last=90, mean=120, min=80, max=300, count=12)},
)


@pytest.mark.parametrize(
    "expression",
    [
        "health.status == 'healthy'",
        "components['books'].status == 'critical'",
        "dependencies.all(one, components[one].error_count < 10)",
        "runs.count == 1 && !('web' in runs.components)",
        "case.clear",
        "figures.latency_ms.mean < 200.0 && figures.latency_ms.count > 10",
        "params.most == 3",
        "component.attributes.region == 'eu'",
        "time.hour == 12 && time.weekday == 7",
        "errors.component == 0 && errors.dependents <= 2",
        "probes.pass",
    ],
)
def test_what_a_condition_may_ask_about(expression: str) -> None:
    assert first_unmet([Condition(name="it", that=expression)], SEEN, Errors(0, 2)) is None


def test_the_first_that_does_not_hold_is_named_with_why() -> None:
    wanted = [
        Condition(name="well", that="health.status == 'healthy'"),
        Condition(name="books-up", that="components['books'].status == 'healthy'"),
        Condition(name="other", that="false"),
    ]
    unmet = first_unmet(wanted, SEEN)
    assert unmet is not None
    assert unmet.words == "`books-up` does not hold: components['books'].status == 'healthy'"


@pytest.mark.parametrize("expression", ["figures.unheard_of.mean < 1.0", "errors.component == 0", "params.most"])
def test_what_is_not_known_does_not_hold(expression: str) -> None:
    assert first_unmet([Condition(name="it", that=expression)], SEEN) is not None


def test_metrics_are_read_only_where_they_are_asked_about() -> None:
    assert wants_figures([Condition(name="a", that="figures.x.last > 1.0")])
    assert not wants_figures([Condition(name="a", that="health.status == 'healthy'")])


def test_figures_fold_all_series_of_a_metric_since_a_moment() -> None:
    def batch(second: int, **values: float) -> MetricBatch:
        at = NOW + timedelta(seconds=second)
        return MetricBatch(at=at, component="web", samples=tuple(Sample(name=n, value=v) for n, v in values.items()))

    found = folded([batch(-5, a=100), batch(2, a=1, b=7), batch(1, a=4)], NOW)
    assert found == {"a": Figure(last=1, mean=2.5, min=1, max=4, count=2), "b": Figure(7, 7, 7, 7, 1)}


# ---- parameters in steps


def filled(step: dict[str, object], **values: str | int | float | bool) -> dict[str, object]:
    kinds = {str: "text", bool: "boolean", int: "integer", float: "number"}
    parameters = {name: {"type": kinds[type(value)], "default": value} for name, value in values.items()}
    playbook = Playbook.model_validate({"for": ["hang"], "parameters": parameters, "steps": [step]})
    made = interpolate(playbook.steps[0], {"name": "web"}, values_of(playbook.parameters))
    return made.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_a_parameter_that_stands_alone_keeps_its_type_where_it_may() -> None:
    call = {
        "url": "http://h/${component.name}/${param.n}",
        "headers": {"X-N": "${param.n}"},
        "body": {"n": "${param.n}"},
    }
    made = filled({"http.call": call, "timeout_s": "${param.n}"}, n=7)
    assert made["timeout_s"] == 7
    request = made["http.call"]
    assert isinstance(request, dict)
    assert request["url"] == "http://h/web/7"
    assert (request["headers"], request["body"]) == ({"X-N": "7"}, {"n": 7})


def test_a_file_is_set_to_the_type_of_the_parameter() -> None:
    def value(given: str | int | float | bool) -> object:
        made = filled({"file.set": {"path": "/a.toml", "key": "k", "value": "${param.v}"}}, v=given)["file.set"]
        assert isinstance(made, dict)
        return made["value"]

    for given in (1.5, 2, True, "on"):
        assert (value(given), type(value(given))) == (given, type(given))


def test_a_parameter_without_a_value_stops_the_run_before_it_begins() -> None:
    playbook = Playbook.model_validate({"for": ["hang"], "parameters": {"n": {}}, "steps": [{"process.restart": {}}]})
    with pytest.raises(InterpolationError, match="'n' was given no value"):
        values_of(playbook.parameters)


def test_a_precondition_that_fails_before_anything_was_done_is_no_failure() -> None:
    assert ending_of_failure(Reason.PRECONDITION, Undoing.NOTHING_APPLIED, []).status is RunStatus.SKIPPED
    assert ending_of_failure(Reason.PRECONDITION, Undoing.VERIFIED, []).status is RunStatus.ROLLED_BACK
    assert ending_of_failure(Reason.STEP_FAILED, Undoing.NOTHING_APPLIED, []).status is RunStatus.FAILED
