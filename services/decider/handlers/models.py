"""Models of confidence: trained on recorded runs, judged on later ones, put in force only when they are better."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from uuid import uuid4

from services.decider.domain.confidence import evidence
from services.decider.domain.model import ConfidenceModel
from services.decider.domain.record import load_inputs
from services.decider.domain.training import LEARNS_FROM, LEAST_JUDGES, Sample, Trained
from services.decider.domain.training import train as fit
from services.decider.store import DecisionRow, ModelRow, registry
from shared.bus import CommandRefusedError
from shared.contracts.decider_governance import DecisionModel, DecisionModels, ModelsRequest, Train, UseModel
from shared.outbox import Unit

NEEDED = round(LEAST_JUDGES / (1.0 - LEARNS_FROM)) + 1


async def listed(_request: ModelsRequest, unit: Unit) -> DecisionModels:
    """Every version with what it was made from and how it was judged."""
    rows = await registry.versions(unit.session)
    return DecisionModels(active=next((row.model_version for row in rows if row.active), 0), models=_wire(rows))


async def train(request: Train, unit: Unit) -> DecisionModel:
    """Fits a model to the older of the recorded runs and judges it on the newer; puts it in force if it is better and
    that is wanted."""
    version = await registry.next_version(unit.session)
    present = await registry.in_force(unit.session)
    rows = await registry.runs(unit.session)
    samples = await asyncio.to_thread(_samples, rows)
    trained = await asyncio.to_thread(fit, samples, present)
    if trained is None:
        raise CommandRefusedError(
            f"{len(samples)} runs are recorded: at least {NEEDED} are needed to train and to judge"
        )
    told = json.dumps([asdict(one) for one in samples], sort_keys=True).encode()
    row = ModelRow(
        id=uuid4(),
        model_type=registry.CONFIDENCE,
        model_version=version,
        parameters=asdict(trained.model) | {"version": version},
        training_data={
            "runs": len(samples),
            "learned_from": trained.learned_from,
            "from": rows[0].created_at.isoformat(),
            "to": rows[-1].created_at.isoformat(),
            "sha256": sha256(told).hexdigest(),
        },
        performance_metrics=_metrics(trained, present),
        active=False,
        created_at=unit.now,
    )
    registry.add(unit.session, row)
    await unit.session.flush()
    if request.activate and trained.is_better:
        await registry.use(unit.session, row, unit.now)
    return _wire([row])[0]


async def use(request: UseModel, unit: Unit) -> DecisionModels:
    """Puts a version in force that was judged better than the one before it, or goes back to one that was in force.

    0 is the model that comes with Homeostat."""
    await registry.next_version(unit.session)
    rows = await registry.versions(unit.session)
    row = next((one for one in rows if one.model_version == request.version), None)
    if request.version and row is None:
        raise CommandRefusedError(f"there is no version {request.version}: see `homeostat model list`")
    if row is not None and row.deployed_at is None and not row.performance_metrics["is_better"]:
        raise CommandRefusedError(
            f"version {request.version} foretold later runs no better than the model before it: train again later"
        )
    await registry.use(unit.session, row, unit.now)
    return await listed(ModelsRequest(), unit)


def _samples(rows: Sequence[DecisionRow]) -> list[Sample]:
    samples = []
    for row in rows:
        inputs = load_inputs(row.context_data)
        target = inputs.targets.get(row.component)
        cause = next(
            (one for one in inputs.case.causes if (one.component, one.signature) == (row.component, row.signature)),
            None,
        )
        if target is not None and cause is not None and row.chosen_action is not None:
            record = inputs.record_of(row.signature, row.chosen_action)
            runs, successes = evidence(record, target.component.kind)
            samples.append(Sample(cause.confidence, runs, successes, bool(row.helped)))
    return samples


def _metrics(trained: Trained, present: ConfidenceModel) -> dict[str, object]:
    return {
        "candidate": asdict(trained.candidate),
        "present": asdict(trained.present),
        "present_version": present.version,
        "gain": trained.gain,
        "gain_low": trained.gain_low,
        "is_better": trained.is_better,
    }


def _wire(rows: Sequence[ModelRow]) -> tuple[DecisionModel, ...]:
    return tuple(
        DecisionModel(
            version=row.model_version,
            parameters={name: value for name, value in row.parameters.items() if name != "version"},
            training_data=row.training_data,
            performance_metrics=row.performance_metrics,
            active=row.active,
            deployed_at=row.deployed_at,
            created_at=row.created_at,
        )
        for row in rows
    )
