"""What an import does to the stock record, and what it leaves alone."""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inventory.items import Component, Item, get_items, put_items
from inventory.ledger import Movement, record
from inventory.nodes import get_nodes, set_enabled
from inventory.supply import get_supply
from services.feeds.imports import StrictError, import_file
from services.feeds.rejects import Rejected
from services.feeds.rows import FileError
from tests.services.feeds.conftest import (
    CALENDAR,
    Import,
    demand,
    hold,
    is_absent,
    ledger,
    order,
    read_rejects,
    stock,
    write_once,
)

NODE = {
    "node_id": "N9",
    "kind": "warehouse",
    "name": "Nine",
    "country": "US",
    "latitude": 40.7,
    "longitude": -74,
    "time_zone": "America/New_York",
    "calendar_id": CALENDAR,
    "cut_off": "15:30:00",
    "capabilities": ["hazmat"],
    "handling_unit_minor": 12,
    "capacity_unit": "orders",
    "capacity_planned": 40,
    "capacity_maximum": 50,
}


async def counters(connection: asyncpg.Connection, sku: str) -> tuple[int, ...]:
    """Return on hand, reserved, unavailable and shortage of a sku at N1."""
    row = await connection.fetchrow(
        "SELECT on_hand, reserved, unavailable, shortage FROM stock"
        " WHERE sku = $1 AND node_id = 'N1'",
        sku,
    )
    assert row is not None
    return tuple(row)


async def now_of(connection: asyncpg.Connection) -> datetime:
    """Return the database's clock."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now


async def test_nodes_are_put_with_every_column(
    network: asyncpg.Connection, run_import: Import
) -> None:
    """And running processes learn that the network has changed."""
    before = await network.fetchval("SELECT version FROM network_version")

    outcome = await run_import("nodes", [NODE])

    (stored,) = await get_nodes(network, ["N9"])
    assert (outcome.applied, outcome.rejected) == (1, 0)
    assert (stored.kind, stored.cut_off, stored.capabilities) == (
        "warehouse",
        time(15, 30),
        ("hazmat",),
    )
    assert (stored.handling_unit_minor, stored.capacity_planned, stored.capacity_maximum) == (
        12,
        40,
        50,
    )
    assert await network.fetchval("SELECT version FROM network_version") > before


async def test_a_node_that_is_switched_off_stays_off(
    network: asyncpg.Connection, run_import: Import
) -> None:
    """Last night's export must not reopen a store that burns."""
    await run_import("nodes", [NODE])
    await set_enabled(network, "N9", enabled=False)

    await run_import("nodes", [NODE | {"name": "Nine again"}])

    (stored,) = await get_nodes(network, ["N9"])
    assert (stored.name, stored.enabled) == ("Nine again", False)


async def test_a_file_of_items_leaves_kits_as_they_are(
    network: asyncpg.Connection, run_import: Import
) -> None:
    """The file has no column for components; loading names anew must not take kits apart."""
    await put_items(network, [Item(sku="K", weight_grams=1, components=(Component("A", 2),))])
    await run_import("items", "sku,weight_grams\nK,7\n")
    (kit,) = await get_items(network, ["K"])
    assert (kit.weight_grams, kit.components) == (7, (Component("A", 2),))


async def test_items_are_put_and_replaced(network: asyncpg.Connection, run_import: Import) -> None:
    """An optional column that is empty takes its default."""
    outcome = await run_import(
        "items",
        "sku,name,weight_grams,requires,length_mm\nA,Apple,150,,80\nZ,Acid,900,hazmat|bulky,\n",
    )

    apple, acid = await get_items(network, ["A", "Z"])
    assert outcome.applied == 2
    assert (apple.name, apple.weight_grams, apple.length_mm) == ("Apple", 150, 80)
    assert (acid.requires, acid.length_mm) == (("hazmat", "bulky"), None)


async def test_supply_is_put_and_replaced(network: asyncpg.Connection, run_import: Import) -> None:
    """A later file moves its date."""
    row = {"sku": "A", "supply_id": "P1", "node_id": "N1", "kind": "purchase_order"}
    await run_import("supply", [row | {"expected_on": "2026-05-01", "quantity": 40}])

    await run_import(
        "supply", [row | {"expected_on": "2026-05-09", "quantity": 30, "trust_percent": 80}]
    )

    (supply,) = await get_supply(network, ["A"])
    assert (supply.expected_on, supply.quantity, supply.trust_percent) == (date(2026, 5, 9), 30, 80)


