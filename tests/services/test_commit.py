"""A batch is committed in one call where all is ordinary, and order by order where it is not."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from inventory.supply import Supply, put_supply
from services.database import Database
from services.ids import new_id, numbered
from services.keys import Principal
from services.orders.commit import Committed, commit
from services.orders.holding import Commitment, Line, Work, columns, names
from services.orders.idempotency import Answer, Claim
from services.orders.records import HOLD_ORDERS, hold_orders
from services.settings import Settings
from tests.inventory.world import add_nodes, assert_silent, stock_up
from tests.services.test_allocations import available

ON = date(2030, 6, 1)
CHECKOUT = Principal("key-1", "checkout", (), None)


def order(
    name: str,
    *lines: tuple[str, str, int],
    works: Sequence[Work] = (),
    key: str | None = None,
    body: str = "body",
    attempts: int = 0,
) -> Commitment:
    """Return the commitment of an order that takes units of each (sku, node)."""
    return Commitment(
        claim=Claim((key or f"key of {name}").encode().ljust(32), body.encode()),
        principal=CHECKOUT,
        order_id=name,
        allocation_id=new_id(),
        channel="web",
        zone_id=None,
        answer=Answer(201, b'{"order":"%s"}' % name.encode()),
        lines=[
            (str(number), sku, node_id, units, 0, None, ON)
            for number, (sku, node_id, units) in enumerate(lines)
        ],
        works=works,
        expires_at=datetime.now(UTC) + timedelta(minutes=15),
        record=b"why",
        attempts=attempts,
    )


def refused(name: str, status_code: int) -> Commitment:
    """Return the commitment of an order that is refused."""
    answer = Answer(status_code, b"no")
    return msgspec.structs.replace(order(name), answer=answer, expires_at=None)


def outcomes(done: Committed) -> list[str]:
    """Return how the orders came out."""
    return [each.outcome for each in done.settled]


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection to look with, beside those that commit."""
    async with database.connect() as connection:
        await stock_up(connection, {("MUG", "EAST"): 10, ("LAMP", "EAST"): 2, ("MUG", "WEST"): 5})
        yield connection


async def counted(database: Database, batch: Sequence[Commitment]) -> tuple[Committed, list[str]]:
    """Commit a batch; return what came of it and the statements that were sent for it."""
    sent: list[str] = []
    async with database.connect() as connection:
        # Known beforehand, as it is to every connection but a new one.
        await connection.prepare(HOLD_ORDERS)
    # The connection given back last is the one that is used next.
    with connection.query_logger(lambda query: sent.append(query.query)):
        done = await commit(database, batch, Settings())
        # Loggers are called in the loop's next round.
        await asyncio.sleep(0)
    return done, sent


async def test_a_batch_in_which_all_is_new_and_fits_is_one_round_trip(
    database: Database, connection: asyncpg.Connection
) -> None:
    """Every further one is paid by everybody who waits for the rows it holds."""
    batch = [
        order("o-1", ("MUG", "EAST", 3), ("LAMP", "EAST", 1)),
        refused("o-2", 409),
        order("o-3", ("MUG", "EAST", 7)),
        refused("o-4", 422),
    ]
    done, sent = await counted(database, batch)
    assert sent == [HOLD_ORDERS]
    assert outcomes(done) == ["held", "insufficient", "held", "refused"]
    assert await available(database, "MUG", "EAST") == 0
    kept = await connection.fetch("SELECT scope, status_code, body FROM idempotency")
    assert {row["scope"].strip().decode(): row["status_code"] for row in kept} == {
        "key of o-1": 201,
        "key of o-2": 409,
        "key of o-3": 201,
    }
    await assert_silent(connection)


