"""Files, and single settings in them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from shared.packs.base import Part, Path


class FileRestore(Part):
    path: Path


class FileSet(Part):
    """Sets one key of a TOML, JSON, YAML or INI file, keeping the rest of the file as it is."""

    path: Path
    key: str
    value: str | int | float | bool


class ConfigStep(Part):
    """Moves one number of a TOML, JSON, YAML or INI file by one step, never beyond its bounds."""

    path: Path
    key: str
    multiply: Annotated[float, Field(gt=0)] | None = None
    add: float | None = None
    min: float
    max: float

    @model_validator(mode="after")
    def _moves_within_bounds(self) -> ConfigStep:
        if (self.multiply is None) == (self.add is None):
            raise ValueError("config.step has exactly one of `multiply` and `add`")
        if self.multiply == 1 or self.add == 0:
            raise ValueError("config.step must move: `multiply` other than 1, or `add` other than 0")
        if self.min >= self.max:
            raise ValueError(f"config.step needs min < max, not {self.min:g} and {self.max:g}")
        return self
