"""The application and its database, with settings under which a test can wait for retries."""

import pytest

from services.settings import Settings
from tests.services.partners.sending import quick


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Return settings that let the sender reach receivers on the loopback, and soon again."""
    return quick(Settings.from_environment({"DATABASE_URL": database_url}))
