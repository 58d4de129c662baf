"""What is said of a tuning in words and numbers."""

from __future__ import annotations

from services.optimizer.domain.tuning import Reason, Tuning


def improvement(tuning: Tuning, unit: str) -> str:
    """What is to be gained, with the share of calls it costs."""
    now = f"{tuning.current:g} {unit}".strip() if tuning.current is not None else "the value now"
    then = f"{tuning.recommended:g} {unit}".strip()
    if tuning.reason is Reason.RAISE:
        return (
            f"up to {tuning.near_now or 0:.1%} of calls are cut off at {now}; with {then} those that would have ended "
            "a little later succeed"
        )
    sooner = f", {1 - tuning.recommended / tuning.current:.0%} sooner," if tuning.current else ""
    return (
        f"a call that hangs is given up after {then} instead of {now}{sooner} and holds its connection no longer; "
        f"about {tuning.cut_then:.2%} of today's calls would be cut off"
    )


def evidence(tuning: Tuning, metric: str) -> str:
    """The measurement behind it."""
    p999 = f", p99.9 {tuning.p999_s * 1000:.0f} ms" if tuning.p999_s is not None else ""
    return (
        f"{metric}: {tuning.samples} calls in {tuning.span_s:.0f} s, p50 {tuning.p50_s * 1000:.0f} ms, "
        f"p99 {tuning.p99_s * 1000:.0f} ms{p999}"
    )
