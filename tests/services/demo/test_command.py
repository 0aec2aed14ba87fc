"""`nom demo` as it is typed."""

from datetime import date

import pytest
from click.testing import CliRunner

from services.demo import command as demo
from services.demo.packages import MissingPackageError
from services.demo.small import small_network


def test_small_loads_the_small_network_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """It needs no extra package, so that anybody can try the service."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    for _ in range(2):
        result = CliRunner().invoke(demo.command, ["--small"], catch_exceptions=False)
        assert result.exit_code == 0


def test_a_missing_extra_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback would not tell a newcomer what to install."""

    def missing(seed: int) -> None:
        raise MissingPackageError(f"pip install 'nom[demo]' for seed {seed}")

    monkeypatch.setattr(demo, "build", missing)
    result = CliRunner().invoke(demo.command, ["--seed", "3"])
    assert result.exit_code == 1
    assert result.output.strip() == "Error: pip install 'nom[demo]' for seed 3"


def test_a_wrong_option_is_refused_before_anything_starts() -> None:
    """Half a minute of loading before a typo shows is half a minute too late."""
    for arguments in (["--baskets", "0"], ["--concurrency", "0"], ["--concurrency", "1000"]):
        assert CliRunner().invoke(demo.command, arguments).exit_code == 2


def test_the_small_network_needs_no_package_of_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make run` installs the service alone."""
    monkeypatch.setattr("services.demo.packages.find_spec", lambda _name: None)
    assert small_network(date(2026, 3, 2)).nodes
