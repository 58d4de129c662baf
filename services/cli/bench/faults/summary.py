"""The figures of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import sqrt

from services.cli.bench.bus import percentile
from services.cli.bench.faults.judge import Verdicts
from services.cli.bench.faults.scenario import Expect, Family
from services.cli.bench.results import Report, Row

Z = 1.96


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson's score interval).

    >>> low, high = wilson(19, 20)
    >>> round(low, 3), round(high, 3)
    (0.764, 0.991)
    """
    if trials == 0:
        return 0.0, 1.0
    share, squared = successes / trials, Z * Z
    centre = (share + squared / (2 * trials)) / (1 + squared / trials)
    half = Z * sqrt(share * (1 - share) / trials + squared / (4 * trials * trials)) / (1 + squared / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def report(found: Sequence[Verdicts], rivals: Sequence[Row] = ()) -> Report:
    """One row per family, one for all, and the rivals'."""
    rows = [_row(family.value, [v for v in found if v.scenario.family is family]) for family in Family]
    rows = [row for row in rows if row.figures]
    amiss = [f"{v.scenario.name}: {v.why}" for v in found if not v.as_declared]
    return Report(
        area="faults",
        at=datetime.now(UTC),
        title=f"{len(found)} fault scenarios",
        notes="Healed: by the playbook that was meant for it, validated, and well in the eyes of the one who broke it. "
        "Harmful: acted on what was no part of the fault or while acting was forbidden, or left other bytes than there "
        f"were. Seconds from the fault. Not as declared: {'; '.join(amiss) or 'none'}.",
        rows=[*rows, _row("all", found), *rivals],
    )


def _row(what: str, found: Sequence[Verdicts]) -> Row:
    if not found:
        return Row(what, {})
    figures: dict[str, float] = {"n": len(found), "as declared": sum(v.as_declared for v in found)}
    to_heal = [v for v in found if v.scenario.expect is Expect.HEALED]
    if to_heal:
        healed = sum(v.as_declared for v in to_heal)
        low, high = wilson(healed, len(to_heal))
        figures |= {"to heal": len(to_heal), "healed %": 100 * healed / len(to_heal), "from %": 100 * low}
        figures["to %"] = 100 * high
    figures |= {"wrong": sum(len(v.wrong) for v in found), "harmful": sum(len(v.harmful) for v in found)}
    figures |= {"rollbacks": sum(v.rollbacks for v in found), "byte-exact": sum(v.exact for v in found)}
    for name, times in (
        ("noticed", [v.noticed_s for v in found if v.noticed_s is not None]),
        ("acted", [v.restarted_s for v in found if v.restarted_s is not None]),
        ("validated", [v.validated_s for v in found if v.validated_s is not None]),
    ):
        if times:
            figures |= {f"{name} p50 s": percentile(times, 50), f"{name} p95 s": percentile(times, 95)}
    return Row(what, figures)
