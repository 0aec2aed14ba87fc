"""One furnished service with two HTTP workers for all tests that leave it alive."""

from collections.abc import AsyncIterator

import pytest

from services.database import Database
from tests.simulation.served import Served, database_of, furnished

PATIENCE_MS = "60000"
RECEIVE_MS = "3000"


@pytest.fixture(scope="session")
async def service() -> AsyncIterator[Served]:
    """Yield a service that gives an order all the time a slow machine may need."""
    async with furnished(
        "--workers=2",
        NOM_DEADLINE_MS=PATIENCE_MS,
        NOM_QUEUE_WAIT_MS=PATIENCE_MS,
        NOM_RECEIVE_MS=RECEIVE_MS,
    ) as service:
        yield service


@pytest.fixture
async def database(service: Served) -> AsyncIterator[Database]:
    """Yield a pool of connections to the service's database."""
    async with database_of(service) as database:
        yield database
