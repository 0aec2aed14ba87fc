"""How a file is applied: small transactions, patience, and what is left when one breaks off."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from inventory.reserve import reserve
from inventory.resolve import release
from services.feeds import records
from services.feeds.apply import ROWS_MIN, Chunks, next_size
from services.feeds.imports import Outcome, import_file
from services.feeds.pace import EVENTS_PER_S, RESTS_MAX, Pace
from services.feeds.rows import FileError
from services.records import Event, insert_events
from tests.services.feeds.conftest import demand, order, read_rejects, stock

CHUNK = 100
ROWS = 1_000
LONG_MS = 60_000
NOM = (sys.executable, "-c", "from services.cli import main; main()")


class StopError(Exception):
    """The process ends here, as far as the import can tell."""


def sku(number: int) -> str:
    """Return the sku with this place in the order of keys."""
    return f"S{number:06}"


def write_stock(path: Path, rows: int, on_hand: int) -> Path:
    """Write a stock file of the skus up to `rows`, in no particular order."""
    numbers = list(range(rows))
    random.Random(1).shuffle(numbers)
    lines = [f"{sku(number)},N1,{on_hand}\n" for number in numbers]
    path.write_text("sku,node_id,on_hand\n" + "".join(lines))
    return path


async def load_stock(connection: asyncpg.Connection, rows: int, on_hand: int) -> None:
    """Make items with stock at N1, and the movements that brought it there."""
    await connection.execute(
        "INSERT INTO item (sku, weight_grams)"
        " SELECT 'S' || lpad(n::text, 6, '0'), 1 FROM generate_series(0, $1::int - 1) AS n",
        rows,
    )
    await connection.execute(
        "INSERT INTO stock (sku, node_id, on_hand)"
        " SELECT sku, 'N1', $1 FROM item WHERE sku LIKE 'S%'",
        on_hand,
    )
    await connection.execute(
        "INSERT INTO movement (sku, movement_id, node_id, kind, quantity, happened_at, actor)"
        " SELECT sku, gen_random_uuid(), 'N1', 'receive', $1, '2026-01-01Z', 'test'"
        " FROM item WHERE sku LIKE 'S%'",
        on_hand,
    )


@asynccontextmanager
async def connected(url: str, **settings: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield another connection to the database."""
    connection = await asyncpg.connect(url, server_settings=settings)
    try:
        yield connection
    finally:
        await connection.close()


async def run(url: str, path: Path, rejects: Path, stop_at: float = 2.0, **options: int) -> Outcome:
    """Import a file; raises `StopError` when the share `stop_at` of it has been applied."""

    def watch(phase: str, share: float) -> None:
        if phase == "applying" and share >= stop_at:
            raise StopError

    async with connected(url, application_name="import") as connection:
        placed = order(
            "stock", path, rejects, **({"chunk_rows": CHUNK, "chunk_ms": LONG_MS} | options)
        )
        return await import_file(connection, placed, watch)


async def until(condition: Callable[[], object], connection: asyncpg.Connection) -> None:
    """Wait until a query, made anew by `condition` each time, returns something true."""
    for _ in range(3_000):
        if await connection.fetchval(str(condition())):
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(str(condition()))


async def test_an_import_locks_no_more_than_one_chunk(
    network: asyncpg.Connection, database_url: str, tmp_path: Path, rejects: Path
) -> None:
    """Whoever wants one of a million rows waits for a chunk, not for the file."""
    await load_stock(network, ROWS, on_hand=5)
    path = write_stock(tmp_path / "stock.csv", ROWS, on_hand=7)
    in_the_way = sku(450)

    async with connected(database_url) as other, other.transaction():
        await other.execute("SELECT FROM stock WHERE sku = $1 FOR UPDATE", in_the_way)
        importing = asyncio.create_task(run(database_url, path, rejects, lock_timeout_ms=LONG_MS))
        await until(
            lambda: (
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'import'"
                " AND datname = current_database() AND wait_event_type = 'Lock'"
            ),
            network,
        )
        free = {
            row[0] for row in await network.fetch("SELECT sku FROM stock FOR UPDATE SKIP LOCKED")
        }
        applied = await network.fetchval("SELECT count(*) FROM stock WHERE on_hand = 7")

    locked = {sku(number) for number in range(ROWS)} - free
    assert in_the_way in locked
    assert locked <= {sku(number) for number in range(400, 500)}
    assert applied == 400
    assert (await importing).applied == ROWS


