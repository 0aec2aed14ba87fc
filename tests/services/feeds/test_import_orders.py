"""Open orders of another system: taken over as they stand, and no longer special afterwards."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.commands.feed import closing_sentence, import_at
from services.database import Database
from services.feeds.apply import Watch
from services.feeds.imports import Outcome
from services.settings import Settings
from tests.services.caller import Caller
from tests.services.feeds.conftest import order, read_rejects, write_once
from tests.services.feeds.test_command import nom_import
from tests.services.fulfillment.rejection_calls import moved_to, reject
from tests.services.fulfillment.work_calls import (
    STORE,
    assert_all_agrees,
    done,
    kinds_of,
    stock_of,
)
from tests.services.place import STOCK
from tests.services.place import stock as set_stock

HEADER = "order_id,line_id,sku,quantity,node_id,method,service,zone_id,promise_latest,ship_by\n"
TWO_ORDERS = (
    f"{HEADER}"
    "o-2,1,MUG,1,ST-EAST,pickup,,,2027-03-02,\n"
    "o-1,1,MUG,2,WH-EAST,ship,ground,EAST,2027-03-04,2027-03-01T20:00:00Z\n"
    "o-1,1,MUG,3,WH-WEST,ship,ground,EAST,2027-03-06,2027-03-01T22:00:00Z\n"
    "o-1,2,LAMP,1,WH-EAST,ship,ground,EAST,2027-03-04,2027-03-01T20:00:00Z\n"
)


def unwatched(_phase: str, _share: float) -> None:
    """Watch nothing."""


class Importer:
    """Imports files of orders as the command does."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Write files and rejects into `folder`."""
        self.settings = settings
        self.folder = folder
        self.rejects = folder / "rejects.jsonl"

    async def __call__(
        self, content: str, name: str = "orders.csv", watch: Watch = unwatched
    ) -> Outcome:
        """Import a file of this content."""
        path = self.folder / name
        write_once(path, content.encode())
        asked = order("orders", path, self.rejects)
        outcome = await import_at(str(self.settings.database_url), self.settings, asked, watch)
        self.told = closing_sentence(asked, outcome, 0)
        return outcome

    def reasons(self) -> dict[int, str]:
        """Return why rows were rejected, by line."""
        return {each.line: each.reason for each in read_rejects(self.rejects)}


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Importer:
    """Return a function that imports orders."""
    return Importer(settings, tmp_path)


async def work_of(caller: Caller, node_id: str) -> list[dict[str, Any]]:
    """Return the list of work of a node."""
    answer = await caller.get(f"/v1/nodes/{node_id}/work", role="operator")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["fulfillment_orders"]
    return found


async def allocations(database: Database) -> list[tuple[str, str]]:
    """Return the orders that have an allocation, with its state."""
    async with database.connect() as connection:
        rows = await connection.fetch("SELECT order_id, state FROM allocation ORDER BY created_at")
    return [(row["order_id"], row["state"]) for row in rows]


def many(orders: int) -> str:
    """Return a file of orders of two lines each."""
    rows = [
        f"o-{number:03},{line},MUG,1,WH-EAST,ship,,EAST,2027-03-04,\n"
        for number in range(orders)
        for line in (1, 2)
    ]
    return HEADER + "".join(rows)


async def test_open_orders_become_confirmed_on_the_nodes_they_name(
    caller: Caller, database: Database, run: Importer
) -> None:
    """Another system has promised this from there; that is what happens, however dear it is."""
    outcome = await run(TWO_ORDERS)

    assert (outcome.applied, outcome.rejected) == (4, 0)
    assert await allocations(database) == [("o-1", "confirmed"), ("o-2", "confirmed")]
    assert await stock_of(database, "MUG", "WH-EAST") == (100, 2)
    assert await stock_of(database, "MUG", "WH-WEST") == (100, 3)
    assert await stock_of(database, "LAMP", "WH-EAST") == (10, 1)
    assert await stock_of(database, "MUG", STORE) == (5, 1)
    (east,) = await work_of(caller, "WH-EAST")
    assert (east["order_id"], east["request_state"]) == ("o-1", "submitted")
    assert east["ship_by"] == "2027-03-01T20:00:00Z"
    assert [(line["line_id"], line["quantity"]) for line in east["lines"]] == [("1", 2), ("2", 1)]
    (west,) = await work_of(caller, "WH-WEST")
    assert [(line["line_id"], line["quantity"]) for line in west["lines"]] == [("1", 3)]
    assert [each["method"] for each in await work_of(caller, STORE)] == ["pickup"]
    assert await kinds_of(database, "o-2") == [
        "allocation.held",
        "allocation.confirmed",
        "fulfillment_order.created",
        "fulfillment_order.submitted",
    ]
    await assert_all_agrees(database)


