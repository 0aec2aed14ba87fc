"""The real application on a furnished database, called through its ASGI interface."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, cast

import httpx
import pytest

from services import keys
from services.app import framework, furnished
from services.database import Database
from services.http.door import Door
from services.planning.availability_view import Shelf
from services.planning.network import NetworkCache
from services.planning.stock_view import StockFollower
from services.settings import Settings
from tests.services.caller import Caller
from tests.services.place import furnish

KEPT_BYTES = 1_000_000
one_framework = lru_cache(framework)
"""Reading what 140 handlers take and answer costs most of a short test; no test changes it."""


@pytest.fixture
def app(settings: Settings) -> Door:
    """Return the application; whoever asks for a caller gets it running."""
    return furnished(one_framework(settings.body_bytes_max), settings)


@pytest.fixture
async def shelf(database: Database) -> AsyncIterator[Shelf]:
    """Yield a shelf on a furnished network that follows only when a test says so."""
    await furnish(database)
    network = NetworkCache(database, poll_ms=60_000)
    follower = StockFollower(database, poll_ms=60_000)
    await network.open()
    await follower.open()
    yield Shelf(database, network, follower, KEPT_BYTES)
    await follower.close()
    await network.close()


@pytest.fixture
async def caller(app: Door, database: Database) -> AsyncIterator[Caller]:
    """Yield a caller of the application with a key of each role; the store is ST-EAST."""
    await furnish(database)
    secrets = {
        "checkout": await keys.create(database, "checkout", (), None),
        "store": await keys.create(database, "store", ("ST-EAST",), None),
        "partner": await keys.create(database, "partner", (), "carrier"),
        "planner": await keys.create(database, "planner", (), None),
        "operator": await keys.create(database, "operator", (), None),
    }
    # Litestar's ASGI types are narrower than httpx's, which are plain mappings.
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    async with (
        started(app),
        httpx.AsyncClient(transport=transport, base_url="http://nom.test") as client,
    ):
        yield Caller(client, secrets, app.runtime)


@asynccontextmanager
async def started(app: Door) -> AsyncIterator[None]:
    """Run the application's lifespan in one task; a fixture's two halves may run in different ones."""
    ready, done = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.app.lifespan():
            ready.set()
            await done.wait()

    task = asyncio.create_task(live())
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield
    finally:
        done.set()
        await task