async def test_what_is_kept_of_an_order_is_what_was_decided(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The rows are what confirms, sweeps, stores and auditors work from."""
    one = order("o-1", ("MUG", "EAST", 3), ("MUG", "WEST", 1))
    await commit(database, [one], Settings())
    allocation = await connection.fetchrow("SELECT * FROM allocation")
    assert allocation is not None
    assert (allocation["order_id"], allocation["allocation_id"]) == ("o-1", one.allocation_id)
    assert (allocation["state"], allocation["complete"]) == ("held", True)
    assert (allocation["body"], allocation["expires_at"]) == (one.answer.body, one.expires_at)
    rows = await connection.fetch("SELECT * FROM reservation ORDER BY reservation_id")
    assert [(row["reservation_id"], row["node_id"], row["quantity"]) for row in rows] == [
        (numbered(one.allocation_id, 0), "EAST", 3),
        (numbered(one.allocation_id, 1), "WEST", 1),
    ]
    assert {(row["holder_id"], row["state"], row["promise_on"]) for row in rows} == {
        (one.allocation_id, "held", ON)
    }
    assert await connection.fetchval("SELECT record FROM decision") == b"why"
    event = await connection.fetchval("SELECT payload FROM event")
    assert json.loads(event) == {"allocation_id": str(one.allocation_id), "complete": True}


async def test_a_commit_tells_what_it_left_of_each_record_and_notes_the_change(
    database: Database, connection: asyncpg.Connection
) -> None:
    """A view that learned of its own commits later would sell the same units again meanwhile."""
    before = await connection.fetchval("SELECT max(xid) FROM change")
    done = await commit(
        database,
        [order("o-1", ("MUG", "WEST", 1), ("MUG", "EAST", 3)), order("o-2", ("MUG", "WEST", 2))],
        Settings(),
    )
    rows = await connection.fetch(
        "SELECT sku, node_id, on_hand, reserved, unavailable, version FROM stock"
        " WHERE sku = 'MUG' ORDER BY node_id"
    )
    assert sorted(done.stock) == [tuple(row) for row in rows]
    assert [row["reserved"] for row in rows] == [3, 3]
    noted = await connection.fetch("SELECT kind, key_1, key_2 FROM change WHERE xid > $1", before)
    assert [
        (row["kind"], sorted(zip(row["key_1"], row["key_2"], strict=True))) for row in noted
    ] == [("stock", [("MUG", "EAST"), ("MUG", "WEST")])]


async def test_who_came_first_is_served_and_whoever_still_fits_after_them(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The walk goes on after an order that lost, so nothing is left that one of them could have."""
    batch = [
        order("o-1", ("LAMP", "EAST", 1)),
        order("o-2", ("LAMP", "EAST", 2), ("MUG", "EAST", 1)),
        order("o-3", ("LAMP", "EAST", 1)),
    ]
    done = await commit(database, batch, Settings())
    assert outcomes(done) == ["held", "lost", "held"]
    assert done.settled[1].answer is None
    assert await available(database, "MUG", "EAST") == 10
    assert await connection.fetchval("SELECT count(*) FROM idempotency") == 2
    await assert_silent(connection)


async def test_a_batch_that_does_not_fit_is_undone_by_the_call_itself(
    database: Database, connection: asyncpg.Connection
) -> None:
    """What was taken before the row without room, or the full day, was found must not stay taken."""
    await add_nodes(connection, "EAST", capacity_maximum=2)
    works = [("EAST", ON, "day", 1, 1)]
    await commit(database, [order("o-0", ("MUG", "EAST", 1), works=works)], Settings())
    before = await connection.fetch("SELECT * FROM stock ORDER BY sku, node_id")
    for batch in (
        [order("o-1", ("MUG", "EAST", 1)), order("o-2", ("LAMP", "EAST", 3))],
        [order(name, ("MUG", "EAST", 1), works=works) for name in ("o-3", "o-4")],
        [order("o-5", ("MUG", "EAST", 1)), order("o-6", ("NEVER", "EAST", 1))],
    ):
        held = await hold_orders(connection, names=names(batch), columns=columns(batch), sure=False)
        assert not held.held
    assert await connection.fetch("SELECT * FROM stock ORDER BY sku, node_id") == before
    await assert_silent(connection)


async def test_an_order_that_lost_as_often_as_it_may_is_told_so_for_good(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The same key gets the same 409, whatever has come in since."""
    last = Settings().attempts_max - 1
    one = order("o-1", ("LAMP", "EAST", 3), attempts=last)
    done = await commit(database, [one, order("o-2", ("LAMP", "EAST", 1))], Settings())
    assert outcomes(done) == ["contended", "held"]
    await stock_up(connection, {("LAMP", "EAST"): 10})
    again = await commit(database, [one], Settings())
    assert outcomes(again) == ["known"]
    given, first = again.settled[0].answer, done.settled[0].answer
    assert given is not None
    assert first is not None
    assert (given.status_code, given.body, given.replayed) == (409, first.body, True)


async def test_units_kept_back_are_left_there_though_another_order_may_have_them(
    database: Database, connection: asyncpg.Connection
) -> None:
    """Limits travel with the line; a store's own counter has none."""

    def kept(name: str, units: int, buffer: int) -> Commitment:
        one = order(name)
        line: Line = ("1", "MUG", "EAST", units, buffer, None, ON)
        return msgspec.structs.replace(one, lines=[line])

    done = await commit(
        database, [kept("o-1", 6, 4), kept("o-2", 1, 4), kept("o-3", 4, 0)], Settings()
    )
    assert outcomes(done) == ["held", "lost", "held"]
    assert await available(database, "MUG", "EAST") == 0
    await assert_silent(connection)


async def test_lines_that_fit_alone_and_not_together_take_nothing(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The units of an order are summed by record before they are compared."""
    done = await commit(
        database, [order("o-1", ("LAMP", "EAST", 1), ("LAMP", "EAST", 2))], Settings()
    )
    assert outcomes(done) == ["lost"]
    assert await available(database, "LAMP", "EAST") == 2


async def test_a_record_that_is_gone_is_a_lost_race(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The plan was made from a view; the row says that it is out of date."""
    done = await commit(
        database,
        [order("o-1", ("MUG", "NOWHERE", 1)), order("o-2", ("MUG", "EAST", 1))],
        Settings(),
    )
    assert outcomes(done) == ["lost", "held"]


async def test_a_key_that_has_an_answer_gets_it_and_the_rest_of_the_batch_is_held(
    database: Database, connection: asyncpg.Connection
) -> None:
    """A retry among new orders is the commonest exception."""
    first = order("o-1", ("MUG", "EAST", 1))
    await commit(database, [first], Settings())
    repeated = order("o-1", ("MUG", "EAST", 1))
    reused = order("o-9", ("MUG", "EAST", 1), key="key of o-1", body="another")
    done = await commit(database, [repeated, order("o-2", ("MUG", "EAST", 1)), reused], Settings())
    assert outcomes(done) == ["known", "held", "refused"]
    assert done.settled[0].answer == Answer(201, first.answer.body, replayed=True)
    assert await available(database, "MUG", "EAST") == 8
    await assert_silent(connection)


async def test_an_order_under_two_keys_at_once_is_held_once(database: Database) -> None:
    """Whoever comes second waits, and sees in a new statement what the first has committed."""
    async with database.connect() as connection:
        await stock_up(connection, {("MUG", "EAST"): 100})
    for number in range(10):
        # No plan survives decoding here, so the order is sent with another body.
        pair = [
            order(f"o-{number}", ("MUG", "EAST", 1), key=f"{side}-{number}", body=side)
            for side in ("left", "right")
        ]
        done = await asyncio.gather(*(commit(database, [each], Settings()) for each in pair))
        assert sorted(outcomes(one)[0] for one in done) == ["held", "refused"]
    assert await available(database, "MUG", "EAST") == 90


async def test_the_same_key_twice_at_once_is_one_order(database: Database) -> None:
    """Two workers may have the same request at the same time."""
    async with database.connect() as connection:
        await stock_up(connection, {("MUG", "EAST"): 100})
    for number in range(10):
        pair = [order(f"o-{number}", ("MUG", "EAST", 1)) for _ in range(2)]
        done = await asyncio.gather(*(commit(database, [each], Settings()) for each in pair))
        assert sorted(outcomes(one)[0] for one in done) == ["held", "known"]
    assert await available(database, "MUG", "EAST") == 90


async def test_work_is_taken_with_the_stock_and_its_limit_holds(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The first work of a day makes the row of that day; the next is one call again."""
    await add_nodes(connection, "EAST", capacity_maximum=3)

    def busy(name: str) -> Commitment:
        return order(name, ("MUG", "EAST", 1), works=[("EAST", ON, "day", 1, 1)])

    first = await commit(database, [busy("o-1")], Settings())
    second, sent = await counted(database, [busy("o-2")])
    third = await commit(database, [busy("o-3"), busy("o-4")], Settings())
    assert [outcomes(each) for each in (first, second, third)] == [
        ["held"],
        ["held"],
        ["held", "lost"],
    ]
    assert sent == [HOLD_ORDERS]
    assert await connection.fetchval("SELECT used FROM capacity") == 3
    assert await connection.fetchval("SELECT count(*) FROM change WHERE kind = 'capacity'") >= 3
    await assert_silent(connection)


async def test_work_counted_in_units_takes_as_many_as_there_are(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The row says what counts, not the order."""
    await add_nodes(connection, "EAST", capacity_maximum=7)
    await connection.execute("UPDATE node SET capacity_unit = 'units' WHERE node_id = 'EAST'")
    works = [("EAST", ON, "day", 1, 3)]
    batch = [order(f"o-{number}", ("MUG", "EAST", 3), works=works) for number in range(3)]
    assert outcomes(await commit(database, batch[:1], Settings())) == ["held"]
    assert outcomes(await commit(database, batch[1:], Settings())) == ["held", "lost"]
    assert await connection.fetchval("SELECT used FROM capacity") == 6
    await assert_silent(connection)


async def test_goods_still_to_come_are_promised_beside_goods_on_hand(
    database: Database, connection: asyncpg.Connection
) -> None:
    """A peg takes nothing of the record it waits at."""
    await put_supply(
        connection,
        [
            Supply(
                sku="LAMP",
                supply_id="PO-1",
                node_id="EAST",
                kind="purchase_order",
                expected_on=ON,
                quantity=2,
            )
        ],
    )

    def waiting(name: str, units: int) -> Commitment:
        line: Line = ("1", "LAMP", "EAST", units, 0, "PO-1", ON)
        return msgspec.structs.replace(order(name), lines=[line])

    batch = [waiting("o-1", 2), waiting("o-2", 1), order("o-3", ("LAMP", "EAST", 2))]
    assert outcomes(await commit(database, batch, Settings())) == ["held", "lost", "held"]
    assert await connection.fetchval("SELECT promised FROM supply") == 2
    await assert_silent(connection)


async def test_two_lanes_sell_a_hot_record_to_its_last_unit_and_no_further(
    database: Database,
) -> None:
    """Batches meet at the row; what they decide by is what its lock returned."""
    async with database.connect() as connection:
        await stock_up(connection, {("HOT", "EAST"): 100, ("MUG", "EAST"): 1_000})

    async def lane(name: str) -> int:
        sold = 0
        for number in range(12):
            batch = [
                order(f"{name}-{number}-{each}", ("HOT", "EAST", 1), ("MUG", "EAST", 1))
                for each in range(8)
            ]
            sold += outcomes(await commit(database, batch, Settings())).count("held")
        return sold

    assert sum(await asyncio.gather(lane("left"), lane("right"), lane("third"))) == 100
    assert await available(database, "HOT", "EAST") == 0
    assert await available(database, "MUG", "EAST") == 900
    async with database.connect() as connection:
        await assert_silent(connection)


def test_the_parts_of_an_id_have_ids_of_their_own() -> None:
    """Two lines of an order, or of two orders made in one millisecond, never share a name."""
    ids = [new_id() for _ in range(1_000)]
    assert len({numbered(each, part) for each in ids for part in range(50)}) == 50_000
    with pytest.raises(ValueError, match="65536"):
        numbered(uuid4(), 65_536)