async def test_counts_become_movements(network: asyncpg.Connection, run_import: Import) -> None:
    """On hand is the sum of movements, whoever changes it, and each names its cause."""
    await run_import("stock", "sku,node_id,on_hand\nA,N1,5\nB,N1,0\nA,N2,7\n")
    outcome = await run_import("stock", "sku,node_id,on_hand,unavailable\nA,N1,3,1\n")

    assert outcome.applied == 1
    assert await stock(network) == {("A", "N1"): 3, ("A", "N2"): 7, ("B", "N1"): 0}
    assert await counters(network, "A") == (3, 0, 1, 0)
    moved = await ledger(network)
    assert moved == {("A", "N1"): 3, ("A", "N2"): 7}
    assert await network.fetchval("SELECT DISTINCT actor FROM movement") == "import:stock.csv"


async def test_parquet_is_applied_like_the_others(
    network: asyncpg.Connection, rejects: Path, tmp_path: Path
) -> None:
    """The format is a matter of reading."""
    path = tmp_path / "stock.parquet"
    pq.write_table(pa.table({"sku": ["A", "X"], "node_id": ["N1", "N1"], "on_hand": [5, 5]}), path)

    outcome = await import_file(network, order("stock", path, rejects), lambda _phase, _share: None)

    assert (outcome.rows, outcome.applied, outcome.rejected) == (2, 1, 1)
    assert await stock(network) == {("A", "N1"): 5}


async def test_bad_rows_are_written_down_and_good_ones_applied(
    network: asyncpg.Connection, run_import: Import, rejects: Path
) -> None:
    """One bad row is no reason to sell from yesterday's stock."""
    outcome = await run_import(
        "stock", "sku,node_id,on_hand\nA,N1,5\nA,N1\nB,N1,many\nX,N1,1\nB,N8,1\nB,N2,2\nX,N8,1\n"
    )

    assert (outcome.rows, outcome.applied, outcome.rejected) == (7, 2, 5)
    assert await stock(network) == {("A", "N1"): 5, ("B", "N2"): 2}
    assert sorted(read_rejects(rejects), key=lambda each: each.line) == [
        Rejected(3, "the row has 2 cells and the header 3.", {"text": "A,N1"}),
        Rejected(
            4,
            "on_hand is 'many'; it must be a whole number from 0 to 1,000,000,000.",
            {"sku": "B", "node_id": "N1", "on_hand": "many"},
        ),
        Rejected(
            5,
            "sku 'X' is not known; import or PUT the item first.",
            {"sku": "X", "node_id": "N1", "on_hand": 1},
        ),
        Rejected(
            6,
            "node_id 'N8' is not known; import or PUT the node first.",
            {"sku": "B", "node_id": "N8", "on_hand": 1},
        ),
        Rejected(
            8,
            "sku 'X' is not known; import or PUT the item first.",
            {"sku": "X", "node_id": "N8", "on_hand": 1},
        ),
    ]


async def test_a_node_needs_a_calendar_that_exists(
    network: asyncpg.Connection, run_import: Import, rejects: Path
) -> None:
    """Without one no order could be promised from it, and each would fail anew."""
    await run_import("nodes", [NODE | {"calendar_id": "lunar"}])

    (rejected,) = read_rejects(rejects)
    assert rejected.reason == "calendar_id 'lunar' is not known; PUT the calendar first."
    assert await get_nodes(network, ["N9"]) == []


async def test_of_two_rows_for_one_key_the_last_is_applied(
    network: asyncpg.Connection, run_import: Import, rejects: Path
) -> None:
    """And the other is named, since two opinions in one file are somebody's mistake."""
    outcome = await run_import("items", "sku,weight_grams\nA,1\nB,2\nA,3\n")

    (item,) = await get_items(network, ["A"])
    assert (item.weight_grams, outcome.applied, outcome.rejected) == (3, 2, 1)
    (rejected,) = read_rejects(rejects)
    assert (rejected.line, rejected.reason) == (2, "Line 4 has the same sku and replaces it.")


async def test_of_two_counts_the_newer_is_applied_wherever_it_stands(
    network: asyncpg.Connection, run_import: Import, rejects: Path
) -> None:
    """Exports of several counts are rarely sorted by time."""
    await run_import(
        "stock",
        "sku,node_id,on_hand,as_of\n"
        "A,N1,9,2026-01-03T00:00:00Z\nA,N1,5,2026-01-01T00:00:00Z\nA,N2,4,2026-01-01T00:00:00Z\n",
    )

    assert await stock(network) == {("A", "N1"): 9, ("A", "N2"): 4}
    (rejected,) = read_rejects(rejects)
    assert rejected.line == 3
    assert rejected.reason == "Line 2 has the same sku and node_id and replaces it."


