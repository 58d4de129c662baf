"""How repairs have done, drawn from what happened: by problem and playbook, and all together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Real outcomes, with their times as numbers; a run that touched nothing says nothing of a repair.
_OUTCOMES = """
with outcomes as (
    select
        case_id,
        body ->> 'signature' as signature,
        body ->> 'category' as category,
        body ->> 'playbook' as playbook,
        body ->> 'result' as result,
        at,
        extract(epoch from (body ->> 'applied_at')::timestamptz
            - coalesce((body ->> 'opened_at')::timestamptz, (body ->> 'started_at')::timestamptz)) as fix_s,
        extract(epoch from (body ->> 'finished_at')::timestamptz
            - coalesce((body ->> 'opened_at')::timestamptz, (body ->> 'started_at')::timestamptz)) as recovery_s
    from latest
    where kind = 'outcome' and at >= :since and body ->> 'result' <> 'skipped' and body ->> 'dry_run' = 'false'
)
"""
_PATTERNS = "".join(
    (
        _OUTCOMES,
        """
select
    signature,
    min(category) as category,
    playbook,
    count(*) as runs,
    count(*) filter (where result = 'succeeded') as successes,
    avg(recovery_s) filter (where result = 'succeeded') as recovery_s,
    max(at) as last_at
from outcomes
group by signature, playbook
order by signature, count(*) filter (where result = 'succeeded')::numeric / count(*) desc, count(*) desc, playbook
""",
    )
)
_EFFECT = "".join(
    (
        _OUTCOMES,
        """
select
    count(*) as runs,
    count(*) filter (where result = 'succeeded') as succeeded,
    count(*) filter (where result = 'rolled-back') as rolled_back,
    count(*) filter (where result = 'failed') as failed,
    avg(fix_s) filter (where result = 'succeeded') as fix_mean_s,
    percentile_cont(array[0.5, 0.95]) within group (order by fix_s) filter (where result = 'succeeded') as fix_s,
    avg(recovery_s) filter (where result = 'succeeded') as recovery_mean_s,
    percentile_cont(array[0.5, 0.95]) within group (order by recovery_s)
        filter (where result = 'succeeded') as recovery_s
from outcomes
""",
    )
)
_INCIDENTS = "".join(
    (
        _OUTCOMES,
        """
select
    count(*) as incidents,
    count(*) filter (where status = 'open') as still_open,
    count(*) filter (where acted) as acted_on,
    count(*) filter (where helped) as healed,
    count(*) filter (where status = 'resolved' and not acted) as without_a_run
from (
    select
        i.status,
        exists (select 1 from outcomes o where o.case_id = i.case_id) as acted,
        exists (select 1 from outcomes o where o.case_id = i.case_id and o.result = 'succeeded') as helped
    from latest i
    where i.kind = 'incident' and i.at >= :since
) told
""",
    )
)


@dataclass(frozen=True, slots=True)
class Solution:
    """How one playbook has done on one kind of problem. Times in seconds, of the runs that helped."""

    signature: str
    category: str
    playbook: str
    runs: int
    successes: int
    recovery_s: float | None
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, median and 95th percentile; none before the first."""

    mean_s: float | None
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class Effect:
    """Runs and incidents since a moment. Both from the first sign: `fix` until applied, `recovery` until validated."""

    runs: int
    succeeded: int
    rolled_back: int
    failed: int
    fix: Spread
    recovery: Spread
    incidents: int
    still_open: int
    acted_on: int
    healed: int
    without_a_run: int


async def solutions(session: AsyncSession, since: datetime) -> list[Solution]:
    """By problem, the best first."""
    rows = await session.execute(text(_PATTERNS), {"since": since})
    return [Solution(r[0], r[1], r[2], r[3], r[4], _seconds(r[5]), r[6]) for r in rows]


async def effect(session: AsyncSession, since: datetime) -> Effect:
    run = (await session.execute(text(_EFFECT), {"since": since})).one()
    incident = (await session.execute(text(_INCIDENTS), {"since": since})).one()
    fix, recovery = run[5] or (None, None), run[7] or (None, None)
    return Effect(
        runs=run[0],
        succeeded=run[1],
        rolled_back=run[2],
        failed=run[3],
        fix=Spread(_seconds(run[4]), _seconds(fix[0]), _seconds(fix[1])),
        recovery=Spread(_seconds(run[6]), _seconds(recovery[0]), _seconds(recovery[1])),
        incidents=incident[0],
        still_open=incident[1],
        acted_on=incident[2],
        healed=incident[3],
        without_a_run=incident[4],
    )


def _seconds(value: object) -> float | None:
    return None if value is None else round(float(str(value)), 3)
