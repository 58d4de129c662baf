"""What the faults promise to those who score a diagnosis."""

from pathlib import Path

from examples.shop.__main__ import FAULT_NAMES
from examples.shop.faults import FAULTS
from examples.shop.settings import COMPONENTS, Settings


def test_the_command_line_offers_every_fault() -> None:
    assert set(FAULT_NAMES) == set(FAULTS)


def test_every_fault_names_a_component_and_each_real_one_its_own_cause() -> None:
    assert all(fault.component in COMPONENTS for fault in FAULTS.values())
    causes = [fault.expected_cause for fault in FAULTS.values() if fault.expected_cause]
    assert len(causes) == len(set(causes)) == len(FAULTS) - 1
    assert FAULTS["bursts"].expected_cause is None


def test_nothing_was_injected_into_an_untouched_shop(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, 9100, env={})
    assert all(fault(settings).injection() is None for fault in FAULTS.values())
