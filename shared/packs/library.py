"""The product's library of known problems: what people alarm on, for any component that sends such metrics or lines.

A rule of the library names the metrics of common exporters and of the product's own probes, so it holds wherever those
are sent, and nowhere else. The conditions follow the catalogue of Awesome Prometheus Alerts (CC-BY-4.0), with bounds
that ordinary running does not reach. A pack may leave out some (`library_without`) or all of it (`library: false`).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from ruamel.yaml import YAML

from shared.packs.base import Part
from shared.packs.model import LogPattern, Pack, Rule


class Library(Part):
    """Rules are expressions, each with its id; ids are unique over rules and log patterns."""

    rules: tuple[Rule, ...] = ()
    log_patterns: tuple[LogPattern, ...] = ()

    def for_pack(self, pack: Pack) -> Library:
        """What holds for a pack's components: its own entry of the same id replaces the library's."""
        if not pack.library:
            return Library()
        without = {
            *pack.library_without,
            *(rule.id for rule in pack.rules if rule.id),
            *(pattern.id for pattern in pack.log_patterns),
        }
        return Library(
            rules=tuple(rule for rule in self.rules if rule.id not in without),
            log_patterns=tuple(pattern for pattern in self.log_patterns if pattern.id not in without),
        )


@cache
def library() -> Library:
    """All parts of the library that comes with the product."""
    parts = sorted((files(__package__) / "known").iterdir(), key=lambda part: part.name)
    read = [Library.model_validate(YAML(typ="safe").load(part.read_text())) for part in parts if _is_part(part.name)]
    return Library(
        rules=tuple(rule for part in read for rule in part.rules),
        log_patterns=tuple(pattern for part in read for pattern in part.log_patterns),
    )


def _is_part(name: str) -> bool:
    return name.endswith(".yaml")
