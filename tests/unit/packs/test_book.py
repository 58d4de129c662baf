"""The book of packs follows the last value of every pack and keeps a running system in care whatever comes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from shared.contracts.gateway import PackApplied
from shared.packs.book import PackBook
from shared.packs.load import parse_pack

AT = datetime(2026, 1, 1, tzinfo=UTC)


def applied(name: str, version: int, components: str) -> PackApplied:
    pack = parse_pack(f"pack: {name}\ncomponents: {components}")
    return PackApplied(
        at=AT, pack=name, version=version, applied_by="t", body=pack.model_dump(mode="json", by_alias=True)
    )


def event(name: str, version: int, body: dict[str, JsonValue] | None) -> PackApplied:
    return PackApplied(at=AT, pack=name, version=version, applied_by="t", body=body)


async def test_components_are_found_with_their_pack_and_version() -> None:
    book = PackBook()
    await book.seen("shop", applied("shop", 3, "{edge: {kind: web}}"))
    placed = book.component("edge")
    assert placed is not None
    assert (placed.pack.pack, placed.version, placed.component.kind) == ("shop", 3, "web")
    assert book.component("nobody") is None


async def test_the_last_value_wins_and_a_removed_pack_is_gone() -> None:
    book = PackBook()
    await book.seen("shop", applied("shop", 1, "{edge: {}}"))
    await book.seen("shop", applied("shop", 2, "{front: {}}"))
    assert book.component("edge") is None
    assert book.packs["shop"].version == 2
    await book.seen("shop", event("shop", 3, None))
    assert not book.packs
    assert book.component("front") is None


async def test_an_invalid_body_leaves_the_former_version_in_force() -> None:
    book = PackBook()
    await book.seen("shop", applied("shop", 1, "{edge: {}}"))
    await book.seen("shop", event("shop", 2, {"pack": "shop", "components": 7}))
    assert book.packs["shop"].version == 1
    assert book.component("edge") is not None


async def test_neighbours_near_and_far() -> None:
    book = PackBook()
    await book.seen(
        "a", applied("a", 1, "{loadgen: {calls: [edge]}, edge: {calls: [x, y]}, x: {calls: [db]}, y: {}, db: {}}")
    )
    assert book.callees_of("edge") == {"x", "y"}
    assert book.callers_of("db") == {"x"}
    assert book.dependents_of("db") == {"x", "edge", "loadgen"}
    assert book.dependents_of("loadgen") == frozenset()
    assert book.callees_of("nobody") == book.callers_of("nobody") == frozenset()


async def test_listeners_hear_of_changes_only() -> None:
    book, heard = PackBook(), []
    book.on_change(lambda: heard.append(len(book.packs)))
    await book.seen("a", None)
    await book.seen("a", applied("a", 1, "{x: {}}"))
    await book.seen("a", event("a", 2, {}))
    await book.seen("a", event("a", 3, None))
    assert heard == [1, 0]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.sets(st.sampled_from("uvw"), min_size=1))))
def test_the_book_depends_on_the_last_value_of_each_pack_alone(story: list[tuple[str, bool, set[str]]]) -> None:
    def replay(events: list[tuple[str, bool, set[str]]]) -> dict[str, set[str]]:
        book = PackBook()
        for version, (name, present, parts) in enumerate(events, 1):
            names = ", ".join(f"{name}-{part}: {{}}" for part in sorted(parts))
            change = applied(name, version, f"{{{names}}}") if present else event(name, version, None)
            asyncio.run(book.seen(name, change))
        return {name: set(one.pack.components) for name, one in book.packs.items()}

    last = {name: (name, present, parts) for name, present, parts in story}
    assert replay(story) == replay(list(last.values()))
