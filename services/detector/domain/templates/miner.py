"""Learns templates as lines come: exact at first, wider where words turn out to be values.

The fixed-depth search of Drain (He et al., ICWS 2017) with another criterion: lines that differ in one word are kept
apart until that place has shown more different words than a programmer would have written. Merging rather than
similarity keeps "link severed" and "connection reset" apart, however long what they share.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.detector.domain.templates.masking import WILD, tokens

MAX_TEMPLATES = 500
"""Per component; the one unused for longest gives way."""
MAX_GROUP = 100
"""Templates of one length and first word, of which a new one is compared with each."""
MAX_CACHE = 4_000
VALUES = 5
"""So many different words in one place are values."""
NAMED_VALUES = 2
"""The same after a word that names things: `user`, `for`, … Waiting for a third costs every group its first lines."""
NAMING = frozenset({"user", "for", "by", "from", "host", "named", "name", "client", "domain", "on", "to", "at"})
ALIKE = 0.6
"""Share of equal tokens from which a full group takes a line into the template nearest to it."""


@dataclass(slots=True)
class Template:
    """`words` with wildcards, how many lines had it, and the count of all lines when it was last used."""

    id: int
    words: tuple[str, ...]
    count: int = 0
    used: int = 0


@dataclass(slots=True)
class MinerState:
    """What is remembered: nothing else bears on an assignment."""

    next_id: int = 1
    lines: int = 0
    templates: list[Template] = field(default_factory=list)


class Miner:
    """`add()` gives a line's template. `merged` says which ids have since become another."""

    def __init__(self, state: MinerState | None = None, max_templates: int = MAX_TEMPLATES) -> None:
        self._kept = state or MinerState()
        self._max = max_templates
        self._by_id: dict[int, Template] = {}
        self._exact: dict[tuple[str, ...], Template] = {}
        self._groups: dict[tuple[int, str], list[Template]] = {}
        self._cache: dict[tuple[str, ...], Template] = {}
        for template in self._kept.templates:
            self._index(template)

    @property
    def templates(self) -> list[Template]:
        return list(self._by_id.values())

    def words(self, id_: int) -> tuple[str, ...] | None:
        """Of a template that is still remembered."""
        template = self._by_id.get(id_)
        return template.words if template else None

    def state(self) -> MinerState:
        self._kept.templates = self.templates
        return self._kept

    def add(self, line: str) -> tuple[Template, tuple[int, ...]]:
        """The line's template, and ids of templates that have become it just now."""
        words = tokens(line)
        self._kept.lines += 1
        template = self._exact.get(words) or self._cache.get(words) or self._match(words)
        gone: tuple[int, ...] = ()
        if template is None:
            template, gone = self._learn(words)
        template.count += 1
        template.used = self._kept.lines
        return template, gone

    # ---- search

    def _match(self, words: tuple[str, ...]) -> Template | None:
        """The template with most words of its own that this line fits."""
        best, most = None, -1
        for template in self._groups.get(_group(words), ()):
            fixed = _fits(template.words, words)
            if fixed > most:
                best, most = template, fixed
        if best is not None:
            if len(self._cache) >= MAX_CACHE:
                self._cache.clear()
            self._cache[words] = best
        return best

    def _learn(self, words: tuple[str, ...]) -> tuple[Template, tuple[int, ...]]:
        group = self._groups.get(_group(words), [])
        place, alike = _crowded(words, group)
        if place is None and len(group) >= MAX_GROUP:
            nearest = max(group, key=lambda each: _equal(each.words, words))
            if _equal(nearest.words, words) >= ALIKE * len(words):
                wider = tuple(a if a == b else WILD for a, b in zip(nearest.words, words, strict=True))
                return self._merge(wider, [nearest])
        if place is not None:
            return self._merge((*words[:place], WILD, *words[place + 1 :]), alike)
        return self._new(words), ()

    def _merge(self, words: tuple[str, ...], merged: list[Template]) -> tuple[Template, tuple[int, ...]]:
        """The oldest id stays: whoever saw it first keeps its name."""
        merged = sorted(merged, key=lambda each: each.id)
        gone: list[Template] = []
        while True:
            for each in merged:
                self._drop(each)
            gone += merged
            group = self._groups.get(_group(words), [])
            covered = [each for each in group if _fits(words, each.words) >= 0]
            place, alike = _crowded(words, [each for each in group if each not in covered])
            if place is None and not covered:
                break
            if place is not None:
                words = (*words[:place], WILD, *words[place + 1 :])
            merged = [*covered, *(each for each in alike if each not in covered)]
        kept = min(gone, key=lambda each: each.id)
        template = Template(kept.id, words, sum(each.count for each in gone), max(each.used for each in gone))
        self._index(template)
        return template, tuple(each.id for each in gone if each.id != kept.id)

    # ---- memory

    def _new(self, words: tuple[str, ...]) -> Template:
        if len(self._by_id) >= self._max:
            for each in sorted(self._by_id.values(), key=lambda each: each.used)[: max(1, self._max // 20)]:
                self._drop(each)
        template = Template(self._kept.next_id, words)
        self._kept.next_id += 1
        self._index(template)
        return template

    def _index(self, template: Template) -> None:
        self._by_id[template.id] = template
        self._exact[template.words] = template
        self._groups.setdefault(_group(template.words), []).append(template)

    def _drop(self, template: Template) -> None:
        del self._by_id[template.id]
        del self._exact[template.words]
        key = _group(template.words)
        self._groups[key].remove(template)
        if not self._groups[key]:
            del self._groups[key]
        self._cache.clear()


def _group(words: tuple[str, ...]) -> tuple[int, str]:
    return len(words), words[0] if words else ""


def _fits(template: tuple[str, ...], words: tuple[str, ...]) -> int:
    """How many words they share if the template's wildcards cover the rest, −1 if they don't."""
    fixed = 0
    for ours, theirs in zip(template, words, strict=True):
        if ours == theirs:
            fixed += 1
        elif ours != WILD:
            return -1
    return fixed


def _equal(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    return sum(map(str.__eq__, left, right))


def _may_vary(word: str) -> bool:
    """Punctuation and names in capitals (states, signals) are written by programmers."""
    return word == WILD or (
        any(map(str.isalnum, word)) and not (word.isupper() and len(word) > 1 and word.replace("_", "").isalpha())
    )


def _crowded(words: tuple[str, ...], group: list[Template]) -> tuple[int | None, list[Template]]:
    """The first place in which so many templates differ from `words`, and from nowhere else, that it holds values."""
    alike: dict[int, list[Template]] = {}
    for template in group:
        place = _only_difference(template.words, words)
        if place:
            alike.setdefault(place, []).append(template)
    for place in sorted(alike):
        needed = NAMED_VALUES if words[place - 1] in NAMING else VALUES
        if (
            len(alike[place]) + 1 >= needed
            or any(each.words[place] == WILD for each in alike[place])
            or words[place] == WILD
        ):
            return place, alike[place]
    return None, []


def _only_difference(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    """The one place, after the first, where they differ and may; 0 when there is none or more."""
    place = 0
    for index, (ours, theirs) in enumerate(zip(left, right, strict=True)):
        if ours != theirs:
            if place or not index or not (_may_vary(ours) and _may_vary(theirs)):
                return 0
            place = index
    return place
