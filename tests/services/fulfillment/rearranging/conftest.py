"""A service that waits an hour before it submits work, and the job that moves what waits."""

import pytest

from services.fulfillment.rearranging import Rearranging
from services.fulfillment.sweeps import Resourcing
from services.settings import Settings
from tests.services.fulfillment.rearranging.waiting_work import WINDOW_S


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Return the settings of a service that waits an hour before it submits work."""
    return Settings.from_environment(
        {"DATABASE_URL": database_url, "NOM_RELEASE_WINDOW_S": str(WINDOW_S)}
    )


@pytest.fixture
def job(settings: Settings) -> Rearranging:
    """Return the job as the background worker has it."""
    return Rearranging(settings, Resourcing(settings))


@pytest.fixture
def commands(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands work on the database of the test."""
    monkeypatch.setenv("DATABASE_URL", str(settings.database_url))
