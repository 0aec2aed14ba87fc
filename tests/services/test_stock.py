"""What other systems report becomes the one record of stock, once and in any order."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

from inventory.audit import audit
from services.database import Database
from tests.services.caller import Caller, basket, problem_type
from tests.services.place import SUPPLY_ON

MOVEMENTS = "/v1/stock/movements"
SNAPSHOTS = "/v1/stock/snapshots"
DELTAS = "/v1/stock/deltas"


def feed(sequence: int, *records: dict[str, Any], source: str = "wms") -> dict[str, Any]:
    """Return one message of a source."""
    return {"source": source, "sequence": sequence, "records": list(records)}


def movement(kind: str, quantity: int, **changes: object) -> dict[str, Any]:
    """Return one movement of MUG at ST-EAST, where there are five."""
    given = {
        "movement_id": str(uuid4()),
        "sku": "MUG",
        "node_id": "ST-EAST",
        "kind": kind,
        "quantity": quantity,
    }
    return given | changes


async def record(caller: Caller, sku: str = "MUG", node_id: str = "ST-EAST") -> dict[str, Any]:
    """Return a stock record as the API tells it."""
    params = {"sku": sku, "node_id": node_id}
    (found,) = (await caller.get("/v1/stock", role="planner", params=params)).json()["stock"]
    result: dict[str, Any] = found
    return result


async def test_stock_is_listed_with_what_is_available(caller: Caller) -> None:
    """One read answers how much there is, how much is promised and how much can be sold."""
    await caller.put(
        "/v1/buffers", {"buffers": [{"node_id": "ST-EAST", "channel": "web", "quantity": 2}]}
    )
    found = await record(caller)
    assert {name: found[name] for name in ("on_hand", "reserved", "buffer", "available")} == {
        "on_hand": 5,
        "reserved": 0,
        "buffer": 2,
        "available": 3,
    }
    params = {"sku": "MUG", "node_id": "ST-EAST", "channel": "till"}
    till = (await caller.get("/v1/stock", role="store", params=params)).json()["stock"]
    assert till[0]["available"] == 5, "the buffer is kept back from the web only"
    page: dict[str, object] = {"limit": 1, "sku": ["MUG", "LAMP"]}
    first = (await caller.get("/v1/stock", role="planner", params=page)).json()
    assert [(each["sku"], each["node_id"]) for each in first["stock"]] == [("LAMP", "WH-EAST")]
    page["cursor"] = first["next_cursor"]
    second = (await caller.get("/v1/stock", role="planner", params=page)).json()
    assert [(each["sku"], each["node_id"]) for each in second["stock"]] == [("LAMP", "WH-WEST")]


async def test_a_snapshot_sets_on_hand_and_leaves_reservations(
    caller: Caller, database: Database
) -> None:
    """A count says what lies there; what is promised stays promised."""
    await caller.post("/v1/allocations", basket("o-1", ("LAMP", 4)))
    place = {"sku": "LAMP", "node_id": "WH-EAST"}
    counted = await caller.post(SNAPSHOTS, feed(1, place | {"on_hand": 7}), role="planner")
    assert counted.status_code == 200, counted.text
    assert counted.json()["applied"] == 1
    found = await record(caller, "LAMP", "WH-EAST")
    assert (found["on_hand"], found["reserved"], found["available"]) == (7, 4, 3)
    await assert_audit_is_silent(database)


async def test_a_count_below_what_is_promised_is_a_shortage_and_an_event(
    caller: Caller, database: Database
) -> None:
    """A feed that is refused would leave the record wrong; a silent clamp would hide the loss."""
    await caller.post("/v1/allocations", basket("o-1", ("LAMP", 4)))
    place = {"sku": "LAMP", "node_id": "WH-EAST"}
    counted = await caller.post(SNAPSHOTS, feed(1, place | {"on_hand": 1}), role="planner")
    assert counted.json()["shortages"] == [place | {"shortage": 3, "before": 0}]
    assert (await record(caller, "LAMP", "WH-EAST"))["shortage"] == 3
    async with database.connect() as connection:
        kinds = await connection.fetch("SELECT kind FROM event WHERE subject = 'LAMP'")
    assert "stock.shortage" in {row["kind"] for row in kinds}
    await assert_audit_is_silent(database)


async def test_an_older_snapshot_changes_nothing(caller: Caller) -> None:
    """Feeds overtake each other; the newer count must win whichever comes first."""
    old = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    place = {"sku": "MUG", "node_id": "ST-EAST"}
    late = await caller.post(
        SNAPSHOTS, feed(1, place | {"on_hand": 99, "as_of": old}), role="planner"
    )
    assert late.json()["ignored_old"] == 1
    assert (await record(caller))["on_hand"] == 5


async def test_a_delta_message_has_one_effect_and_a_gap_is_reported(caller: Caller) -> None:
    """Tills send twice and out of order; stock must not notice."""
    sold = {"sku": "MUG", "node_id": "ST-EAST", "delta": -2}
    first = await caller.post(DELTAS, feed(3, sold), role="store")
    assert (first.json()["applied"], first.json()["duplicate"]) == (1, False)
    again = await caller.post(DELTAS, feed(3, sold), role="store")
    assert again.json()["duplicate"] is True
    assert (await record(caller))["on_hand"] == 3
    later = await caller.post(DELTAS, feed(6, sold), role="store")
    assert later.json()["gap"] == 2
    assert (await record(caller))["on_hand"] == 1


async def test_a_repeated_post_gets_its_first_answer(caller: Caller) -> None:
    """The same key and body is the same request, however often the network repeats it."""
    body = {"movements": [movement("receive", 3)]}
    first = await caller.post(MOVEMENTS, body, role="planner", key="once")
    again = await caller.post(MOVEMENTS, body, role="planner", key="once")
    assert (
        (again.status_code, again.content)
        == (first.status_code, first.content)
        == (201, first.content)
    )
    other = {"movements": [movement("receive", 4)]}
    assert (
        problem_type(await caller.post(MOVEMENTS, other, role="planner", key="once"))
        == "idempotency-key-reused"
    )
    assert (await record(caller))["on_hand"] == 8


async def test_a_movement_is_recorded_once_by_its_id(caller: Caller, database: Database) -> None:
    """The caller names what it creates, so a retry under a new key is the same movement."""
    given = movement("damage", 2, reason="wet")
    first = await caller.post(MOVEMENTS, {"movements": [given]}, role="store")
    assert first.status_code == 201, first.text
    assert first.json()["recorded"] == [given["movement_id"]]
    again = await caller.post(MOVEMENTS, {"movements": [given]}, role="store")
    assert again.json()["repeated"] == [given["movement_id"]]
    found = await record(caller)
    assert (found["on_hand"], found["unavailable"], found["available"]) == (5, 2, 3)
    changed = await caller.post(MOVEMENTS, {"movements": [given | {"quantity": 1}]}, role="store")
    assert problem_type(changed) == "illegal-state"
    await assert_audit_is_silent(database)


async def test_promised_goods_cannot_leave_but_can_be_lost(caller: Caller) -> None:
    """A transfer out is a choice and is refused; a count loss is a fact and is written."""
    order = basket("o-1", ("MUG", 4))
    order["lines"][0] |= {"method": "pickup", "pickup_node": "ST-EAST"}
    assert (await caller.post("/v1/allocations", order)).status_code == 201
    moved = await caller.post(
        MOVEMENTS, {"movements": [movement("transfer_out", 2)]}, role="planner"
    )
    assert (moved.status_code, problem_type(moved)) == (409, "negative-stock")
    assert moved.json()["available"] == 1
    lost = await caller.post(MOVEMENTS, {"movements": [movement("count_loss", 2)]}, role="planner")
    assert lost.json()["shortages"][0]["shortage"] == 1


async def test_one_bad_movement_refuses_them_all(caller: Caller) -> None:
    """A transfer out without its transfer in would lose goods on the way."""
    both = [movement("transfer_out", 1), movement("transfer_in", 1, node_id="NOWHERE")]
    response = await caller.post(MOVEMENTS, {"movements": both}, role="planner")
    assert problem_type(response) == "unknown-node"
    assert (await record(caller))["on_hand"] == 5


async def test_movements_are_listed_newest_first_page_by_page(caller: Caller) -> None:
    """The history of a record is how a person finds out where a unit went."""
    for kind in ("receive", "damage", "restore"):
        await caller.post(MOVEMENTS, {"movements": [movement(kind, 1)]}, role="planner")
    seen: list[str] = []
    params: dict[str, object] = {"sku": "MUG", "node_id": "ST-EAST", "limit": 2}
    while True:
        page = (await caller.get(MOVEMENTS, role="store", params=params)).json()
        seen += [each["kind"] for each in page["movements"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == ["restore", "damage", "receive", "count_gain"]
    params["cursor"] = "WyJub3QgYSBkYXRlIiwibm90IGFuIGlkIl0"
    bad = await caller.get(MOVEMENTS, role="store", params=params)
    assert (bad.status_code, problem_type(bad)) == (400, "invalid-parameter")


async def test_a_store_writes_about_its_own_nodes_only(caller: Caller) -> None:
    """One shop's key must not empty another shop; the answer does not tell whether it exists."""
    for path, body in (
        (MOVEMENTS, {"movements": [movement("receive", 1, node_id="ST-WEST")]}),
        (SNAPSHOTS, feed(1, {"sku": "MUG", "node_id": "ST-WEST", "on_hand": 1})),
        (DELTAS, feed(1, {"sku": "MUG", "node_id": "NOWHERE", "delta": 1})),
        ("/v1/supply", {"supply": [supply("PO-2", node_id="ST-WEST")]}),
    ):
        response = await caller.post(path, body, role="store")
        assert (response.status_code, problem_type(response)) == (404, "not-found"), path
    foreign = await caller.get(MOVEMENTS, role="store", params={"sku": "MUG"})
    assert problem_type(foreign) == "not-found"
    receipt = {"movement_id": str(uuid4()), "sku": "SOFA", "supply_id": "PO-1", "quantity": 1}
    other = await caller.post("/v1/supply/receipts", {"receipts": [receipt]}, role="store")
    assert problem_type(other) == "unknown-reference"


