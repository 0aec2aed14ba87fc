"""The real application on a furnished database, called through its ASGI interface."""

from collections.abc import AsyncIterator

import httpx
import pytest

from services import keys
from services.app import create_app
from services.database import Database
from services.settings import Settings
from tests.services.caller import Caller
from tests.services.place import furnish


@pytest.fixture
async def caller(settings: Settings, database: Database) -> AsyncIterator[Caller]:
    """Yield a caller of the application with a key of each role; the store is ST-EAST."""
    await furnish(database)
    secrets = {
        "checkout": await keys.create(database, "checkout", (), None),
        "store": await keys.create(database, "store", ("ST-EAST",), None),
        "partner": await keys.create(database, "partner", (), "carrier"),
        "planner": await keys.create(database, "planner", (), None),
        "operator": await keys.create(database, "operator", (), None),
    }
    app = create_app(settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://nom.test") as client,
    ):
        yield Caller(client, secrets)
