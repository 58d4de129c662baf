"""Secrets that packs name: read when they are needed, never kept, never told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from services.healer.clients.base import ActuatorError
from shared.packs.component import SecretRef


def read_secret(reference: SecretRef, environment: Mapping[str, str]) -> str:
    """The secret that a pack names. Raises ActuatorError when it isn't there; the error never holds the value."""
    if reference.env is not None:
        if reference.env not in environment:
            raise ActuatorError(f"environment variable {reference.env} is not set for the healer")
        return environment[reference.env]
    try:
        return Path(reference.file or "").read_text().strip()
    except OSError as error:
        raise ActuatorError(f"can't read secret file {reference.file}: {error.strerror}") from error
