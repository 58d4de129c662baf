"""Where everything of one shop is: read once from options and environment, so that no module guesses."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PORT_OFFSETS: Mapping[str, int] = {
    "edge": 0,
    "catalog": 1,
    "orders": 2,
    "payments": 3,
    "provider-a": 4,
    "provider-b": 5,
    "worker": 6,
    "loadgen": 7,
}
COMPONENTS: tuple[str, ...] = tuple(PORT_OFFSETS)
DEFAULT_DATA_DIR = ".homeostat/shop"
DEFAULT_BASE_PORT = 9100


class OperatorError(Exception):
    """Anything that ends a command with one clear line instead of a traceback."""


class ConfigurationError(OperatorError):
    """The shop was asked for something its options or files do not allow; the message says the remedy."""


@dataclass(frozen=True)
class Settings:
    """One shop: its files, ports and addresses.

    Built by `Settings.load`. `urls` holds only the addresses that were overridden
    (`SHOP_CATALOG_URL` and the like, for containers); `url()` answers for every component.
    """

    data_dir: Path
    base_port: int = DEFAULT_BASE_PORT
    bind_host: str = "127.0.0.1"
    database_url: str | None = None
    urls: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        data_dir: str | Path | None = None,
        base_port: int | None = None,
        database_url: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> "Settings":
        """Options first, then environment, then defaults.

        The database's URL may also lie in `<data>/config/database.url`, where `run` puts it, so that
        whoever restarts a component needs no secret. Raises ConfigurationError for an unusable port.
        """
        env = os.environ if env is None else env
        directory = Path(data_dir or env.get("SHOP_DATA_DIR") or DEFAULT_DATA_DIR).absolute()
        raw_port = str(base_port if base_port is not None else env.get("SHOP_BASE_PORT") or DEFAULT_BASE_PORT)
        if not raw_port.isdecimal() or not 1024 <= int(raw_port) <= 65535 - len(COMPONENTS):
            raise ConfigurationError(
                f"SHOP_BASE_PORT / --base-port is {raw_port!r}: give a number from 1024 to {65535 - len(COMPONENTS)}"
            )
        stored = directory / "config" / "database.url"
        url = database_url or env.get("SHOP_DATABASE_URL")
        if not url and stored.is_file():
            url = stored.read_text().strip()
        return cls(
            data_dir=directory,
            base_port=int(raw_port),
            bind_host=env.get("SHOP_BIND_HOST", "127.0.0.1"),
            # asyncpg takes plain URLs; people copy them from SQLAlchemy.
            database_url=url.replace("+asyncpg", "", 1) if url else None,
            urls={name: env[_variable(name)].rstrip("/") for name in COMPONENTS if env.get(_variable(name))},
        )

    def port(self, component: str) -> int:
        return self.base_port + PORT_OFFSETS[component]

    def url(self, component: str) -> str:
        return self.urls.get(component) or f"http://127.0.0.1:{self.port(component)}"

    def require_database_url(self) -> str:
        """Raises ConfigurationError when nobody gave a database."""
        if not self.database_url:
            raise ConfigurationError(
                "the shop needs a PostgreSQL database of its own: set SHOP_DATABASE_URL or --database-url, "
                "for example postgresql://shop:secret@127.0.0.1:5432/shop"
            )
        return self.database_url

    def pid_file(self, component: str) -> Path:
        return self.data_dir / "run" / f"{component}.pid"

    def log_file(self, component: str) -> Path:
        return self.data_dir / "logs" / f"{component}.log"

    @property
    def starts_file(self) -> Path:
        return self.data_dir / "run" / "starts.jsonl"

    @property
    def requests_file(self) -> Path:
        return self.data_dir / "run" / "requests.jsonl"

    @property
    def payments_config(self) -> Path:
        return self.data_dir / "config" / "payments.toml"

    @property
    def database_url_file(self) -> Path:
        return self.data_dir / "config" / "database.url"


def _variable(component: str) -> str:
    return f"SHOP_{component.upper().replace('-', '_')}_URL"
