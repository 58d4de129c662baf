"""Where a shop's parts are: options win over environment, environment over defaults."""

from pathlib import Path

import pytest

from examples.shop.settings import COMPONENTS, ConfigurationError, Settings


def test_defaults_need_no_environment() -> None:
    settings = Settings.load(env={})
    assert settings.port("edge") == 9100
    assert settings.port("loadgen") == 9107
    assert settings.url("payments") == "http://127.0.0.1:9103"
    assert settings.bind_host == "127.0.0.1"


def test_options_win_over_environment(tmp_path: Path) -> None:
    env = {"SHOP_DATA_DIR": "/elsewhere", "SHOP_BASE_PORT": "9300", "SHOP_DATABASE_URL": "postgresql://env/db"}
    settings = Settings.load(tmp_path, 9200, "postgresql://option/db", env=env)
    assert settings.data_dir == tmp_path
    assert settings.port("catalog") == 9201
    assert settings.database_url == "postgresql://option/db"


def test_an_address_can_be_overridden_for_each_component() -> None:
    env = {f"SHOP_{name.upper().replace('-', '_')}_URL": f"http://{name}:80/" for name in COMPONENTS}
    settings = Settings.load(env=env)
    assert {name: settings.url(name) for name in COMPONENTS} == {name: f"http://{name}:80" for name in COMPONENTS}


def test_the_database_url_is_found_where_run_left_it(tmp_path: Path) -> None:
    assert Settings.load(tmp_path, env={}).database_url is None
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "database.url").write_text("postgresql+asyncpg://shop@db/shop\n")
    assert Settings.load(tmp_path, env={}).require_database_url() == "postgresql://shop@db/shop"


def test_a_missing_database_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SHOP_DATABASE_URL"):
        Settings.load(tmp_path, env={}).require_database_url()


@pytest.mark.parametrize("port", ["", "0", "80", "65535", "http"])
def test_an_unusable_port_is_refused_unless_empty(port: str) -> None:
    if port:
        with pytest.raises(ConfigurationError, match="SHOP_BASE_PORT"):
            Settings.load(env={"SHOP_BASE_PORT": port})
    else:
        assert Settings.load(env={"SHOP_BASE_PORT": port}).base_port == 9100
