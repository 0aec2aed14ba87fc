"""A shop of four nodes at a time of the story's own, with its application running."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest

from services import keys
from services.app import furnished
from services.database import Database
from services.settings import Settings
from tests.scenarios import clock, shop
from tests.scenarios.words import Story
from tests.services.caller import Caller
from tests.services.conftest import one_framework, started


@pytest.fixture
async def database_url(database_url: str) -> str:
    """Return the URL of a fresh database that has a clock of its own."""
    await clock.install(database_url)
    return database_url


@pytest.fixture
async def story(settings: Settings, database: Database) -> AsyncIterator[Story]:
    """Yield the beginning of a story: a quiet morning in the shop."""
    secrets = {
        "checkout": await keys.create(database, "checkout", (), None),
        "planner": await keys.create(database, "planner", (), None),
        "operator": await keys.create(database, "operator", (), None),
        "store": await keys.create(database, "store", (shop.FIFTH_AVENUE,), None),
    }
    app = furnished(one_framework(settings.body_bytes_max), settings)
    # Litestar's ASGI types are narrower than httpx's, which are plain mappings.
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    async with (
        started(app),
        httpx.AsyncClient(transport=transport, base_url="http://nom.test") as client,
    ):
        told = Story(Caller(client, secrets, app.runtime), database, settings)
        await told.it_is("2 March 09:00")
        await shop.furnish(told.caller)
        await told.caller.catch_up()
        yield told
