"""What every part of a pack is made of: the strict base class and the few types that recur."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=30 * 86_400)]
Expression = Annotated[str, Field(min_length=1, max_length=2_000)]
Path = Annotated[str, Field(min_length=1, max_length=4_096)]
Pattern = Annotated[str, Field(min_length=1, max_length=1_000)]


class Part(BaseModel):
    """Anything inside a pack."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Mode(StrEnum):
    """How far Homeostat may go by itself. `observe` never acts, `assist` asks, `auto` acts within the limits."""

    OBSERVE = "observe"
    ASSIST = "assist"
    AUTO = "auto"


class Criticality(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


_UNITS = {
    "": 1.0,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}


def parse_quantity(value: str | float) -> float:
    """`400Mi` → 419430400.0; numbers stay as they are.

    Raises:
        ValueError: not a positive number with an optional unit K, M, G, T, Ki, Mi, Gi or Ti.
    """
    if isinstance(value, int | float):
        return float(value)
    text = value.strip().removesuffix("B")
    number = text.rstrip("KMGTi")
    unit = text[len(number) :]
    try:
        quantity = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        raise ValueError(
            f"{value!r} is not a quantity: write a number, or one with a unit such as 400Mi or 1.5G"
        ) from None
    if quantity <= 0:
        raise ValueError(f"{value!r} is not above zero")
    return quantity
