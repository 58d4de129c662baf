"""Who groups log lines in the bench: ours, drain3 and masking digits; and how groups are scored."""

from __future__ import annotations

import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

from services.detector.domain.templates import Miner

_EDGE = r"(?:(?<=[^A-Za-z0-9])|^)", r"(?:(?=[^A-Za-z0-9])|$)"
_DRAIN3_MASKS = {
    "ID": r"(?:[0-9a-f]{2,}:){3,}[0-9a-f]{2,}",
    "IP": r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}",
    "SEQ": r"(?:[0-9a-f]{6,} ?){3,}",
    "HEX": r"0x[a-f0-9A-F]+",
    "NUM": r"[\-\+]?\d+",
}
"""The generic ones of its documentation."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """The group of each line as it was told when the line came, and after later merges."""

    told: Sequence[Hashable]
    final: Sequence[Hashable]
    seconds: float


def ours(lines: Sequence[str]) -> Grouped:
    """The detector's miner with its defaults."""
    miner = Miner()
    told: list[int] = []
    became: dict[int, int] = {}
    started = time.perf_counter()
    for line in lines:
        template, gone = miner.add(line)
        told.append(template.id)
        became.update(dict.fromkeys(gone, template.id))
    seconds = time.perf_counter() - started
    return Grouped(told, [_last(became, id_) for id_ in told], seconds)


def _last(became: dict[int, int], id_: int) -> int:
    while id_ in became:
        id_ = became[id_]
    return id_


def drain3(lines: Sequence[str]) -> Grouped:
    """drain3 with the masks above and its default parameters; it never merges."""
    logging.getLogger("drain3").setLevel(logging.ERROR)
    config = TemplateMinerConfig()
    config.masking_instructions = [
        MaskingInstruction(_EDGE[0] + mask + _EDGE[1], name) for name, mask in _DRAIN3_MASKS.items()
    ]
    miner = TemplateMiner(config=config)
    started = time.perf_counter()
    told = [int(miner.add_log_message(line)["cluster_id"]) for line in lines]
    return Grouped(told, told, time.perf_counter() - started)


def digits(lines: Sequence[str]) -> Grouped:
    """Lines that are equal but for their digits."""
    number = re.compile(r"\d+")
    started = time.perf_counter()
    told = [number.sub("#", line) for line in lines]
    return Grouped(told, told, time.perf_counter() - started)


MINERS: dict[str, Callable[[Sequence[str]], Grouped]] = {
    "Homeostat": ours,
    "drain3, generic masks": drain3,
    "digits masked": digits,
}


def agreement(found: Sequence[Hashable], truth: Sequence[Hashable]) -> tuple[float, float]:
    """Grouping Accuracy: share of lines whose group is exactly a true one (Zhu et al., ICSE-SEIP 2019); and F1 of the
    groups themselves (Jiang et al., ISSTA 2024).

    >>> agreement([1, 1, 2, 3], ["a", "a", "b", "b"])
    (0.5, 0.4)
    """
    theirs, real = _groups(found), _groups(truth)
    right = theirs & real
    return sum(map(len, right)) / len(truth), 2 * len(right) / (len(theirs) + len(real))


def _groups(ids: Sequence[Hashable]) -> set[tuple[int, ...]]:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, id_ in enumerate(ids):
        groups[id_].append(index)
    return {tuple(members) for members in groups.values()}
