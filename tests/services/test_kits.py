"""A kit is as available as what it is made up of, node by node."""

from typing import Any

from services.database import Database
from tests.services.caller import Caller, basket
from tests.services.place import SUPPLY_ON, stock

NEW_YORK = {"country": "US", "postal_code": "10001"}


async def kit(caller: Caller, *parts: tuple[str, int]) -> None:
    """Put a kit SET of (sku, units)."""
    components = [{"sku": sku, "quantity": units} for sku, units in parts]
    answer = await caller.put("/v1/items/SET", {"weight_grams": 900, "components": components})
    assert answer.status_code == 200, answer.text
    await caller.catch_up()


async def asked(caller: Caller, **body: object) -> dict[str, Any]:
    """Ask for the availability of SET in New York."""
    given = {"skus": ["SET"], "destination": NEW_YORK} | body
    answer = await caller.post("/v1/availability", given)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_kit_is_counted_by_its_scarcest_component_at_each_node(
    caller: Caller, database: Database
) -> None:
    """All of one kit comes from one node: mugs in a store do not make up for lamps elsewhere."""
    await kit(caller, ("MUG", 4), ("LAMP", 1))
    await stock(database, {("MUG", "WH-EAST"): 19})
    await caller.catch_up()
    (found,) = (await asked(caller))["skus"]
    assert found["ship"] == {"available": 4 + 10, "atp": 4 + 10, "nodes": 2}
    assert {each["node_id"]: each["available"] for each in found["best"]} == {
        "WH-EAST": 4,
        "WH-WEST": 10,
    }
    held = await caller.post("/v1/allocations", basket("o-1", ("SET", 3)))
    assert {each["node"] for each in held.json()["fulfillments"]} == {"WH-EAST"}
    (found,) = (await asked(caller))["skus"]
    assert found["best"][0]["available"] == 1


async def test_rows_read_fresh_say_the_same_of_a_kit(caller: Caller) -> None:
    """A worker whose view is old reads the rows, and a shop must not see another number."""
    await kit(caller, ("MUG", 2), ("LAMP", 1))
    view = await asked(caller, matrix=True, columns=True)
    caller.runtime.stock.view.seen_at = 0.0
    fresh = await asked(caller, matrix=True, columns=True)
    assert (fresh["skus"], fresh["columns"]) == (view["skus"], view["columns"])
    assert [each["node_id"] for each in fresh["matrix"]] == ["WH-EAST", "WH-WEST"]
    assert fresh["matrix"] == view["matrix"]


async def test_a_kit_can_be_promised_once_its_last_component_is_there(caller: Caller) -> None:
    """Four sofas come in the west; until then there is no set of one with a lamp there."""
    await kit(caller, ("SOFA", 1), ("LAMP", 2))
    now = (await asked(caller))["skus"][0]["ship"]
    then = (await asked(caller, on=SUPPLY_ON.isoformat()))["skus"][0]["ship"]
    assert (now["available"], now["atp"], then["atp"]) == (1, 1, 5)


async def test_a_product_page_promises_a_kit(caller: Caller) -> None:
    """Its date and cost are those of the parcel in which the components come."""
    await kit(caller, ("MUG", 2), ("LAMP", 1))
    answer = await caller.get("/v1/promises", params={"sku": "SET"} | NEW_YORK)
    assert answer.status_code == 200, answer.text
    first = answer.json()["choices"][0]
    assert (first["shipments"], first["shortfalls"]) == (1, [])
    lines = first["fulfillments"][0]["lines"]
    assert {(line["sku"], line["quantity"]) for line in lines} == {("MUG", 2), ("LAMP", 1)}