async def test_what_a_feed_cannot_mean_is_refused(caller: Caller) -> None:
    """Each mistake has its own name and changes nothing."""
    place = {"sku": "MUG", "node_id": "ST-EAST"}
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for path, body, kind in (
        (SNAPSHOTS, feed(1, place | {"on_hand": -1}), "quantity-not-positive"),
        (SNAPSHOTS, feed(1, place | {"on_hand": 1.5}), "quantity-not-whole"),
        (SNAPSHOTS, feed(1, place | {"on_hand": 10**12}), "quantity-too-large"),
        (SNAPSHOTS, feed(1, place | {"on_hand": 1, "unavailable": 2}), "invalid-field"),
        (SNAPSHOTS, feed(1, place | {"on_hand": 1, "as_of": ahead}), "invalid-field"),
        (
            SNAPSHOTS,
            feed(1, place | {"on_hand": 1, "as_of": "0001-01-01T00:00:00+14:00"}),
            "invalid-field",
        ),
        (SNAPSHOTS, feed(-1, place | {"on_hand": 1}), "invalid-field"),
        (SNAPSHOTS, feed(1), "invalid-field"),
        (SNAPSHOTS, feed(1, place | {"on_hand": 1, "sku": "MUGG"}), "unknown-sku"),
        (DELTAS, feed(1, place | {"delta": 1, "colour": "red"}), "unknown-field"),
        (DELTAS, feed(1, place | {"delta": 10**12}), "quantity-too-large"),
        (MOVEMENTS, {"movements": [movement("receive", 0)]}, "quantity-not-positive"),
        (MOVEMENTS, {"movements": [movement("dispatch", 1)]}, "invalid-field"),
        (MOVEMENTS, {"movements": [movement("receive", 1)] * 2}, "duplicate-entry"),
        ("/v1/supply", {"supply": [supply("PO-2", expected_on="0001-01-01")]}, "invalid-field"),
        ("/v1/supply", {"supply": [supply("PO-2")] * 2}, "duplicate-entry"),
    ):
        response = await caller.post(path, body, role="planner")
        assert (response.status_code, problem_type(response)) == (422, kind), str(body)
    assert (await record(caller))["on_hand"] == 5


