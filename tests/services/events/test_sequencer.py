"""Every event gets one position, in the order in which things happened."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from services.database import Database
from services.events import records, sequencer
from services.events.log import Sight, Wanted, read_after, read_wanted
from services.events.sequencer import number_events
from services.ids import new_id
from services.records import Event, insert_events

ALL = 1_000


async def write(connection: asyncpg.Connection, *subjects: str) -> None:
    """Write one event about each subject."""
    await insert_events(
        connection,
        [Event(new_id(), "reservation.extended", subject, "test", {}) for subject in subjects],
    )


async def log(database: Database) -> list[str]:
    """Return the subjects of all events that have a position, having checked the positions."""
    async with database.connect() as connection:
        span = await read_after(connection, 0, None, ALL)
    assert [each.position for each in span.events] == list(range(1, len(span.events) + 1))
    assert (span.reached, span.latest) == (len(span.events), len(span.events))
    return [each.subject for each in span.events]


async def test_the_later_begun_waits_for_the_earlier_that_may_still_commit(
    database: Database,
) -> None:
    """A reader who had seen the second would never look for the first."""
    async with database.connect() as slow, database.connect() as quick:
        under_way = slow.transaction()
        await under_way.start()
        await write(slow, "first")
        async with quick.transaction():
            await write(quick, "second")
        assert await number_events(database) == 0
        assert await log(database) == []
        await under_way.commit()
    assert await number_events(database) == 2
    assert await log(database) == ["first", "second"]


async def test_an_event_that_was_given_up_leaves_no_gap(database: Database) -> None:
    """Gaps would have every reader ask whether something is still to come."""
    async with database.connect() as connection:
        await write(connection, "kept")
        undone = connection.transaction()
        await undone.start()
        await write(connection, "undone")
        await undone.rollback()
        await write(connection, "kept too")
    assert await number_events(database) == 2
    assert await log(database) == ["kept", "kept too"]
    assert await number_events(database) == 0


async def test_of_two_events_under_one_lock_the_later_comes_later(database: Database) -> None:
    """The transaction with the lower number may be the one that had to wait.

    Ordered by transaction, a parcel would be delivered before it is packed.
    """
    async with database.transaction() as setup:
        await setup.execute("CREATE TABLE work (id int PRIMARY KEY)")
        await setup.execute("INSERT INTO work VALUES (1)")
    async with database.connect() as waiting, database.connect() as first:
        under_way = waiting.transaction()
        await under_way.start()
        await waiting.execute("SELECT pg_current_xact_id()")
        async with first.transaction():
            await first.execute("SELECT FROM work FOR UPDATE")
            blocked = asyncio.create_task(waiting.execute("SELECT FROM work FOR UPDATE"))
            await write(first, "packed")
        await blocked
        await write(waiting, "shipped")
        await under_way.commit()
    await number_events(database)
    assert await log(database) == ["packed", "shipped"]


async def test_whoever_draws_an_ordinal_has_a_lower_number_than_the_mark(
    database: Database,
) -> None:
    """Or a mark could be set between a transaction's ordinal and its own number."""
    async with database.connect() as writer, database.connect() as reader:
        default = await reader.fetchval(
            "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'event'::regclass"
            " AND pg_get_expr(adbin, adrelid) LIKE '%event_ordinal%'"
        )
        async with writer.transaction(), reader.transaction():
            # As the default of the column does it, before there is any row.
            await writer.fetchval(f"SELECT {default}")
            own = await writer.fetchval("SELECT pg_current_xact_id_if_assigned()::text")
            moment = await records.read_moment(reader)
    assert moment.xmin <= int(own) < moment.xid


async def test_many_writers_and_several_sequencers_give_each_event_one_position(
    database: Database,
) -> None:
    """A lease that passes on while its holder sleeps makes two of them for a moment."""
    done = asyncio.Event()

    async def writer(name: int) -> None:
        for number in range(40):
            async with database.transaction() as connection:
                await write(connection, f"{name}:{number}:a")
                await asyncio.sleep(0)
                await write(connection, f"{name}:{number}:b")

    async def numberer() -> None:
        while not done.is_set():
            await number_events(database)

    numberers = [asyncio.create_task(numberer()) for _ in range(3)]
    await asyncio.gather(*(writer(name) for name in range(8)))
    done.set()
    await asyncio.gather(*numberers)
    await number_events(database)
    subjects = await log(database)
    assert len(subjects) == len(set(subjects)) == 8 * 40 * 2
    for name in range(8):
        own = [each for each in subjects if each.startswith(f"{name}:")]
        assert own == [f"{name}:{number}:{part}" for number in range(40) for part in "ab"]


async def test_a_sequencer_that_dies_half_way_has_done_nothing(database: Database) -> None:
    """Its connection breaks between the positions and the cursor."""
    async with database.connect() as connection:
        await write(connection, "only")

    async def place_and_die(connection: asyncpg.Connection) -> None:
        cursor = await records.lock_cursor(connection)
        assert await records.place_events(connection, cursor, 1, 10) == (1, 1)
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(ConnectionError):
        await database.run(place_and_die)
    assert await number_events(database) == 1
    assert await log(database) == ["only"]


async def test_a_backlog_is_numbered_in_parts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a night without a background worker one transaction would take minutes."""
    monkeypatch.setattr(sequencer, "BATCH_MAX", 5)
    async with database.connect() as connection:
        await write(connection, *(str(number) for number in range(23)))
    monkeypatch.setattr(sequencer, "STEPS_MAX", 3)
    assert await number_events(database) == 10
    monkeypatch.setattr(sequencer, "STEPS_MAX", 100)
    assert await number_events(database) == 13
    assert await log(database) == [str(number) for number in range(23)]


async def test_on_another_server_marks_are_set_anew(database: Database) -> None:
    """A restored copy counts transactions from the start, and would wait for the old numbers."""
    async with database.transaction() as connection:
        await write(connection, "one")
        await connection.execute(
            "UPDATE event_cursor SET marked_ordinal = 1000, marked_xid = 1 << 62,"
            " marked_server = $1",
            datetime(2001, 1, 1, tzinfo=UTC),
        )
    assert await number_events(database) == 1
    assert await log(database) == ["one"]


async def test_a_reader_sees_what_is_asked_for_and_in_sight(database: Database) -> None:
    """A till needs no log of the whole country, nor may it have one."""
    async with database.transaction() as connection:
        await insert_events(
            connection,
            [
                Event(new_id(), "stock.shortage", "MUG", "test", {"node_id": "ST-EAST"}),
                Event(new_id(), "stock.shortage", "MUG", "test", {"node_id": "ST-WEST"}),
                Event(new_id(), "reservation.held", "r-1", "test", {"node_id": "ST-EAST"}),
            ],
        )
    await number_events(database)
    async with database.connect() as connection:
        east = Sight(("ST-EAST",), "store:1")
        seen = await read_wanted(connection, 0, ALL, Wanted(sight=east))
        assert [each.position for each in seen.events] == [1, 3]
        narrow = await read_wanted(connection, 0, ALL, Wanted(("reservation.*",), "test", east))
        assert [each.position for each in narrow.events] == [3]
        nobody = await read_wanted(connection, 1, ALL, Wanted(sight=Sight((), "store:2")))
        assert (nobody.events, nobody.reached, nobody.latest) == ([], 3, 3)
        one = await read_after(connection, 0, ["stock.shortage"], 1)
        assert (len(one.events), one.reached, one.latest) == (1, 1, 3)
