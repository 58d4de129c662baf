"""Compares the ways to choose among safe playbooks, from what was recorded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from services.decider.domain.comparing import Choice, Contender, choice_of, compare
from services.decider.domain.record import load_inputs
from services.decider.handlers.accounts import share_of
from services.decider.store import DecisionRow, decisions
from shared.contracts.decider_governance import PlaybookTried, Strategies, StrategiesRequest, StrategyWorth
from shared.outbox import Unit

MOST_RUNS = 2_000


async def strategies(request: StrategiesRequest, unit: Unit) -> Strategies:
    """What each strategy is worth on the choices that were made, whichever made them."""
    rows = await decisions.acted_alone(unit.session, unit.now - timedelta(days=request.days), MOST_RUNS)
    return await asyncio.to_thread(_compared, rows)


def _compared(rows: Sequence[DecisionRow]) -> Strategies:
    found = [choice for row in rows if (choice := _choice(row)) is not None]
    tried: Counter[tuple[str, str]] = Counter((one.signature, one.playbooks[one.taken]) for one in found)
    helped = Counter((one.signature, one.playbooks[one.taken]) for one in found if one.helped)
    return Strategies(
        choices=len(found),
        strategies=tuple(_wire(one) for one in compare(found)),
        playbooks=tuple(
            PlaybookTried(signature=pair[0], playbook=pair[1], helped=share_of(helped[pair], runs))
            for pair, runs in sorted(tried.items())
        ),
    )


def _choice(row: DecisionRow) -> Choice | None:
    if row.chosen_action is None:
        return None
    return choice_of(load_inputs(row.context_data), row.chosen_action, bool(row.helped))


def _wire(one: Contender) -> StrategyWorth:
    return StrategyWorth(
        strategy=one.strategy,
        own=share_of(one.helped, one.chose),
        value=one.doubly_robust.value,
        low=one.doubly_robust.low,
        high=one.doubly_robust.high,
        snips=one.snips.value,
        snips_low=one.snips.low,
        snips_high=one.snips.high,
        seen=min(one.seen, 1.0),
    )