@pytest.mark.slow
async def test_no_checkout_gives_up_on_an_import(
    network: asyncpg.Connection, database_url: str, tmp_path: Path, rejects: Path
) -> None:
    """A quarter of a second is what a checkout may wait for a row; then its reservation fails."""
    rows = 100_000
    await load_stock(network, rows, on_hand=5)
    path = write_stock(tmp_path / "stock.csv", rows, on_hand=7)
    importing = asyncio.create_task(run(database_url, path, rejects, chunk_rows=500, chunk_ms=100))
    chance, reserved = random.Random(2), 0

    async with connected(database_url, lock_timeout="250") as checkout:
        while not importing.done():
            wanted = demand(sku(chance.randrange(rows)), "N1", 1, datetime.now(UTC))
            async with checkout.transaction():
                assert await reserve(checkout, [wanted]) == [None]
                await release(checkout, [wanted.holder_id])
            reserved += 1

    outcome = await importing
    assert (outcome.applied, outcome.effect.shortages) == (rows, 0)
    assert reserved > 0
    assert (
        await network.fetchval("SELECT count(*) FROM stock WHERE (on_hand, reserved) = (7, 0)")
        == rows
    )


async def test_an_import_that_broke_off_goes_on_where_it_stopped(
    network: asyncpg.Connection, database_url: str, tmp_path: Path, rejects: Path
) -> None:
    """And each count is written once."""
    await load_stock(network, ROWS, on_hand=5)
    path = write_stock(tmp_path / "stock.csv", ROWS, on_hand=7)
    with pytest.raises(StopError):
        await run(database_url, path, rejects, stop_at=0.35)
    assert await network.fetchval("SELECT count(*) FROM stock WHERE on_hand = 7") == 400

    outcome = await run(database_url, path, rejects)

    assert (outcome.applied_before, outcome.effect.rows, outcome.applied) == (400, 600, ROWS)
    assert set((await stock(network)).values()) == {7}
    assert await network.fetchval("SELECT count(*) FROM movement WHERE kind = 'count_gain'") == ROWS


async def test_a_row_that_was_missing_when_it_broke_off_is_not_left_out(
    network: asyncpg.Connection, database_url: str, tmp_path: Path, rejects: Path
) -> None:
    """Its key lies before the one reached, where going on would never look again."""
    await load_stock(network, ROWS, on_hand=5)
    path = write_stock(tmp_path / "stock.csv", ROWS, on_hand=7)
    with path.open("a") as file:
        file.write("R,N1,3\n")
    with pytest.raises(StopError):
        await run(database_url, path, rejects, stop_at=0.35)
    await network.execute("INSERT INTO item (sku, weight_grams) VALUES ('R', 1)")

    outcome = await run(database_url, path, rejects)

    assert (outcome.applied_before, outcome.applied, outcome.rejected) == (0, ROWS + 1, 0)
    assert (await stock(network))["R", "N1"] == 3
    assert (
        await network.fetchval("SELECT count(*) FROM movement WHERE kind = 'count_gain'")
        == ROWS + 1
    )


async def test_an_import_waits_its_turn(
    network: asyncpg.Connection, database_url: str, tmp_path: Path, rejects: Path
) -> None:
    """It gives its own rows free, then asks again, rather than queueing everyone behind it."""
    await load_stock(network, ROWS, on_hand=5)
    path = write_stock(tmp_path / "stock.csv", ROWS, on_hand=7)

    async with connected(database_url) as other, other.transaction():
        await other.execute("SELECT FROM stock WHERE sku = $1 FOR UPDATE", sku(450))
        importing = asyncio.create_task(run(database_url, path, rejects, lock_timeout_ms=20))
        # It has come as far as the row, and has given up waiting for it more than once.
        await until(lambda: "SELECT count(*) > 0 FROM stock WHERE on_hand = 7", network)
        await until(
            lambda: (
                "SELECT xact_rollback > 1 FROM pg_stat_database WHERE datname = current_database()"
            ),
            network,
        )

    assert (await importing).applied == ROWS


async def test_a_row_the_database_refuses_costs_no_other(
    network: asyncpg.Connection, database_url: str, tmp_path: Path, rejects: Path
) -> None:
    """The chunk is halved until the row is found."""
    await load_stock(network, ROWS, on_hand=5)
    path = write_stock(tmp_path / "stock.csv", ROWS, on_hand=7)
    await network.execute(f"ALTER TABLE stock ADD CHECK (sku <> '{sku(450)}' OR on_hand = 5)")

    outcome = await run(database_url, path, rejects)

    (rejected,) = read_rejects(rejects)
    assert rejected.row["sku"] == sku(450)
    assert rejected.reason.startswith("It cannot be applied: new row for relation")
    assert path.read_text().splitlines()[rejected.line - 1] == f"{sku(450)},N1,7"
    assert (outcome.applied, outcome.rejected) == (ROWS - 1, 1)
    assert await network.fetchval("SELECT count(*) FROM stock WHERE on_hand = 7") == ROWS - 1


