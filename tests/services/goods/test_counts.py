"""Counting while selling: nothing sold during a count is lost by it, and nothing is counted twice."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from services import keys
from services.database import Database
from tests.services.caller import Caller, basket, problem_type
from tests.services.place import stock
from tests.services.test_allocations import assert_audit_is_silent
from tests.services.test_stock import movement, record

COUNTS = "/v1/nodes/ST-EAST/counts"


async def begun(caller: Caller, **body: object) -> dict[str, Any]:
    """Begin a count at ST-EAST."""
    response = await caller.post(COUNTS, body, role="store")
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


async def counted(caller: Caller, count: dict[str, Any], **units: int) -> dict[str, Any]:
    """Send what was counted of each sku just now."""
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in units.items()]
    path = f"/v1/counts/{count['count_id']}/lines"
    response = await caller.post(path, {"lines": lines}, role="store")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def closed(caller: Caller, count: dict[str, Any], **body: object) -> dict[str, Any]:
    """End a count."""
    path = f"/v1/counts/{count['count_id']}/close"
    response = await caller.post(path, body, role="store")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_what_is_found_is_compared_with_the_stock_of_that_moment(
    caller: Caller, database: Database
) -> None:
    """A unit sold after it was counted is not missing, and one sold before is not found again."""
    count = await begun(caller)
    assert [(each["sku"], each["expected_at_begin"]) for each in count["lines"]] == [("MUG", 5)]
    sale = movement("sale", 1)
    assert (
        await caller.post("/v1/stock/movements", {"movements": [sale]}, role="store")
    ).is_success
    await counted(caller, count, MUG=3)
    sale = movement("sale", 2)
    assert (
        await caller.post("/v1/stock/movements", {"movements": [sale]}, role="store")
    ).is_success
    report = await closed(caller, count)
    (line,) = report["lines"]
    assert (line["expected"], line["counted"], line["difference"]) == (4, 3, -1)
    assert (line["outcome"], report["lost"], report["gained"]) == ("corrected", 1, 0)
    assert (await record(caller))["on_hand"] == 1
    await assert_audit_is_silent(database)


async def test_a_till_that_reports_late_does_not_count_a_sale_twice(
    caller: Caller, database: Database
) -> None:
    """The mug was gone from the shelf when it was counted; its sale is told only afterwards."""
    sold_at = datetime.now(UTC)
    count = await begun(caller)
    await counted(caller, count, MUG=4)
    await closed(caller, count)
    sale = movement("sale", 1, happened_at=sold_at.isoformat())
    assert (
        await caller.post("/v1/stock/movements", {"movements": [sale]}, role="store")
    ).is_success
    assert (await record(caller))["on_hand"] == 4
    await assert_audit_is_silent(database)


async def test_orders_in_the_middle_of_a_count_lose_nothing(
    caller: Caller, database: Database
) -> None:
    """Web orders, reservations and sales go on while two people count; the sums come out."""
    await stock(database, {("MUG", "ST-EAST"): 60})
    await caller.catch_up()
    count = await begun(caller)

    async def order(number: int) -> int:
        web = basket(f"o-{number}", ("MUG", 1))
        web["lines"][0] |= {"method": "pickup", "pickup_node": "ST-EAST"}
        return (await caller.post("/v1/allocations", web)).status_code

    async def sell() -> int:
        given = {"movements": [movement("sale", 1)]}
        return (await caller.post("/v1/stock/movements", given, role="store")).status_code

    async def look(units: int) -> int:
        await counted(caller, count, MUG=units)
        return 200

    codes = await asyncio.gather(
        *(order(number) for number in range(15)), *(sell() for _ in range(15)), look(60), look(60)
    )
    assert codes.count(201) == 30
    before = (await record(caller))["on_hand"]
    assert before == 45
    report = await closed(caller, count)
    (line,) = report["lines"]
    after = await record(caller)
    assert after["on_hand"] == before + line["difference"]
    assert after["reserved"] == 15
    await assert_audit_is_silent(database)


async def test_a_count_that_finds_less_than_is_promised_is_a_shortage(
    caller: Caller, database: Database
) -> None:
    """The count is a fact: it is neither refused nor trimmed, and somebody is told."""
    held = await caller.post(
        "/v1/reservations", {"node_id": "ST-EAST", "sku": "MUG", "quantity": 4}, role="store"
    )
    assert held.status_code == 201
    count = await begun(caller, skus=["MUG"])
    await counted(caller, count, MUG=3)
    await closed(caller, count)
    found = await record(caller)
    assert (found["on_hand"], found["reserved"], found["shortage"]) == (3, 4, 1)
    async with database.connect() as connection:
        kinds = [row["kind"] for row in await connection.fetch("SELECT kind FROM event")]
    assert {"count.begun", "count.closed", "stock.shortage"} <= set(kinds)
    await assert_audit_is_silent(database)


async def test_a_blind_count_hides_what_is_expected_until_it_has_ended(caller: Caller) -> None:
    """Whoever knows the figure finds the figure."""
    count = await begun(caller, blind=True)
    assert count["lines"][0]["expected_at_begin"] is None
    told = await counted(caller, count, MUG=5)
    assert told["lines"][0]["expected_at_begin"] is None
    report = await closed(caller, count)
    assert (report["lines"][0]["expected_at_begin"], report["lines"][0]["outcome"]) == (5, "agrees")


async def test_what_nobody_expected_is_found_and_what_nobody_counted_stays(
    caller: Caller, database: Database
) -> None:
    """An empty shelf is a figure only when somebody says that it is."""
    count = await begun(caller, skus=["MUG", "SOFA"])
    await counted(caller, count, LAMP=2)
    report = await closed(caller, count)
    outcomes = {each["sku"]: each["outcome"] for each in report["lines"]}
    assert outcomes == {"LAMP": "corrected", "MUG": "uncounted", "SOFA": "uncounted"}
    assert (await record(caller, "LAMP"))["on_hand"] == 2
    assert (await record(caller))["on_hand"] == 5
    second = await begun(caller, skus=["MUG"])
    assert (await closed(caller, second, absent=True))["lost"] == 5
    assert (await record(caller))["on_hand"] == 0
    await assert_audit_is_silent(database)


async def test_a_newer_figure_from_elsewhere_overtakes_a_count(
    caller: Caller, database: Database
) -> None:
    """The feed counted later than we did; the older figure must not undo it."""
    count = await begun(caller)
    await counted(caller, count, MUG=4)
    await stock(database, {("MUG", "ST-EAST"): 7})
    report = await closed(caller, count)
    assert report["lines"][0]["outcome"] == "overtaken"
    assert (await record(caller))["on_hand"] == 7


async def test_of_two_figures_for_a_sku_the_later_stands(caller: Caller) -> None:
    """Somebody counts again because the first figure looked wrong."""
    count = await begun(caller)
    await counted(caller, count, MUG=2)
    await counted(caller, count, MUG=5)
    early = {"sku": "MUG", "quantity": 1, "counted_at": count["begun_at"]}
    path = f"/v1/counts/{count['count_id']}/lines"
    assert (await caller.post(path, {"lines": [early]}, role="store")).status_code == 200
    assert (await closed(caller, count))["lines"][0]["counted"] == 5


async def test_what_was_counted_before_the_count_began_is_refused(caller: Caller) -> None:
    """A figure from yesterday belongs to yesterday's count."""
    count = await begun(caller)
    then = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    path = f"/v1/counts/{count['count_id']}/lines"
    old = {"lines": [{"sku": "MUG", "quantity": 1, "counted_at": then}]}
    refused = await caller.post(path, old, role="store")
    assert (refused.status_code, problem_type(refused)) == (422, "invalid-field")


