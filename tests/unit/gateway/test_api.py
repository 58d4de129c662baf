"""The description of the API is complete: names, sentences, tokens, refusals."""

from __future__ import annotations

from typing import Any

from services.gateway.app import openapi_document

OPEN = {"/livez", "/readyz"}


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    paths = openapi_document()["paths"]
    return [(path, method, operation) for path, methods in paths.items() for method, operation in methods.items()]


def test_the_document_is_openapi_3_1_and_the_same_each_time() -> None:
    assert openapi_document()["openapi"].startswith("3.1")
    assert openapi_document() == openapi_document()


def test_every_operation_has_a_name_of_its_own_a_sentence_and_a_group() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    for path, method, operation in operations():
        assert operation["description"].rstrip().endswith("."), (method, path)
        assert operation["tags"], (method, path)


def test_every_path_but_health_needs_a_token_and_says_how_it_refuses() -> None:
    for path, method, operation in operations():
        assert ("security" in operation) == (path not in OPEN), (method, path)
        assert "application/problem+json" in operation["responses"]["4XX"]["content"]


def test_looking_never_changes_anything() -> None:
    changing = {method for _, method, _ in operations()} - {"get"}
    assert changing == {"post", "put", "delete"}


def test_the_named_endpoints_are_there() -> None:
    paths = {(method.upper(), path) for path, method, _ in operations()}
    assert paths >= {
        ("GET", "/api/autonomous/system-state"),
        ("POST", "/api/autonomous/run-cycle"),
        ("GET", "/api/autonomous/decisions"),
        ("GET", "/api/monitoring/health"),
        ("POST", "/api/monitoring/rollback/{backup_id}"),
        ("GET", "/api/healing/backups"),
        ("POST", "/api/healing/run"),
        ("GET", "/api/events"),
    }