def supply(supply_id: str, **changes: object) -> dict[str, Any]:
    """Return ten mugs expected at ST-EAST in a week."""
    given = {
        "sku": "MUG",
        "supply_id": supply_id,
        "node_id": "ST-EAST",
        "expected_on": (date.today() + timedelta(days=7)).isoformat(),  # noqa: DTZ011
        "quantity": 10,
    }
    return given | changes


async def test_supply_is_announced_corrected_and_received(
    caller: Caller, database: Database
) -> None:
    """A purchase order is promised from before it is here, and counted when it is."""
    await caller.post("/v1/supply", {"supply": [supply("PO-2")]}, role="planner")
    put = await caller.post("/v1/supply", {"supply": [supply("PO-2", quantity=6)]}, role="planner")
    assert put.json() == {"count": 1, "shortages": []}
    receipt = {"movement_id": str(uuid4()), "sku": "MUG", "supply_id": "PO-2", "quantity": 4}
    for _ in range(2):
        received = await caller.post("/v1/supply/receipts", {"receipts": [receipt]}, role="store")
        assert received.status_code == 201, received.text
    listed = (await caller.get("/v1/supply", role="operator", params={"sku": "MUG"})).json()
    assert [(each["quantity"], each["received"]) for each in listed["supply"]] == [(6, 4)]
    assert (await record(caller))["on_hand"] == 9
    await assert_audit_is_silent(database)


async def test_supply_that_comes_in_serves_the_promise_that_waits_for_it(
    caller: Caller, database: Database
) -> None:
    """A later order must not overtake an earlier backorder."""
    order = basket("o-1", ("SOFA", 3), policy={"backorder": True})
    assert (await caller.post("/v1/allocations", order)).status_code == 201
    receipt = {"movement_id": str(uuid4()), "sku": "SOFA", "supply_id": "PO-1", "quantity": 3}
    await caller.post("/v1/supply/receipts", {"receipts": [receipt]}, role="planner")
    found = await record(caller, "SOFA", "WH-WEST")
    assert found["on_hand"] == 3
    assert found["reserved"] >= 2
    supplies = (await caller.get("/v1/supply", role="planner", params={"sku": "SOFA"})).json()
    assert supplies["supply"][0]["promised"] == 0
    assert supplies["supply"][0]["expected_on"] == SUPPLY_ON.isoformat()
    await assert_audit_is_silent(database)


async def assert_audit_is_silent(database: Database) -> None:
    """Fail when the counters, movements and reservations disagree."""
    async with database.connect() as connection:
        assert await audit(connection) == []