async def test_a_count_ends_once(caller: Caller) -> None:
    """A second end would correct by figures that are old by then."""
    count = await begun(caller)
    await counted(caller, count, MUG=5)
    await closed(caller, count)
    path = f"/v1/counts/{count['count_id']}"
    for call, body in (("/close", {}), ("/lines", {"lines": [{"sku": "MUG", "quantity": 1}]})):
        refused = await caller.post(path + call, body, role="store")
        assert (refused.status_code, problem_type(refused)) == (409, "illegal-state")
    assert problem_type(await caller.post(path + "/cancel", role="store")) == "illegal-state"
    other = await begun(caller)
    ended = await caller.post(f"/v1/counts/{other['count_id']}/cancel", role="store")
    assert ended.json()["state"] == "cancelled"


async def test_another_stores_count_looks_like_none(caller: Caller, database: Database) -> None:
    """What belongs to somebody else looks exactly like what does not exist."""
    assert (await caller.post("/v1/nodes/ST-WEST/counts", {}, role="store")).status_code == 404
    count = await begun(caller)
    west = Caller(
        caller.client,
        {"store": await keys.create(database, "store", ("ST-WEST",), None)},
        caller.runtime,
    )
    path = f"/v1/counts/{count['count_id']}"
    assert (await west.get(path, role="store")).status_code == 404
    assert (await west.post(f"{path}/close", {}, role="store")).status_code == 404
    assert (await caller.get(path, role="store")).json()["state"] == "open"