@pytest.mark.parametrize("bad", ["A,N1", "A,N1,-1", "X,N1,1", "A,N8,1", "B,N1,1"])
async def test_strict_applies_nothing_when_a_row_is_bad(
    network: asyncpg.Connection, run_import: Import, rejects: Path, bad: str
) -> None:
    """Whether the row is unreadable, unusable, refers to nothing or is there twice."""
    content = f"sku,node_id,on_hand\nA,N1,5\nB,N1,6\n{bad}\n"

    with pytest.raises(StrictError, match=r"^1 of 3 rows are bad, and --strict applies"):
        await run_import("stock", content, strict=True)

    assert await stock(network) == {}
    assert len(read_rejects(rejects)) == 1
    assert await network.fetchval("SELECT count(*) FROM file_import") == 0


async def test_strict_applies_a_file_without_fault(
    network: asyncpg.Connection, run_import: Import, rejects: Path
) -> None:
    """And an old rejects file is gone, so that nobody mends it again."""
    write_once(rejects, b"from an earlier run")

    outcome = await run_import("stock", "sku,node_id,on_hand\nA,N1,5\n", strict=True)

    assert (outcome.applied, await stock(network)) == (1, {("A", "N1"): 5})
    assert is_absent(rejects)


async def test_a_refused_file_changes_nothing(
    network: asyncpg.Connection, run_import: Import
) -> None:
    """The header is looked at before the first row."""
    with pytest.raises(FileError, match="unknown column 'qty'"):
        await run_import("stock", "sku,node_id,on_hand,qty\nA,N1,5,5\n")

    assert await stock(network) == {}


async def test_a_finished_import_is_not_done_twice(
    network: asyncpg.Connection, run_import: Import
) -> None:
    """A nightly job that fires twice must not undo what was recorded in between."""
    content = "sku,node_id,on_hand\nA,N1,5\n"
    await run_import("stock", content)
    await sell(network, "A", 2)

    again = await run_import("stock", content)

    assert again.finished_before_at is not None
    assert (again.applied, again.rejected) == (1, 0)
    assert await stock(network) == {("A", "N1"): 3}


async def test_the_same_count_written_anew_is_another_count(
    network: asyncpg.Connection, run_import: Import, tmp_path: Path
) -> None:
    """Five were counted yesterday, two were sold, and five are counted again: there are five."""
    content = "sku,node_id,on_hand\nA,N1,5\n"
    await run_import("stock", content)
    await sell(network, "A", 2)
    (tmp_path / "stock.csv").unlink()

    again = await run_import("stock", content)

    assert again.finished_before_at is None
    assert await stock(network) == {("A", "N1"): 5}


async def test_rejected_rows_get_in_when_what_they_lacked_has_come(
    network: asyncpg.Connection, run_import: Import, rejects: Path
) -> None:
    """The same file is simply run again; the moment of its counts stays that of the first run."""
    content = "sku,node_id,on_hand\nA,N1,5\nZ,N1,4\n"
    await run_import("stock", content)
    await sell(network, "A", 2)
    await run_import("items", [{"sku": "Z", "weight_grams": 1}])

    again = await run_import("stock", content)

    assert (again.applied, again.rejected, is_absent(rejects)) == (2, 0, True)
    assert await stock(network) == {("A", "N1"): 3, ("Z", "N1"): 4}


async def test_a_count_older_than_what_is_known_changes_nothing(
    network: asyncpg.Connection, run_import: Import
) -> None:
    """Files overtake each other on their way."""
    await run_import("stock", "sku,node_id,on_hand,as_of\nA,N1,5,2026-01-02T00:00:00Z\n")

    outcome = await run_import(
        "stock", "sku,node_id,on_hand,as_of\nA,N1,9,2026-01-01T00:00:00Z\nB,N1,1,\n"
    )

    assert (outcome.applied, outcome.effect.outdated) == (2, 1)
    assert await stock(network) == {("A", "N1"): 5, ("B", "N1"): 1}


async def test_what_moved_after_the_count_stays_moved(
    network: asyncpg.Connection, run_import: Import
) -> None:
    """The count saw ten; two were sold while the file was on its way."""
    await run_import("stock", "sku,node_id,on_hand,as_of\nA,N1,8,2026-01-01T00:00:00Z\n")
    counted_at = await now_of(network)
    await sell(network, "A", 2)

    await run_import("stock", f"sku,node_id,on_hand,as_of\nA,N1,10,{counted_at.isoformat()}\n")

    assert await stock(network) == {("A", "N1"): 8}
    assert await ledger(network) == {("A", "N1"): 8}


