"""A customer sees before buying when it comes, in how many parcels and for how much."""

from typing import Any

from services.database import Database
from tests.services.caller import Caller, basket, problem_type
from tests.services.place import NEW_YORK, SUPPLY_ON, stock

LATER = {"backorder": True}


async def choices(caller: Caller, *lines: tuple[str, int], **policy: object) -> dict[str, Any]:
    """Return the choices for a basket to New York, by kind."""
    asked = basket("", *lines, policy=policy)
    del asked["order_id"]
    answer = await caller.post("/v1/promises", asked)
    assert answer.status_code == 200, answer.text
    return {each["choice"]: each for each in answer.json()["choices"]}


async def test_what_is_in_stock_and_what_must_be_ordered_is_priced_both_ways(
    caller: Caller,
) -> None:
    """One parcel later, or two sooner: the customer decides, knowing what it costs."""
    found = await choices(caller, ("SOFA", 2), **LATER)
    two, one = found["recommended"], found["together"]
    assert (two["shipments"], one["shipments"]) == (2, 1)
    assert two["promise"]["earliest"] < SUPPLY_ON.isoformat() < one["promise"]["earliest"]
    assert one["extra"]["amount_minor"] == one["cost"]["amount_minor"] - two["cost"]["amount_minor"]
    assert one["shortfalls"] == two["shortfalls"] == []


async def test_a_choice_is_kept_when_its_policy_is_sent_with_the_order(caller: Caller) -> None:
    """What the cart has shown is what the checkout gets."""
    for number, choice in enumerate((await choices(caller, ("SOFA", 2), **LATER)).values()):
        held = await caller.post(
            "/v1/allocations",
            basket(f"order-{number}", ("SOFA", 2), policy=choice["policy"]),
        )
        assert held.status_code == 201, held.text
        promised = [each["promise"] for each in held.json()["fulfillments"]]
        assert promised == [each["promise"] for each in choice["fulfillments"]]
        assert held.json()["cost"]["total"] == choice["cost"]
        allocation_id = held.json()["allocation_id"]
        await caller.post(f"/v1/allocations/{allocation_id}/release")


async def test_choices_that_are_no_different_are_left_out(caller: Caller) -> None:
    """A basket one node ships tomorrow anyway needs no questions."""
    assert list(await choices(caller, ("MUG", 1))) == ["recommended"]


async def test_one_parcel_that_leaves_units_out_is_no_choice(caller: Caller) -> None:
    """Nobody wants a cheaper order of half the goods."""
    found = await choices(caller, ("SOFA", 1), ("LAMP", 12))
    assert "together" not in found
    assert found["recommended"]["shipments"] == 2


async def test_sooner_is_offered_where_the_cheapest_is_late(
    caller: Caller, database: Database
) -> None:
    """Who needs it tomorrow sees that it can be had, and for how much more."""
    await stock(database, {("LAMP", "WH-EAST"): 0, ("LAMP", "ST-EAST"): 1})
    await caller.put(
        "/v1/lanes",
        {
            "lanes": [
                {
                    "zone_id": "EAST",
                    "node_id": "ST-EAST",
                    "service": "ground",
                    "tariff_id": "far",
                    "transit_days_min": 1,
                    "transit_days_max": 2,
                },
                {
                    "zone_id": "EAST",
                    "node_id": "WH-WEST",
                    "service": "ground",
                    "tariff_id": "near",
                    "transit_days_min": 4,
                    "transit_days_max": 5,
                },
            ]
        },
    )
    await caller.catch_up()
    found = await choices(caller, ("LAMP", 1))
    assert found["sooner"]["promise"]["latest"] < found["recommended"]["promise"]["latest"]
    assert found["sooner"]["extra"]["amount_minor"] > 0
    assert found["sooner"]["policy"]["strategy"] == "fastest"


async def test_a_product_page_asks_without_a_body(caller: Caller) -> None:
    """The same answer as for a basket of the item; a collected one is dated at its store."""
    page = await caller.get("/v1/promises", params={"sku": "MUG"} | NEW_YORK)
    assert page.status_code == 200, page.text
    assert page.json()["choices"][0]["shipments"] == 1
    collected = await caller.get("/v1/promises", params={"sku": "MUG", "pickup_node": "ST-EAST"})
    assert collected.json()["choices"][0]["fulfillments"][0]["method"] == "pickup"


async def test_nothing_to_give_is_said_and_not_dated(caller: Caller) -> None:
    """A page must be able to say sold out."""
    (only,) = (await choices(caller, ("SOFA", 1), ("MUG", 400))).values()
    assert only["shortfalls"] == [{"line_id": "2", "quantity": 190}]
    nowhere = await caller.get("/v1/promises", params={"sku": "MUG"})
    assert problem_type(nowhere) == "unknown-destination"
