"""Beginning practices: when somebody asks, and by the schedule at a quiet time; and what there is to tell of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import structlog

from services.healer.clients.base import ActuatorError
from services.healer.domain.interpolation import InterpolationError
from services.healer.domain.practice import shared_with_production
from services.healer.store import cases, practices, runs
from services.healer.store.hooks import after_commit
from services.healer.store.models import PracticeRow
from services.healer.workflows.engine import Engine
from services.healer.workflows.practising import Practising
from services.healer.workflows.records import PracticeOrder
from shared.bus import CommandRefusedError
from shared.contracts import healer as contract
from shared.contracts.decider import Plan
from shared.contracts.detector import Storm
from shared.outbox import Unit
from shared.packs.book import Applied, PackBook
from shared.packs.model import Mode
from shared.packs.playbook import Playbook
from shared.packs.policy import FreezeWindow
from shared.packs.practice import spec_hash

log = structlog.get_logger()

QUIET = timedelta(minutes=10)
"""A pack without an incident this long is quiet."""
RETRY = timedelta(hours=1)
"""A practice that was aborted is tried again by the schedule after this."""
BY_SCHEDULE = "schedule"


class RefusedError(Exception):
    """A practice may not begin; the message says why."""


@dataclass(slots=True)
class StormBook:
    """Packs in which there is a storm of alarms."""

    on: set[str] = field(default_factory=set)

    async def seen(self, pack: str, storm: Storm | None) -> None:
        """For `bus.watch(Storm, book.seen)`."""
        if storm is not None and storm.on:
            self.on.add(pack)
        else:
            self.on.discard(pack)


@dataclass(slots=True)
class PracticeHandlers:
    packs: PackBook
    practising: Practising
    engine: Engine
    storms: StormBook
    switched_off: Callable[[], bool]
    ids: Callable[[], UUID]
    _started: set[UUID] = field(default_factory=set)
    _starting: set[asyncio.Task[None]] = field(default_factory=set)

    # ---- people

    async def asked(self, request: contract.StartPractice, unit: Unit) -> contract.PracticesBegun:
        """Begins what was asked for; playbooks with one target are practised one after another."""
        wanted = self._wanted(request)
        begun, refused = [], []
        for applied, name in wanted:
            try:
                begun.append(await self._begin(unit, applied, name, request.by))
            except RefusedError as error:
                refused.append(f"{name}: {error}")
        await unit.session.flush()
        await self.start_next(unit)
        if not begun:
            raise CommandRefusedError("; ".join(refused))
        return contract.PracticesBegun(begun=tuple(begun), refused=tuple(refused))

    def _wanted(self, request: contract.StartPractice) -> list[tuple[Applied, str]]:
        chosen = [one for name, one in sorted(self.packs.packs.items()) if request.pack in (None, name)]
        if not chosen:
            raise CommandRefusedError(f"no pack is named {request.pack!r}")
        if request.playbook is None:
            found = [(one, name) for one in chosen for name, book in one.pack.playbooks.items() if book.practice]
        else:
            found = [(one, request.playbook) for one in chosen if request.playbook in one.pack.playbooks]
        if not found:
            what = f"is named {request.playbook!r}" if request.playbook else "says how it is practised"
            raise CommandRefusedError(f"no playbook {what}: see docs/how-to/practise-a-playbook.md")
        return found

    async def told(self, request: contract.ListPractices, unit: Unit) -> contract.Practices:
        """The newest practices."""
        found = await practices.newest(unit.session, request.playbook, request.limit)
        return contract.Practices(practices=tuple(_report(row) for row in found))

    # ---- the schedule

    async def practise_due(self, unit: Unit) -> None:
        """Begins at most one practice that is due, where it is quiet."""
        for applied in self.packs.packs.values():
            every_days = applied.pack.policy.practice_every_days
            if every_days is None or not await self._is_quiet(unit, applied):
                continue
            for name, playbook in applied.pack.playbooks.items():
                if playbook.practice and await self._is_due(unit, applied, name, playbook, timedelta(days=every_days)):
                    try:
                        await self._begin(unit, applied, name, BY_SCHEDULE)
                    except RefusedError as error:
                        log.warning("can't practise", playbook=name, reason=str(error))
                        continue
                    return

    async def start_next(self, unit: Unit) -> None:
        """Starts the first that waits for each target, and what a crash left between its commit and its start."""
        for row in await practices.first_of_each_target(unit.session):
            if row.id not in self._started:
                self._start_after(unit, PracticeOrder.model_validate(row.order))

    async def _is_due(self, unit: Unit, applied: Applied, name: str, playbook: Playbook, every: timedelta) -> bool:
        last = await practices.last_of(unit.session, applied.pack.pack, name, spec_hash(playbook))
        if last is None:
            return True
        age = unit.now - last.started_at
        return age >= (min(RETRY, every) if last.verdict == practices.ABORTED else every)

    async def _is_quiet(self, unit: Unit, applied: Applied) -> bool:
        """No mode that only observes, freeze, storm, kill switch, run, or incident of a while."""
        pack = applied.pack
        if pack.mode is Mode.OBSERVE or self.switched_off() or pack.pack in self.storms.on:
            return False
        if any(FreezeWindow.parse(window).covers(unit.now) for window in pack.policy.freeze):
            return False
        if await practices.any_run_on(unit.session, pack.components):
            return False
        trouble = await cases.last_trouble(unit.session, pack.components, unit.now)
        return all(unit.now - one.until >= QUIET for one in trouble.values())

    # ---- beginning

    async def _begin(self, unit: Unit, applied: Applied, name: str, by: str) -> contract.PracticeBegun:
        order = self._order(unit, applied, name, by)
        self._keep_from_production(order)
        row = PracticeRow(
            id=order.practice_id,
            pack=order.plan.pack,
            playbook=name,
            target=order.plan.component,
            spec_hash=order.spec_hash,
            by=by,
            order=order.model_dump(mode="json", by_alias=True),
            started_at=unit.now,
            reason="",
            evidence=[],
        )
        await runs.lock_component(unit.session, order.plan.component)
        if await practices.is_under_way(unit.session, order.plan.pack, name):
            raise RefusedError("it is being practised, or waits for its turn")
        practices.begin(unit.session, row)
        return contract.PracticeBegun(
            practice_id=order.practice_id, pack=order.plan.pack, playbook=name, target=order.plan.component
        )

    def _order(self, unit: Unit, applied: Applied, name: str, by: str) -> PracticeOrder:
        pack, playbook = applied.pack, applied.pack.playbooks[name]
        if playbook.practice is None:
            raise RefusedError("it does not say how it is practised: add `practice:` to it")
        target = pack.components.get(playbook.practice.target)
        if target is None or not target.practice:
            raise RefusedError(f"{playbook.practice.target} is no practice target: mark it `practice: true`")
        if target.host is not None:
            raise RefusedError(f"{playbook.practice.target} is on another host: practise on one of the healer's own")
        if self.switched_off():
            raise RefusedError("the kill switch is on")
        plan = Plan(
            pack=pack.pack,
            pack_version=applied.version,
            playbook=name,
            spec=playbook,
            component=playbook.practice.target,
            target=target,
            http_hosts=pack.http_hosts,
        )
        return PracticeOrder(
            practice_id=self.ids(),
            at=unit.now,
            by=by,
            plan=plan,
            practice=playbook.practice,
            spec_hash=spec_hash(playbook),
        )

    def _keep_from_production(self, order: PracticeOrder) -> None:
        """Nothing that the practice touches may belong to a component of any pack that somebody needs."""
        production = {
            name: self.practising.touches_of(order, name, component)
            for applied in self.packs.packs.values()
            for name, component in applied.pack.components.items()
            if not component.practice
        }
        try:
            problem = shared_with_production(self.practising.touches(order), production)
        except (ActuatorError, InterpolationError) as error:
            raise RefusedError(str(error)) from error
        if problem:
            raise RefusedError(problem)

    def _start_after(self, unit: Unit, order: PracticeOrder) -> None:
        def start() -> None:
            task = asyncio.get_running_loop().create_task(self._start(order))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

        after_commit(unit.session, start)

    async def _start(self, order: PracticeOrder) -> None:
        try:
            await self.engine.start_practice(order)
            self._started.add(order.practice_id)
        except Exception as error:  # what is left is started again
            log.exception("practice not started", practice_id=str(order.practice_id), error=str(error))


def _report(row: PracticeRow) -> contract.PracticeReport:
    return contract.PracticeReport.model_validate(
        {
            "practice_id": row.id,
            "pack": row.pack,
            "playbook": row.playbook,
            "target": row.target,
            "spec_hash": row.spec_hash,
            "by": row.by,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
            "verdict": row.verdict,
            "reason": row.reason,
            "way_back": row.way_back,
            "rounds": row.evidence,
        }
    )
