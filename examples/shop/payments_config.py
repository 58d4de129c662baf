"""The payments configuration file: what operators edit, and how it is read.

Only its form is checked. A wrong address or path is accepted, as most software accepts it, and fails
when it is used.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from examples.shop.settings import ConfigurationError, Settings

PROVIDERS = ("provider-a", "provider-b")
_TEMPLATE = """\
# Payments: which provider is charged, and how. Send SIGHUP to payments after a change.
[upstream]
primary = "provider-a"
url_a = "{url_a}"
url_b = "{url_b}"
path = "/charge"
timeout_ms = 400
api_key_file = "provider.key"  # relative to this file
"""


@dataclass(frozen=True)
class PaymentsConfig:
    """What payments works with between two reloads."""

    provider: str
    charge_url: str
    timeout_ms: int
    api_key: str = field(repr=False)


def default_text(settings: Settings) -> str:
    return _TEMPLATE.format(url_a=settings.url("provider-a"), url_b=settings.url("provider-b"))


def load(path: Path) -> PaymentsConfig:
    """Read `path` and the key beside it; raises ConfigurationError that names file and key."""
    try:
        upstream = tomllib.loads(path.read_text(encoding="utf-8")).get("upstream")
    except (OSError, ValueError) as problem:
        raise ConfigurationError(f"{path}: {problem}") from problem
    if not isinstance(upstream, dict):
        raise ConfigurationError(f"{path}: the table [upstream] is missing")
    provider = _text(upstream, "primary", path)
    if provider not in PROVIDERS:
        raise ConfigurationError(f"{path}: upstream.primary is {provider!r}: give one of {', '.join(PROVIDERS)}")
    timeout_ms = upstream.get("timeout_ms")
    if not isinstance(timeout_ms, int) or isinstance(timeout_ms, bool) or timeout_ms < 1:
        raise ConfigurationError(f"{path}: upstream.timeout_ms must be a whole number of at least 1")
    base_url = _text(upstream, "url_a" if provider == "provider-a" else "url_b", path)
    key_file = path.parent / _text(upstream, "api_key_file", path)
    try:
        api_key = key_file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as problem:
        raise ConfigurationError(f"{path}: upstream.api_key_file: {problem}") from problem
    return PaymentsConfig(provider, base_url.rstrip("/") + _text(upstream, "path", path), timeout_ms, api_key)


def _text(table: dict[str, object], key: str, path: Path) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{path}: upstream.{key} must be a text")
    return value
