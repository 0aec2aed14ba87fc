"""The audit goes red for every kind of damage, and stays silent when history is retired."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from inventory.audit import audit, oversold
from inventory.book import KINDS
from inventory.dispatch import Consumption, consume
from inventory.ledger import SnapshotRecord, apply_snapshot, record
from inventory.partitions import (
    MOVEMENTS,
    Partitioned,
    drop_partitions,
    ensure_partitions,
    fold_movements,
)
from inventory.resolve import confirm
from inventory.supply import Supply, put_supply
from tests.inventory.world import (
    ON,
    add_nodes,
    ago,
    assert_silent,
    counters,
    demand,
    hold,
    moved,
    run,
    stock_up,
    take,
    work,
)

DAMAGE = {
    "a counter of on hand": ("UPDATE stock SET on_hand = on_hand + 1", "on_hand"),
    "a counter of unavailable": ("UPDATE stock SET unavailable = 1", "unavailable"),
    "a counter of reserved": ("UPDATE stock SET reserved = reserved - 1", "reserved"),
    "a lost stock record": ("DELETE FROM stock", "on_hand"),
    "a lost movement": ("DELETE FROM movement WHERE kind = 'receive'", "on_hand"),
    "a changed movement": ("UPDATE movement SET quantity = 9 WHERE kind = 'receive'", "on_hand"),
    "a changed kind": ("UPDATE movement SET kind = 'damage' WHERE kind = 'receive'", "unavailable"),
    "a movement of nothing known": (
        (
            "INSERT INTO movement (sku, node_id, kind, quantity, happened_at, actor) "
            "VALUES ('ghost', 'store', 'receive', 1, now(), 'test')"
        ),
        "on_hand",
    ),
    "a movement written twice": (
        (
            "INSERT INTO movement (sku, movement_id, node_id, kind, quantity, happened_at, actor, "
            "recorded_at) SELECT sku, movement_id, node_id, kind, quantity, happened_at, actor, "
            "recorded_at + interval '1 second' FROM movement WHERE kind = 'receive'"
        ),
        "movement",
    ),
    "a lost reservation": ("DELETE FROM reservation WHERE state = 'held'", "reserved"),
    "a changed reservation": ("UPDATE reservation SET quantity = 9", "reserved"),
    "a reservation given back by hand": (
        (
            "UPDATE reservation SET state = 'released', resolved_at = now() "
            "WHERE state = 'confirmed' AND supply_id IS NULL"
        ),
        "reserved",
    ),
    "a live reservation that was resolved": (
        "UPDATE reservation SET resolved_at = now() WHERE state = 'held'",
        "resolution",
    ),
    "a reservation consumed by no movement": (
        "UPDATE reservation SET movement_id = gen_random_uuid() WHERE state = 'consumed'",
        "dispatch",
    ),
    "a dispatch of nothing promised": (
        (
            "INSERT INTO movement (sku, node_id, kind, quantity, happened_at, actor) "
            "VALUES ('lamp', 'store', 'dispatch', 1, now(), 'test')"
        ),
        "dispatch",
    ),
    "half an order confirmed": (
        "UPDATE reservation SET state = 'held', expires_at = now() WHERE supply_id IS NOT NULL",
        "whole holder",
    ),
    "a counter of promised": ("UPDATE supply SET promised = promised - 1", "promised"),
    "a lost supply": ("DELETE FROM supply", "promised"),
    "a counter of used capacity": ("UPDATE capacity SET used = used + 1", "capacity"),
    "a lost capacity hold": ("DELETE FROM capacity_hold", "capacity"),
    "capacity held for nobody": (
        "UPDATE capacity_hold SET holder_id = gen_random_uuid()",
        "capacity hold",
    ),
    "an invented shortage": ("UPDATE stock SET shortage = 1", "stock shortage"),
    "an invented shortage of supply": ("UPDATE supply SET shortage = 1", "supply shortage"),
    "a hidden shortage": (
        "UPDATE stock SET on_hand = 1; UPDATE movement SET quantity = 3 WHERE kind = 'receive'",
        "stock shortage",
    ),
}


async def busy_store(connection: asyncpg.Connection) -> None:
    """Make a store with something of everything: ten lamps, of which two have left."""
    await stock_up(connection, {("lamp", "store"): 10})
    await add_nodes(connection, "store", capacity_maximum=5)
    supply = Supply(sku="lamp", supply_id="po-1", node_id="store", expected_on=ON, quantity=5)
    await run(connection, put_supply, [supply])
    order = demand(
        take("lamp", "store", 4),
        take("lamp", "store", 2, supply_id="po-1"),
        capacity=[work("store")],
    )
    await hold(connection, order, demand(take("lamp", "store", 1)))
    await run(connection, confirm, [order.holder_id])
    leaves = Consumption(
        movement_id=uuid4(),
        line_id=order.takes[0].line_id,
        sku="lamp",
        node_id="store",
        quantity=2,
    )
    await run(connection, consume, order.holder_id, [leaves], actor="test")


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda name: name.replace(" ", "-"))
async def test_the_audit_sees_damage_done_by_hand(
    connection: asyncpg.Connection, damage: str
) -> None:
    """Bug 22 of the peers: a check that compares a figure with itself never goes red.

    The tables' own checks would prevent some of this, so they are taken away first.
    """
    await busy_store(connection)
    await assert_silent(connection)
    for table, check in await connection.fetch(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint "
        "WHERE contype = 'c' AND conislocal AND conrelid IN "
        "('stock'::regclass, 'supply'::regclass, 'reservation'::regclass, 'movement'::regclass)"
    ):
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {check}")
    statement, check = DAMAGE[damage]
    await connection.execute(statement)
    assert check in {each.check for each in await audit(connection)}


async def test_the_audit_knows_every_kind_of_movement_on_its_own(
    connection: asyncpg.Connection,
) -> None:
    """Its effects are written out a second time, so a new kind has to be added there as well."""
    await stock_up(connection, {("lamp", "store"): 1_000})
    for kind in sorted(KINDS.keys() - {"dispatch"}):
        batch = [moved("damage", "lamp", "store", 3), moved(kind, "lamp", "store", 2)]
        await run(connection, record, batch)
    await assert_silent(connection)


async def test_oversold_reads_movements_and_reservations_and_believes_no_counter(
    connection: asyncpg.Connection,
) -> None:
    """The second checker finds a unit sold twice although every counter has been made to agree."""
    await busy_store(connection)
    assert await oversold(connection) == []
    await connection.execute("UPDATE reservation SET quantity = 12 WHERE state = 'held'")
    assert [(each.sku, each.node_id, each.units) for each in await oversold(connection)] == [
        ("lamp", "store", 6)
    ]


async def test_the_audit_refuses_to_run_inside_a_transaction(
    connection: asyncpg.Connection,
) -> None:
    """It would see the transaction's own unfinished changes instead of one snapshot."""
    transaction = connection.transaction()
    await transaction.start()
    with pytest.raises(asyncpg.InterfaceError, match="outside any transaction"):
        await audit(connection)
    await transaction.rollback()


