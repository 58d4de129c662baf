"""payments.toml: its form is checked, its truth only by use; a slip of the operator keeps the form."""

from pathlib import Path

import pytest

from examples.shop.faults import BadConfig, FaultError, spoil
from examples.shop.payments_config import default_text, load
from examples.shop.settings import ConfigurationError, Settings

SETTINGS = Settings(Path("data"), base_port=9100)
DEFAULT = default_text(SETTINGS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "provider.key").write_text("key-1\n")
    return tmp_path / "payments.toml"


def test_the_default_charges_provider_a(path: Path) -> None:
    path.write_text(DEFAULT)
    config = load(path)
    assert (config.provider, config.charge_url) == ("provider-a", "http://127.0.0.1:9104/charge")
    assert (config.timeout_ms, config.api_key) == (400, "key-1")
    assert "key-1" not in repr(config)


def test_switching_the_primary_switches_the_address(path: Path) -> None:
    path.write_text(DEFAULT.replace('primary = "provider-a"', 'primary = "provider-b"'))
    assert load(path).charge_url == "http://127.0.0.1:9105/charge"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("[upstream]", "[other]", "upstream"),
        ('"provider-a"', '"provider-c"', "upstream.primary"),
        ("timeout_ms = 400", "timeout_ms = 0", "upstream.timeout_ms"),
        ("timeout_ms = 400", 'timeout_ms = "400"', "upstream.timeout_ms"),
        ("timeout_ms = 400", "timeout_ms = true", "upstream.timeout_ms"),
        ('path = "/charge"', "", "upstream.path"),
        ("provider.key", "absent.key", "upstream.api_key_file"),
        ("[upstream]", "[upstream", "payments.toml"),
    ],
)
def test_a_malformed_file_is_refused_by_name(path: Path, old: str, new: str, named: str) -> None:
    assert old in DEFAULT
    path.write_text(DEFAULT.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=named):
        load(path)


def test_an_absent_file_is_refused_by_name(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"payments\.toml"):
        load(path)


@pytest.mark.parametrize("edit", BadConfig.edits)
def test_every_slip_is_well_formed_and_changes_what_is_used(path: Path, edit: str) -> None:
    path.write_text(DEFAULT)
    before = load(path)
    path.write_text(spoil(DEFAULT, edit))
    assert load(path) != before


def test_the_slip_meets_the_provider_in_use(path: Path) -> None:
    text = DEFAULT.replace('primary = "provider-a"', 'primary = "provider-b"')
    path.write_text(spoil(text, "port"))
    assert load(path).charge_url == "http://127.0.0.1:9155/charge"


def test_an_unknown_slip_is_refused() -> None:
    with pytest.raises(FaultError, match="path, port, timeout"):
        BadConfig(SETTINGS, "colour")
