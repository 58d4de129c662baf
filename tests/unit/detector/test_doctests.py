"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["adaptive", "log_patterns", "ratios", "series", "thresholds", "windows"])
def test_examples(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"services.detector.domain.{module}"))
    assert tried > 0
    assert failed == 0
