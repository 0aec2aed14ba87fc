"""What is acknowledged survives `kill -9` of every part; what is not is whole or not there at all."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from inventory.audit import audit
from tests.services.place import STOCK, stock
from tests.simulation import ledger
from tests.simulation.served import Served, database_of, furnished
from tests.simulation.workload import Customers

CUSTOMERS = 8
SEED = 20_240_229
LOAD_S = 2.5
"""How long customers shop before and after a kill."""
RECOVERY_S = 60
PAUSE_S = 0.1
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, RuntimeError)
"""What a database that is away, or coming up, raises."""
PLENTY = 1_000_000
HOLDS = {key: PLENTY for key in STOCK if key[0] in {"MUG", "LAMP"}}


async def an_http_worker(service: Served) -> None:
    """Kill one of the HTTP workers; the supervisor starts another."""
    service.http_workers()[0].kill()


async def a_backend(service: Served) -> None:
    """Kill the server process of one connection; PostgreSQL restarts itself with all others."""
    children = service.postmaster().children()
    backends = [each for each in children if " nom " in " ".join(each.cmdline())]
    backends[0].kill()


async def the_postmaster(service: Served) -> None:
    """Kill PostgreSQL's first process; the supervisor starts it again."""
    service.postmaster().kill()


async def the_supervisor(service: Served) -> None:
    """Kill the supervisor alone; everything else must end by itself. Then start anew."""
    await asyncio.to_thread(service.die, with_children=False)
    service.start()


async def everything(service: Served) -> None:
    """Kill all processes at once, as a machine that loses power would. Then start anew."""
    await asyncio.to_thread(service.die, with_children=True)
    service.start()


KILLS: list[Callable[[Served], Awaitable[None]]] = [
    an_http_worker,
    a_backend,
    the_postmaster,
    the_supervisor,
    everything,
]


@pytest.mark.slow
async def test_what_was_acknowledged_survives_kill_9_of_every_part() -> None:
    """A machine dies at the worst moment, and no customer who was told yes may hear no."""
    async with furnished("--workers=2") as service:
        async with database_of(service) as database:
            await stock(database, HOLDS)
        customers = Customers(service, SEED)
        async with asyncio.TaskGroup() as tasks:
            for number in range(CUSTOMERS):
                tasks.create_task(customers.shop(number))
            for kill in KILLS:
                await asyncio.sleep(LOAD_S)
                before = len(customers.journeys)
                await kill(service)
                print(f"{kill.__name__} after {before} orders")
                await assert_nothing_is_half_done(service)
            await asyncio.sleep(LOAD_S)
            customers.home.set()
        await assert_promises_are_kept(service, customers)
        await customers.settle()
        await assert_promises_are_kept(service, customers)
        await assert_all_is_settled(service, customers)
        assert service.stop() == 0
    assert service.left_over() == []


async def assert_nothing_is_half_done(service: Served) -> None:
    """Look at the tables as soon as the database answers again, while customers go on."""
    async with asyncio.timeout(RECOVERY_S):
        while True:
            try:
                async with database_of(service) as database:
                    found = await ledger.read(database)
            except AWAY:
                await asyncio.sleep(PAUSE_S)
            else:
                assert ledger.half_done(found) == []
                return


async def assert_promises_are_kept(service: Served, customers: Customers) -> None:
    """Compare the tables with what customers were told, and the counters with each other."""
    async with database_of(service) as database:
        found = await ledger.read(database)
        async with database.connect() as connection:
            assert await audit(connection) == []
    assert ledger.half_done(found) == []
    assert ledger.broken_promises(found, customers.journeys) == []
    assert ledger.contradictions(customers.journeys) == []


async def assert_all_is_settled(service: Served, customers: Customers) -> None:
    """See that each order has one allocation, and that the test saw what it is about."""
    async with database_of(service) as database:
        found = await ledger.read(database)
    states = Counter(journey.state for journey in customers.journeys)
    print(f"{len(found)} orders: {dict(states)}; {customers.lost} answers lost,")
    print(f"{customers.unavailable} times unavailable")
    assert len(found) == len(customers.journeys)
    assert states["unknown"] == 0
    assert set(states) == {"held", "confirmed", "released", "cancelled"}
    assert customers.lost > 0
