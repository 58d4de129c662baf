"""Where benches find data, and what they say when there is none."""

from __future__ import annotations

from pathlib import Path


class DataMissingError(Exception):
    """The area needs data that isn't there; the message says where the set is published."""


def public_set(data: Path | None, name: str, published: str) -> Path:
    """Folder of a public set below `data`. Raises DataMissingError.

    >>> public_set(None, "nab", "its site")
    Traceback (most recent call last):
    services.cli.bench.data.DataMissingError: no data: give --data DIR with nab/ in it (published at its site)
    """
    if data is None or not (data / name).is_dir():
        raise DataMissingError(f"no data: give --data DIR with {name}/ in it (published at {published})")
    return data / name
