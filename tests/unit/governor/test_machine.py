"""Over any course of events, crashes included: the promises about acting hold."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.unit.governor.machine import Life

TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
