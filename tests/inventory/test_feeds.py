"""Snapshots, deltas and counts: what other systems say about stock, late, twice or out of order."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from inventory.audit import audit
from inventory.dispatch import Consumption, consume
from inventory.ledger import (
    DeltaRecord,
    MovementRefused,
    SnapshotRecord,
    apply_deltas,
    apply_snapshot,
    record,
)
from inventory.resolve import confirm
from tests.inventory.world import (
    ago,
    assert_silent,
    counters,
    demand,
    hold,
    moved,
    run,
    states,
    stock_up,
    take,
)


def seen(on_hand: int, as_of: datetime, *, unavailable: int | None = None) -> SnapshotRecord:
    """Return what a source saw of the lamps in the store."""
    return SnapshotRecord(
        sku="lamp", node_id="store", on_hand=on_hand, as_of=as_of, unavailable=unavailable
    )


def change(
    delta: int, *, reference: str | None = None, happened_at: datetime | None = None
) -> DeltaRecord:
    """Return what a source says came or went of the lamps in the store."""
    return DeltaRecord(
        sku="lamp", node_id="store", delta=delta, reference=reference, happened_at=happened_at
    )


async def test_a_snapshot_adds_what_has_moved_since_it_was_taken(
    connection: asyncpg.Connection,
) -> None:
    """A file exported at night arrives in the morning; what was sold meanwhile stays sold."""
    await stock_up(connection, {("lamp", "store"): 10})
    await run(connection, record, [moved("sale", "lamp", "store", 3)])
    await run(connection, apply_snapshot, "erp", 1, [seen(20, ago(hours=1))], "feed")
    assert (await counters(connection, "lamp", "store"))[0] == 27
    await assert_silent(connection)


async def test_an_older_snapshot_is_ignored_and_an_equal_one_changes_nothing(
    connection: asyncpg.Connection,
) -> None:
    """Files overtake each other; the newest instant counts, not the newest arrival."""
    first = seen(7, ago(hours=1))
    result = await run(connection, apply_snapshot, "erp", 2, [first], "feed")
    assert (result.applied, result.ignored_old) == (1, 0)
    older = await run(connection, apply_snapshot, "erp", 1, [seen(99, ago(hours=2))], "feed")
    assert (older.applied, older.ignored_old) == (0, 1)
    await run(connection, apply_snapshot, "erp", 2, [first], "feed")
    assert (await counters(connection, "lamp", "store"))[0] == 7
    assert await connection.fetchval("SELECT count(*) FROM movement") == 1
    await assert_silent(connection)


async def test_of_two_records_for_one_place_in_a_message_the_newer_counts(
    connection: asyncpg.Connection,
) -> None:
    """A file may list a place twice, and its order says nothing."""
    snapshot = [seen(5, ago(hours=1)), seen(9, ago(hours=3))]
    result = await run(connection, apply_snapshot, "erp", 1, snapshot, "feed")
    assert (result.applied, result.ignored_old) == (1, 1)
    assert (await counters(connection, "lamp", "store"))[0] == 5


async def test_a_snapshot_never_forgets_what_is_promised(connection: asyncpg.Connection) -> None:
    """The system that sends it knows nothing of our reservations, and must not free them."""
    await stock_up(connection, {("lamp", "store"): 5})
    order = demand(take("lamp", "store", 4))
    await hold(connection, order)
    await run(connection, apply_snapshot, "erp", 1, [seen(6, ago())], "feed")
    assert await counters(connection, "lamp", "store") == (6, 4, 0, 0)
    assert await states(connection, order.holder_id) == {"held": 4}
    await assert_silent(connection)


async def test_a_snapshot_may_say_how_much_cannot_be_sold(connection: asyncpg.Connection) -> None:
    """Some systems know what is damaged; without a word on it, ours stands."""
    await stock_up(connection, {("lamp", "store"): 10})
    await run(connection, record, [moved("damage", "lamp", "store", 1)])
    await run(connection, apply_snapshot, "erp", 1, [seen(10, ago(), unavailable=3)], "feed")
    assert await counters(connection, "lamp", "store") == (10, 0, 3, 0)
    await run(connection, apply_snapshot, "erp", 2, [seen(9, ago())], "feed")
    assert await counters(connection, "lamp", "store") == (9, 0, 3, 0)
    await assert_silent(connection)


async def test_a_snapshot_from_the_future_counts_as_one_from_now(
    connection: asyncpg.Connection,
) -> None:
    """A clock that runs ahead would otherwise make every honest snapshot look old."""
    ahead = datetime.now(UTC) + timedelta(days=365)
    await run(connection, apply_snapshot, "erp", 1, [seen(5, ahead)], "feed")
    result = await run(connection, apply_snapshot, "erp", 2, [seen(6, datetime.now(UTC))], "feed")
    assert result.applied == 1
    assert (await counters(connection, "lamp", "store"))[0] == 6


async def test_a_dispatch_recorded_after_a_snapshot_that_contains_it_counts_once(
    connection: asyncpg.Connection,
) -> None:
    """Goods left at nine, the snapshot is of ten, and the message about nine came at eleven."""
    await stock_up(connection, {("lamp", "store"): 10})
    order = demand(take("lamp", "store", 4))
    await hold(connection, order)
    await run(connection, confirm, [order.holder_id])
    await run(connection, apply_snapshot, "erp", 1, [seen(6, datetime.now(UTC))], "feed")
    each = Consumption(
        movement_id=uuid4(),
        line_id=order.takes[0].line_id,
        sku="lamp",
        node_id="store",
        quantity=4,
    )
    await run(
        connection,
        consume,
        order.holder_id,
        [each],
        actor="staff",
        happened_at=ago(minutes=5),
    )
    assert await counters(connection, "lamp", "store") == (6, 0, 0, 0)
    await assert_silent(connection)


async def test_deltas_of_one_message_are_applied_once(connection: asyncpg.Connection) -> None:
    """Senders repeat what was not acknowledged in time."""
    await stock_up(connection, {("lamp", "store"): 10})
    first = await run(connection, apply_deltas, "till", 1, [change(-2), change(1)], "feed")
    again = await run(connection, apply_deltas, "till", 1, [change(-2), change(1)], "feed")
    assert (first.applied, first.duplicate) == (2, False)
    assert (again.applied, again.duplicate) == (0, True)
    assert (await counters(connection, "lamp", "store"))[0] == 9
    await assert_silent(connection)


async def test_deltas_in_any_order_end_alike_and_report_the_gap(
    connection: asyncpg.Connection,
) -> None:
    """A late message is no reason to stop; until it comes a record may even be below zero."""
    assert (await run(connection, apply_deltas, "till", 1, [change(5)], "feed")).gap == 0
    early = await run(connection, apply_deltas, "till", 4, [change(-9)], "feed")
    assert early.gap == 2
    assert (await counters(connection, "lamp", "store"))[0] == -4
    await assert_silent(connection)
    assert (await run(connection, apply_deltas, "till", 3, [change(10)], "feed")).gap == 1
    assert (await run(connection, apply_deltas, "till", 2, [change(1)], "feed")).gap == 0
    assert await counters(connection, "lamp", "store") == (7, 0, 0, 0)
    await assert_silent(connection)


async def test_a_delta_from_before_the_last_snapshot_is_in_it_already(
    connection: asyncpg.Connection,
) -> None:
    """A message that was stuck for a day must not undo the count made since."""
    await run(connection, apply_snapshot, "erp", 1, [seen(7, ago(hours=1))], "feed")
    late = [change(-2, happened_at=ago(hours=2)), change(-1, happened_at=ago(minutes=1))]
    result = await run(connection, apply_deltas, "till", 1, late, "feed")
    assert (result.applied, result.ignored_old) == (1, 1)
    assert (await counters(connection, "lamp", "store"))[0] == 6
    await assert_silent(connection)


async def test_a_delta_about_a_movement_of_our_own_is_recognized_by_its_reference(
    connection: asyncpg.Connection,
) -> None:
    """The warehouse system reports the dispatch that it heard of from us."""
    await stock_up(connection, {("lamp", "store"): 10})
    ours = msgspec.structs.replace(moved("sale", "lamp", "store", 2), reference="parcel-1")
    await run(connection, record, [ours])
    told = [change(-2, reference="parcel-1"), change(2, reference="parcel-1"), change(-1)]
    result = await run(connection, apply_deltas, "wms", 1, told, "feed")
    assert (result.applied, result.recognized) == (2, 1)
    assert (await counters(connection, "lamp", "store"))[0] == 9
    await assert_silent(connection)


async def test_a_movement_recorded_twice_has_one_effect_and_keeps_its_meaning(
    connection: asyncpg.Connection,
) -> None:
    """A retry is the same movement; another movement under its name is a mistake worth an error."""
    receipt = moved("receive", "lamp", "store", 5)
    assert (await run(connection, record, [receipt])).recorded == (receipt.movement_id,)
    again = await run(connection, record, [receipt, moved("receive", "lamp", "store", 1)])
    assert again.repeated == (receipt.movement_id,)
    assert (await counters(connection, "lamp", "store"))[0] == 6
    with pytest.raises(ValueError, match="name a new movement"):
        await run(connection, record, [msgspec.structs.replace(receipt, quantity=9)])
    await assert_silent(connection)


async def test_a_movement_from_before_the_last_snapshot_is_recorded_too(
    connection: asyncpg.Connection,
) -> None:
    """A sale told of late changes no figure, but the ledger and what is learned from it need it."""
    await run(connection, apply_snapshot, "erp", 1, [seen(7, ago(hours=1))], "feed")
    late = moved("sale", "lamp", "store", 2, happened_at=ago(hours=2))
    assert (await run(connection, record, [late])).recorded == (late.movement_id,)
    assert (await run(connection, record, [late])).repeated == (late.movement_id,)
    assert (await counters(connection, "lamp", "store"))[0] == 7
    written = await connection.fetch(
        "SELECT kind, quantity FROM movement WHERE happened_at < now() - interval '90 min'"
    )
    assert [tuple(each) for each in written] == [("sale", 2)]
    await assert_silent(connection)


@pytest.mark.parametrize(
    ("kind", "quantity", "reason"),
    [
        ("sale", 11, "only 10 are on hand"),
        ("transfer_out", 5, "are promised and only 2 are free"),
        ("restore", 3, "only 2 are unavailable"),
        ("damage", 9, "only 8 are fit for sale"),
        ("scrap", 3, "only 2 are unavailable"),
    ],
)
async def test_movements_that_cannot_be_are_refused_with_the_numbers(
    connection: asyncpg.Connection, kind: str, quantity: int, reason: str
) -> None:
    """Whoever typed it needs to see what is there; nothing of the batch is recorded."""
    await stock_up(connection, {("lamp", "store"): 10})
    await run(connection, record, [moved("damage", "lamp", "store", 2)])
    await hold(connection, demand(take("lamp", "store", 6)))
    batch = [moved("receive", "bulb", "store", 1), moved(kind, "lamp", "store", quantity)]
    with pytest.raises(MovementRefused, match=reason):
        await run(connection, record, batch)
    assert await counters(connection, "lamp", "store") == (10, 6, 2, 0)
    assert not await connection.fetch("SELECT FROM stock WHERE sku = 'bulb'")
    await assert_silent(connection)


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"kind": "teleport"}, "is not a movement to record"),
        ({"kind": "dispatch"}, "or consume a reservation"),
        ({"quantity": 0}, "at least 1"),
        ({"movement_id": None}, "a name of its own"),
    ],
)
async def test_movements_that_say_nothing_sensible_are_refused(
    connection: asyncpg.Connection, changed: dict[str, object], advice: str
) -> None:
    """Caught before any statement is sent."""
    wrong = msgspec.structs.replace(moved("receive", "lamp", "store", 1), **changed)
    with pytest.raises(ValueError, match=advice):
        await run(connection, record, [wrong])
    assert await audit(connection) == []


async def test_snapshots_of_impossible_figures_and_too_long_messages_are_refused(
    connection: asyncpg.Connection,
) -> None:
    """A limit with a number, and a sentence with the record that breaks it."""
    with pytest.raises(ValueError, match="says -1 on hand"):
        await run(connection, apply_snapshot, "erp", 1, [seen(-1, ago())], "feed")
    with pytest.raises(ValueError, match="send at most 5000"):
        await run(connection, apply_deltas, "erp", 1, [change(1)] * 5001, "feed")