async def test_a_snapshot_never_forgets_live_reservations(
    network: asyncpg.Connection, run_import: Import
) -> None:
    """Nobody has picked the goods yet, so the count has them in it."""
    await run_import("stock", "sku,node_id,on_hand\nA,N1,5\n")
    await hold(network, demand("A", "N1", 3, await now_of(network)))

    outcome = await run_import("stock", "sku,node_id,on_hand\nA,N1,7\n")

    assert outcome.effect.shortages == 0
    assert await counters(network, "A") == (7, 3, 0, 0)


async def test_a_shortage_is_a_fact_and_not_a_refused_feed(
    network: asyncpg.Connection, run_import: Import
) -> None:
    """Refusing the row would go on promising goods that are not there."""
    await run_import("stock", "sku,node_id,on_hand\nA,N1,5\n")
    await hold(network, demand("A", "N1", 4, await now_of(network)))

    outcome = await run_import("stock", "sku,node_id,on_hand\nA,N1,1\nB,N1,2\n")

    assert (outcome.applied, outcome.rejected, outcome.effect.shortages) == (2, 0, 1)
    assert await counters(network, "A") == (1, 4, 0, 3)
    (event,) = await network.fetch("SELECT kind, subject, actor, payload FROM event")
    assert (event["kind"], event["subject"], event["actor"]) == (
        "stock.shortage",
        "A",
        "import:stock.csv",
    )
    assert msgspec.json.decode(event["payload"]) == {"sku": "A", "node_id": "N1", "shortage": 3}


async def test_supply_cut_below_what_is_promised_is_a_shortage(
    network: asyncpg.Connection, run_import: Import
) -> None:
    """The supplier decides what comes, and someone has to hear of it."""
    now = await now_of(network)
    row = {"sku": "A", "supply_id": "P1", "node_id": "N1", "kind": "purchase_order"}
    row["expected_on"] = (now + timedelta(days=30)).date().isoformat()
    await run_import("stock", "sku,node_id,on_hand\nA,N1,0\n")
    await run_import("supply", [row | {"quantity": 40}])
    await hold(network, demand("A", "N1", 3, now, supply_id="P1"))

    outcome = await run_import("supply", [row | {"quantity": 1}])

    (event,) = await network.fetch("SELECT kind, payload FROM event")
    assert (outcome.applied, outcome.effect.shortages) == (1, 1)
    assert event["kind"] == "supply.shortage"
    assert msgspec.json.decode(event["payload"])["shortage"] == 2


@pytest.mark.parametrize("strict", [False, True])
async def test_supply_that_is_promised_from_does_not_change_its_node(
    network: asyncpg.Connection, run_import: Import, rejects: Path, *, strict: bool
) -> None:
    """A customer counts on it there; and under strict nothing else of the file is applied."""
    row: dict[str, object] = {"sku": "A", "supply_id": "P1", "kind": "transfer"}
    now = await now_of(network)
    row["expected_on"] = (now + timedelta(days=30)).date().isoformat()
    await run_import("stock", "sku,node_id,on_hand\nA,N1,0\n")
    await run_import("supply", [row | {"node_id": "N1", "quantity": 40}])
    await hold(network, demand("A", "N1", 3, now, supply_id="P1"))
    moved = [
        row | {"node_id": "N2", "quantity": 40},
        row | {"supply_id": "P2", "node_id": "N2", "quantity": 1},
    ]

    if strict:
        with pytest.raises(StrictError):
            await run_import("supply", moved, strict=True)
    else:
        await run_import("supply", moved)

    (rejected,) = read_rejects(rejects)
    assert rejected.reason == (
        "Units of this supply are promised at N1; send another supply_id for the move."
    )
    assert {each.supply_id: each.node_id for each in await get_supply(network, ["A"])} == (
        {"P1": "N1"} if strict else {"P1": "N1", "P2": "N2"}
    )


async def test_a_file_that_is_written_to_while_it_is_read_is_refused(
    network: asyncpg.Connection, rejects: Path, tmp_path: Path
) -> None:
    """Half an upload would pass for a whole network."""
    path = tmp_path / "stock.csv"
    path.write_text("sku,node_id,on_hand\nA,N1,5\n")

    def go_on_writing(_phase: str, _share: float) -> None:
        with path.open("a") as file:
            file.write("B,N1,5\n")

    with pytest.raises(FileError, match="The file was changed while it was read"):
        await import_file(network, order("stock", path, rejects), go_on_writing)

    assert await stock(network) == {}


async def sell(connection: asyncpg.Connection, sku: str, quantity: int) -> None:
    """Record a sale at N1 at this moment."""
    movement = Movement(
        movement_id=uuid4(),
        sku=sku,
        node_id="N1",
        kind="sale",
        quantity=quantity,
        happened_at=None,
        actor="till",
    )
    async with connection.transaction():
        await record(connection, [movement])
