"""Fits the learner's models on a schedule; what is better on held-back outcomes is put in force, what is not goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from uuid import UUID

import structlog

from services.learner.domain.knowledge import Parameters
from services.learner.domain.models import RECOVERY, SHIPPED, SUCCESS, Compared, Verdict, train
from services.learner.handlers.learning import Learning, told
from services.learner.store import ModelRow, knowledge, models, turn
from shared import telemetry
from shared.contracts.learner import LearnedModel, Models, ModelsRequest
from shared.outbox import Unit

log = structlog.get_logger()


@dataclass(slots=True)
class Training:
    learning: Learning
    ids: Callable[[], UUID]

    async def take_up(self, unit: Unit) -> None:
        """Every replica counts as the models in force say."""
        rows = await models.active(unit.session)
        values = {name: rows[name].parameter if name in rows else shipped for name, shipped in SHIPPED.items()}
        self.learning.parameters = Parameters(values[SUCCESS], int(values[RECOVERY]))

    async def train(self, unit: Unit) -> None:
        """Compares each model in force with the one before it and with others that outcomes would have liked."""
        examples = await models.examples(unit.session)
        rows = await models.active(unit.session)
        changed = False
        for name, shipped in SHIPPED.items():
            row = rows.get(name)
            before = await models.before(unit.session, row) if row is not None else None
            active = row.parameter if row is not None else shipped
            former = (before.parameter if before is not None else shipped) if row is not None else None
            # Pure arithmetic of seconds: off the loop, which has health checks to answer.
            found = await asyncio.to_thread(train, name, active, former, examples)
            telemetry.LEARNING_MODEL_LOSS.labels(name).set(found.loss)
            if found.verdict in (Verdict.PROMOTED, Verdict.DEMOTED):
                await self._put_in_force(unit, name, found, active)
                changed = True
        if changed:
            await turn.take(unit.session)
            await self.take_up(unit)
            await self._count_anew(unit)

    async def _put_in_force(self, unit: Unit, name: str, found: Compared, active: float) -> None:
        telemetry.LEARNING_MODELS.labels(name, found.verdict.value).inc()
        words = "better" if found.verdict is Verdict.PROMOTED else "worse than what it replaced"
        await models.put_in_force(
            unit.session,
            self.ids(),
            name,
            found.value,
            unit.now,
            training_data={"runs": found.fitted_to, "held_back": found.held_back},
            metrics={"held_back_loss": found.loss, "loss_before": found.loss_before, "gain_low": found.gain_low},
            reason=f"{found.verdict.value}: {active:g} was replaced by {found.value:g}, being {words} on the newest "
            f"{found.held_back} outcomes ({found.loss:.4f} against {found.loss_before:.4f})",
        )
        log.warning("model", model=name, **{key: str(value) for key, value in asdict(found).items()})

    async def _count_anew(self, unit: Unit) -> None:
        """What is known of every pair, counted as the new model has it."""
        for row in await knowledge.newest(unit.session):
            _, now, _ = await knowledge.recount(
                unit.session, row.signature, row.playbook, unit.now, self.learning.parameters
            )
            unit.emit(told(now, unit.now, f"model|{unit.now.isoformat()}"))

    async def models(self, request: ModelsRequest, unit: Unit) -> Models:
        rows = await models.newest(unit.session, request.limit)
        return Models(models=tuple(_wire(row) for row in rows))


def _wire(row: ModelRow) -> LearnedModel:
    return LearnedModel(
        id=row.id,
        model_type=row.model_type,
        model_version=row.model_version,
        training_data={**row.training_data, "parameter": row.parameter},
        performance_metrics=row.performance_metrics,
        active=row.active,
        deployed_at=row.deployed_at,
        created_at=row.created_at,
        reason=row.reason,
    )