async def test_a_file_is_imported_by_one_process_at_a_time(
    network: asyncpg.Connection, database_url: str, tmp_path: Path, rejects: Path
) -> None:
    """Two would write one rejects file, and each undo how far the other has come."""
    await load_stock(network, ROWS, on_hand=5)
    path = write_stock(tmp_path / "stock.csv", ROWS, on_hand=7)

    async with connected(database_url) as other, other.transaction():
        await other.execute("SELECT FROM stock WHERE sku = $1 FOR UPDATE", sku(450))
        first = asyncio.create_task(run(database_url, path, rejects, lock_timeout_ms=LONG_MS))
        await until(lambda: "SELECT count(*) FROM file_import", network)
        with pytest.raises(FileError, match="is being imported by another process"):
            await run(database_url, path, tmp_path / "other.jsonl", lock_timeout_ms=20)

    assert (await first).applied == ROWS


@pytest.mark.parametrize(
    ("rows", "seconds", "expected"),
    [
        (2_000, 0.05, 2_000),
        (2_000, 0.2, 1_000),
        (2_000, 20.0, ROWS_MIN),
        (400, 0.0, 501),
        (400, 0.1, 400),
        (7, 0.0, ROWS_MIN),
    ],
    ids=["quick", "slow", "stuck", "quick again", "just right", "last of a file"],
)
def test_chunks_shrink_on_a_slow_machine(rows: int, seconds: float, expected: int) -> None:
    """What a checkout waits for is time, not rows."""
    chunks = Chunks(
        kind="stock",
        import_id=UUID(int=1),
        actor="test",
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
        rows_max=2_000,
        milliseconds=100,
    )

    assert next_size(chunks, rows, seconds) == expected


def test_an_import_rests_the_longer_the_more_others_do() -> None:
    """Alone it never rests; beside a busy service it works a quarter of its time."""
    pace = Pace()

    assert pace.rest_s(0.1, 5_000, 10.0) == 0
    assert pace.rest_s(0.1, 5_000, 11.0) == 0
    assert pace.rest_s(0.1, 5_000 + EVENTS_PER_S, 12.0) == pytest.approx(0.1)
    assert pace.rest_s(0.1, 5_000 + 3 * EVENTS_PER_S // 2, 13.0) == pytest.approx(0.05)
    assert pace.rest_s(0.1, 5_000 + 99 * EVENTS_PER_S, 14.0) == pytest.approx(RESTS_MAX * 0.1)


async def test_events_of_others_are_seen_before_their_transaction_ends(
    connection: asyncpg.Connection, database_url: str
) -> None:
    """An import judges by what is under way, which is what it shares the machine with."""
    other = await asyncpg.connect(database_url)
    await insert_events(other, [happened()])
    before = await records.last_event(connection)
    transaction = other.transaction()
    await transaction.start()
    await insert_events(other, [happened(), happened()])

    assert await records.last_event(connection) == before + 2
    await transaction.rollback()
    await other.close()


def happened() -> Event:
    """Return an event of nobody's concern."""
    return Event(uuid4(), "test.happened", "subject", "test", {})


async def test_a_killed_import_reaches_the_same_end(
    network: asyncpg.Connection, database_url: str, tmp_path: Path
) -> None:
    """Kill -9 leaves the process no last word; the database alone knows how far it came."""
    rows = 5_000
    await load_stock(network, rows, on_hand=5)
    path = write_stock(tmp_path / "stock.csv", rows, on_hand=7)
    command = [*NOM, "import", "stock", str(path)]
    environment = os.environ | {"DATABASE_URL": database_url, "NOM_IMPORT_CHUNK_ROWS": "20"}

    first = await asyncio.create_subprocess_exec(*command, env=environment)
    await until(lambda: "SELECT count(*) FROM file_import WHERE chunks >= 3", network)
    first.kill()
    await first.wait()
    reached = await network.fetchval("SELECT count(*) FROM stock WHERE on_hand = 7")
    second = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await second.communicate()

    assert 60 <= reached < rows
    assert second.returncode == 0
    assert told.decode().startswith(f"Imported {rows:,} rows of stock from stock.csv in ")
    assert "of them an earlier run had applied." in told.decode()
    assert set((await stock(network)).values()) == {7}
    assert await network.fetchval("SELECT count(*) FROM movement WHERE kind = 'count_gain'") == rows
