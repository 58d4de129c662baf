"""The committed descriptions say what the code does, and are sound documents of their kind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema
from ruamel.yaml import YAML

from services.cli.contracts import ARCHITECTURE, MARKERS, ContractsError, check, generate
from shared.settings import SERVICES

ROOT = Path(__file__).parents[2]


def test_the_committed_files_are_those_the_code_gives() -> None:
    assert check(ROOT) == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    (tmp_path / ARCHITECTURE).parent.mkdir()
    shutil.copy(ROOT / ARCHITECTURE, tmp_path / ARCHITECTURE)
    return tmp_path


def test_every_difference_is_named_and_mended(checkout: Path) -> None:
    (checkout / "contracts/asyncapi/healer.yaml").unlink()
    (checkout / "contracts/asyncapi/butler.yaml").write_text("asyncapi: 3.0.0\n")
    page = checkout / ARCHITECTURE
    page.write_text(page.read_text().replace("`detector.incident.v1.", "`detector.accident.v1."))

    missing, stale, left_over = check(checkout)
    assert missing.startswith("contracts/asyncapi/healer.yaml is missing")
    assert stale.startswith("docs/architecture.md is out of date")
    assert "detector.accident.v1" in stale
    assert left_over.startswith("contracts/asyncapi/butler.yaml describes no service")

    assert sorted(generate(checkout)) == [
        "contracts/asyncapi/butler.yaml",
        "contracts/asyncapi/healer.yaml",
        "docs/architecture.md",
    ]
    assert check(checkout) == []
    assert generate(checkout) == []


def test_a_page_without_its_markers_and_an_example_that_is_no_json_are_told_with_the_remedy(checkout: Path) -> None:
    page = checkout / ARCHITECTURE
    page.write_text(page.read_text().replace(MARKERS[1], ""))
    with pytest.raises(ContractsError, match="put back"):
        check(checkout)
    (checkout / "contracts/examples/ingest.logs.v1--torn.json").write_text("{")
    with pytest.raises(ContractsError, match=r"ingest\.logs\.v1--torn\.json: not JSON"):
        check(checkout)


@pytest.mark.parametrize("service", SERVICES)
def test_an_asyncapi_document_is_whole(service: str) -> None:
    document: dict[str, Any] = YAML(typ="safe").load((ROOT / f"contracts/asyncapi/{service}.yaml").read_text())
    # FastStream's model of a server asks for more than the specification does.
    ApplicationSchema.model_validate({**document, "servers": None})
    for reference in references(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in found, f"{reference} leads nowhere"
            found = found[step]
    used = {operation["channel"]["$ref"] for operation in document["operations"].values()}
    used |= {
        operation["reply"]["channel"]["$ref"] for operation in document["operations"].values() if "reply" in operation
    }
    assert used == {f"#/channels/{name}" for name in document["channels"]}, "a channel per operation and none besides"
    addresses = [channel["address"] for channel in document["channels"].values() if channel["address"]]
    assert len(addresses) == len(set(addresses)), "one channel per subject"


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