async def test_the_same_orders_again_change_nothing(
    caller: Caller, database: Database, run: Importer
) -> None:
    """A cut-over is rehearsed and repeated; not even a cancelled order may come back by it."""
    await run(TWO_ORDERS)
    (work,) = await work_of(caller, STORE)
    cancelled = await caller.post(f"/v1/allocations/{work['allocation_id']}/cancel")
    assert cancelled.status_code == 200, cancelled.text

    same = await run(TWO_ORDERS)
    renamed = await run(TWO_ORDERS, "again.csv")

    assert same.finished_before_at is not None
    assert (renamed.applied, renamed.effect.repeated, renamed.rejected) == (4, 4, 0)
    assert "4 were imported before and stayed as they are." in run.told
    assert await allocations(database) == [("o-1", "confirmed"), ("o-2", "cancelled")]
    assert await stock_of(database, "MUG", "WH-EAST") == (100, 2)
    await assert_all_agrees(database)


async def test_an_order_with_other_content_is_rejected(
    caller: Caller, database: Database, run: Importer
) -> None:
    """Which of the two is right is for a person to say."""
    await run(TWO_ORDERS)

    outcome = await run(TWO_ORDERS.replace("LAMP,1", "LAMP,2"), "changed.csv")

    assert (outcome.applied, outcome.effect.repeated) == (1, 1)
    assert sorted(run.reasons()) == [3, 4, 5]
    assert run.reasons()[5].startswith("order-already-allocated: order o-1 has allocation ")
    assert await stock_of(database, "LAMP", "WH-EAST") == (10, 1)
    await assert_all_agrees(database)


async def test_a_file_broken_off_goes_on_with_whole_orders(
    caller: Caller, database: Database, run: Importer
) -> None:
    """What was taken over stays so, and nothing is taken twice."""

    def break_off(phase: str, share: float) -> None:
        if phase == "applying" and share >= 0.5:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await run(many(10), watch=break_off)
    before = await allocations(database)
    outcome = await run(many(10))

    assert len(before) == 5
    assert (outcome.applied, outcome.applied_before, outcome.effect.rows) == (20, 10, 10)
    assert len(await allocations(database)) == 10
    assert await stock_of(database, "MUG", "WH-EAST") == (100, 20)
    await assert_all_agrees(database)


async def test_an_order_that_a_node_cannot_fill_is_rejected_whole_until_it_can(
    caller: Caller, database: Database, run: Importer
) -> None:
    """Half an order taken over would be half an order lost; a count mends it, and a second run."""
    content = (
        f"{HEADER}"
        "o-1,1,MUG,2,WH-EAST,ship,,EAST,2027-03-04,\n"
        "o-1,2,SOFA,3,WH-EAST,ship,,EAST,2027-03-04,\n"
        "o-2,1,LAMP,1,ST-EAST,ship,,EAST,2027-03-04,\n"
        "o-3,1,MUG,1,WH-EAST,ship,,EAST,2027-03-04,\n"
    )

    first = await run(content)
    reasons = run.reasons()
    await set_stock(database, STOCK | {("SOFA", "WH-EAST"): 3, ("LAMP", "ST-EAST"): 1})
    second = await run(content)

    assert (first.applied, first.rejected) == (1, 3)
    assert (
        reasons[2]
        == reasons[3]
        == (
            "WH-EAST has 1 of the 3 units of SOFA that order o-1 needs; import a count of its stock, or "
            "name another node, and import again."
        )
    )
    assert reasons[4].startswith("ST-EAST has 0 of the 1 units of LAMP that order o-2 needs;")
    assert (second.applied, second.effect.repeated, second.rejected) == (4, 1, 0)
    assert await stock_of(database, "SOFA", "WH-EAST") == (3, 3)
    await assert_all_agrees(database)