async def test_movements_are_folded_into_opening_sums_before_their_month_is_dropped(
    connection: asyncpg.Connection,
) -> None:
    """History ends, the sums do not; a second round adds to the first."""
    await busy_store(connection)
    month = datetime.now(UTC).replace(day=1) + timedelta(days=32)
    for _ in range(2):
        await run(connection, ensure_partitions, MOVEMENTS, now=datetime.now(UTC))
        await run(connection, record, [moved("damage", "lamp", "store", 1)])
        far = month + timedelta(days=31 * MOVEMENTS.keep)
        dropped = await run(connection, drop_partitions, MOVEMENTS, now=far, fold=fold_movements)
        assert dropped == [f"movement_{datetime.now(UTC):%Y%m}"]
    assert await connection.fetchval("SELECT count(*) FROM movement") == 0
    assert await counters(connection, "lamp", "store") == (8, 3, 2, 0)
    await assert_silent(connection)


async def test_a_snapshot_from_before_the_kept_history_is_too_old(
    connection: asyncpg.Connection,
) -> None:
    """What moved after its instant can no longer be added up."""
    await stock_up(connection, {("lamp", "store"): 10})
    await run(connection, ensure_partitions, MOVEMENTS, now=datetime.now(UTC))
    far = datetime.now(UTC) + timedelta(days=500)
    await run(connection, drop_partitions, MOVEMENTS, now=far, fold=fold_movements)
    old = SnapshotRecord(sku="lamp", node_id="store", on_hand=3, as_of=ago(hours=1))
    result = await run(connection, apply_snapshot, "erp", 1, [old], "feed")
    assert (result.applied, result.ignored_old) == (0, 1)
    await assert_silent(connection)


async def test_daily_partitions_are_made_ahead_and_dropped_after_their_days(
    connection: asyncpg.Connection,
) -> None:
    """The same code keeps any table of history; rows that came too early move to their day."""
    await connection.execute(
        "CREATE TABLE visit (seen_at timestamptz NOT NULL, name text) "
        "PARTITION BY RANGE (seen_at); CREATE TABLE visit_default PARTITION OF visit DEFAULT"
    )
    visits = Partitioned(table="visit", column="seen_at", period="day", keep=2)
    first = datetime(2026, 2, 27, 23, 30, tzinfo=UTC)
    await connection.execute("INSERT INTO visit VALUES ($1, 'early')", first)
    made = await run(connection, ensure_partitions, visits, now=first)
    assert made == ["visit_20260227", "visit_20260228", "visit_20260301"]
    assert await run(connection, ensure_partitions, visits, now=first) == []
    assert await connection.fetchval("SELECT name FROM visit_20260227") == "early"
    later = first + timedelta(days=3)
    assert await run(connection, drop_partitions, visits, now=later) == ["visit_20260227"]
    assert await connection.fetchval("SELECT count(*) FROM visit") == 0


def test_a_partitioned_table_needs_plain_names_and_keeps_something() -> None:
    """Names end up in statements, where values cannot be parameters."""
    with pytest.raises(ValueError, match="not a plain lower-case identifier"):
        Partitioned(table="visit; DROP", column="seen_at", period="day", keep=1)
    with pytest.raises(ValueError, match="keep at least 1"):
        Partitioned(table="visit", column="seen_at", period="day", keep=0)