@pytest.mark.parametrize(
    ("row", "line", "reason"),
    [
        ("o-1,2,SPOON,1,WH-EAST,ship,,EAST,2027-03-04,", 3, "sku 'SPOON' is not known; import or"),
        ("o-1,2,MUG,1,WH-NORTH,ship,,EAST,2027-03-04,", 3, "node_id 'WH-NORTH' is not known;"),
        ("o-1,2,MUG,1,WH-EAST,ship,,NORTH,2027-03-04,", 3, "zone_id 'NORTH' is not known; PUT"),
        ("o-1,2,MUG,0,WH-EAST,ship,,EAST,2027-03-04,", 3, "quantity is '0'; it must be a whole"),
        ("o-1,2,MUG,1,WH-EAST,ship,,,2027-03-04,", 3, "what is shipped needs a zone_id, or"),
        ("o-1,2,MUG,1,WH-EAST,ship,,WEST,2027-03-04,", 3, "Order o-1 goes to the zones EAST, WEST"),
        ("o-1,1,LAMP,1,WH-WEST,ship,,EAST,2027-03-04,", 3, "Line 1 of order o-1 is of MUG and of"),
        ("o-1,1,MUG,1,WH-EAST,ship,,EAST,2027-03-04,", 2, "Line 3 has the same order_id and line"),
    ],
)
async def test_a_bad_row_takes_its_order_along_and_no_other(
    caller: Caller, database: Database, run: Importer, row: str, line: int, reason: str
) -> None:
    """Each row says what is wrong with it, or that another of its order is."""
    outcome = await run(
        f"{HEADER}o-1,1,MUG,2,WH-EAST,ship,,EAST,2027-03-04,\n{row}\n"
        "o-2,1,MUG,1,WH-EAST,ship,,EAST,2027-03-04,\n"
    )

    assert run.reasons()[line].startswith(reason)
    assert sorted(run.reasons()) == [2, 3]
    assert outcome.applied == 1
    assert await allocations(database) == [("o-2", "confirmed")]
    assert await stock_of(database, "MUG", "WH-EAST") == (100, 1)


async def test_an_imported_order_ships_like_any_other(
    caller: Caller, database: Database, settings: Settings, tmp_path: Path
) -> None:
    """From the command to the parcel, and with the money to capture for it."""
    row = {
        "order_id": "o-1",
        "line_id": "1",
        "sku": "MUG",
        "quantity": 2,
        "node_id": "WH-EAST",
        "method": "ship",
        "country": "US",
        "postal_code": "10001",
        "promise_latest": "2027-03-04",
        "unit_price_minor": 1_250,
    }
    path = tmp_path / "orders.jsonl"
    path.write_bytes(msgspec.json.encode(row))

    ended = await nom_import("orders", path, DATABASE_URL=str(settings.database_url))
    (work,) = await work_of(caller, "WH-EAST")
    work_id = work["fulfillment_order_id"]
    await done(caller, work_id, "pick")
    sent = await done(caller, work_id, "ship", {"carrier": "Acme", "tracking": "A-1"})

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Imported 1 rows of orders from orders.jsonl in ")
    assert sent["state"] == "shipped"
    assert await stock_of(database, "MUG", "WH-EAST") == (98, 0)
    assert (await kinds_of(database, "o-1"))[-1] == "shipment.created"
    await assert_all_agrees(database)


async def test_capacity_counts_open_orders(
    caller: Caller, database: Database, run: Importer
) -> None:
    """A store that is busy with old orders has less room for new ones."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE node SET capacity_unit = 'orders', capacity_maximum = 1"
            " WHERE node_id = 'WH-EAST'"
        )

    outcome = await run(many(2))

    assert (outcome.applied, outcome.rejected) == (2, 2)
    assert run.reasons()[4].startswith("Order o-001 needs 1 of the capacity of WH-EAST on ")
    await assert_all_agrees(database)


async def test_what_a_node_rejects_of_an_imported_order_is_placed_anew(
    caller: Caller, database: Database, run: Importer
) -> None:
    """It has no plan and no decision behind it; its zone and its work are enough."""
    await run(TWO_ORDERS)
    (work,) = await work_of(caller, "WH-WEST")
    await caller.catch_up()

    answer = await reject(caller, work["fulfillment_order_id"])

    (moved,) = await moved_to(caller, answer)
    assert moved["node_id"] == "WH-EAST"
    assert await stock_of(database, "MUG", "WH-WEST") == (100, 0)
    await assert_all_agrees(database)


async def test_why_an_imported_order_lies_where_it_does_is_said(
    caller: Caller, database: Database, run: Importer
) -> None:
    """Whoever asks should read that somebody else chose, and not that something is missing."""
    await run(TWO_ORDERS)
    (work,) = await work_of(caller, "WH-WEST")

    told = await caller.get(f"/v1/allocations/{work['allocation_id']}/decision", role="operator")

    assert (told.status_code, told.json()["recorded"]) == (200, False)
    (said,) = told.json()["sentences"]
    assert said == (
        f"Order {work['order_id']} was imported with the nodes it names, so nothing was decided "
        "here, and there is no decision record of it."
    )
