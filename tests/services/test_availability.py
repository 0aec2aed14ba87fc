"""What a product page asks: how much is there, from where, and when would I have it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.database import Database
from tests.services.caller import Caller, basket, problem_type
from tests.services.place import LOS_ANGELES, NEW_YORK, SUPPLY_ON

PATH = "/v1/availability"


async def ask(caller: Caller, **body: object) -> dict[str, Any]:
    """Return the answer about one or more skus."""
    response = await caller.post(PATH, body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_totals_are_told_by_method(caller: Caller) -> None:
    """A page shows `in stock` for delivery and for pickup, which are different nodes."""
    answer = await ask(caller, skus=["MUG", "LAMP"], destination=NEW_YORK)
    mug, lamp = answer["skus"]
    assert mug["ship"] == {"available": 210, "atp": 210, "nodes": 4}
    assert mug["pickup"] == {"available": 10, "atp": 10, "nodes": 2}
    assert lamp["ship"]["available"] == 20
    assert lamp["pickup"]["nodes"] == 0
    assert answer["zone_id"] == "EAST"
    assert 0 <= answer["age_ms"] < 2_000
    assert (answer["matrix"], answer["columns"]) == (None, None)


async def test_the_best_nodes_are_the_soonest_then_the_nearest(caller: Caller) -> None:
    """The customer's question is when; which node it comes from follows from that."""
    for destination, side in ((NEW_YORK, "EAST"), (LOS_ANGELES, "WEST")):
        answer = await ask(caller, skus=["MUG"], destination=destination)
        best = answer["skus"][0]["best"]
        assert {each["node_id"] for each in best[:2]} == {f"ST-{side}", f"WH-{side}"}
        assert len(best) == 4
        promised = [each["ship"]["latest"] for each in best]
        assert promised == sorted(promised)
        assert best[0]["distance_km"] < 10
        assert best[-1]["distance_km"] > 3_000


async def test_the_promise_is_the_one_an_allocation_gets(caller: Caller) -> None:
    """A page that promises other dates than the checkout loses the customer at the last step."""
    answer = await ask(caller, skus=["LAMP"], destination=NEW_YORK)
    best = answer["skus"][0]["best"][0]
    order = basket("o-1", ("LAMP", 1))
    (planned,) = (await caller.post("/v1/allocations", order)).json()["fulfillments"]
    assert planned["node"] == best["node_id"] == "WH-EAST"
    assert planned["promise"] == {name: best["ship"][name] for name in ("earliest", "latest")}
    assert planned["ship_by"] == best["ship"]["ship_by"]


async def test_what_is_held_is_no_longer_available(caller: Caller) -> None:
    """The unit that this process has just promised is gone, without waiting for a poll."""
    await caller.post("/v1/allocations", basket("o-1", ("LAMP", 3)))
    answer = await ask(caller, skus=["LAMP"], destination=NEW_YORK)
    assert answer["skus"][0]["ship"]["available"] == 17


async def test_expected_supply_counts_from_its_date_on(caller: Caller) -> None:
    """What comes next week can be promised for next week, not for tomorrow."""
    before = await ask(caller, skus=["SOFA"], on=(SUPPLY_ON - timedelta(days=1)).isoformat())
    assert before["skus"][0]["ship"] == {"available": 1, "atp": 1, "nodes": 1}
    after = await ask(
        caller, skus=["SOFA"], on=SUPPLY_ON.isoformat(), destination=LOS_ANGELES, matrix=True
    )
    sofa = after["skus"][0]
    assert sofa["ship"] == {"available": 1, "atp": 5, "nodes": 2}
    west = next(each for each in sofa["best"] if each["node_id"] == "WH-WEST")
    assert (west["available"], west["atp"]) == (0, 4)
    assert date.fromisoformat(west["ship"]["earliest"]) > SUPPLY_ON
    assert {(each["node_id"], each["atp"]) for each in after["matrix"]} == {
        ("WH-EAST", 1),
        ("WH-WEST", 4),
    }


async def test_the_matrix_shows_every_cell_and_what_it_is_reckoned_from(caller: Caller) -> None:
    """A planner sees why a node that has five offers three."""
    await caller.put(
        "/v1/buffers", {"buffers": [{"node_id": "ST-EAST", "channel": "web", "quantity": 2}]}
    )
    await caller.catch_up()
    answer = await ask(caller, skus=["MUG", "LAMP"], matrix=True)
    assert len(answer["matrix"]) == 6
    cell = next(each for each in answer["matrix"] if each["node_id"] == "ST-EAST")
    assert cell == {
        "sku": "MUG",
        "node_id": "ST-EAST",
        "on_hand": 5,
        "reserved": 0,
        "unavailable": 0,
        "buffer": 2,
        "buffer_rule": "node+channel",
        "protected": 0,
        "available": 3,
        "atp": 3,
    }
    till = await ask(caller, skus=["MUG"], channel="till", matrix=True, node_ids=["ST-EAST"])
    assert [each["available"] for each in till["matrix"]] == [5]


async def test_columns_say_the_same_in_fewer_bytes(caller: Caller) -> None:
    """Whoever copies the whole matrix every minute pays for its names with every cell."""
    answer = await ask(caller, skus=["MUG", "SOFA"], matrix=True, columns=True)
    names = answer["columns"]["node_ids"]
    found = {
        (each["sku"], names[node], on_hand, available, atp)
        for each in answer["columns"]["skus"]
        for node, on_hand, available, atp in zip(
            each["nodes"], each["on_hand"], each["available"], each["atp"], strict=True
        )
    }
    assert found == {
        (cell["sku"], cell["node_id"], cell["on_hand"], cell["available"], cell["atp"])
        for cell in answer["matrix"]
    }


async def test_without_a_destination_there_are_no_delivery_dates(caller: Caller) -> None:
    """Where it would go decides when it comes; pickup needs no destination."""
    answer = await ask(caller, skus=["MUG"])
    best = {each["node_id"]: each for each in answer["skus"][0]["best"]}
    assert answer["zone_id"] is None
    assert best["ST-EAST"]["ship"] is None
    assert best["ST-EAST"]["pickup_on"] is not None
    assert best["WH-EAST"]["pickup_on"] is None


async def test_a_node_that_cannot_handle_an_item_does_not_offer_it(caller: Caller) -> None:
    """Units at a node that may not ship them are not available to anyone far away."""
    await caller.put("/v1/items/LAMP", {"weight_grams": 2_000, "requires": ["fragile"]})
    await caller.catch_up()
    answer = await ask(caller, skus=["LAMP"], destination=NEW_YORK)
    assert answer["skus"][0]["ship"]["nodes"] == 0
    assert answer["skus"][0]["best"] == []


async def test_a_query_string_asks_the_same(caller: Caller) -> None:
    """Product pages use GET; the POST twin is for lists that do not fit into an address."""
    params = {
        "sku": ["MUG", "LAMP"],
        "node_id": ["WH-EAST", "ST-EAST"],
        "country": "US",
        "postal_code": "10001",
        "matrix": "true",
    }
    got = await caller.get(PATH, params=params)
    assert got.status_code == 200, got.text
    body = {
        "skus": ["MUG", "LAMP"],
        "node_ids": ["WH-EAST", "ST-EAST"],
        "destination": NEW_YORK,
        "matrix": True,
    }
    asked = await ask(caller, **body)
    assert got.json() | {"age_ms": 0} == asked | {"age_ms": 0}


async def test_coordinates_find_the_nearest_zone_of_the_country(caller: Caller) -> None:
    """An address whose postal code nobody listed can still be served."""
    params = {"sku": "MUG", "country": "US", "latitude": 39.9, "longitude": -75.1}
    answer = (await caller.get(PATH, params=params)).json()
    assert answer["zone_id"] == "EAST"
    distance = {each["node_id"]: each["distance_km"] for each in answer["skus"][0]["best"]}
    assert 100 < distance["WH-EAST"] < 160, "New York to Philadelphia is about 130 km"


async def test_a_node_without_stock_record_or_switched_off_offers_nothing(
    caller: Caller, database: Database
) -> None:
    """The switch stops promises to browsers too, not only to the checkout."""
    await caller.put("/v1/nodes/WH-EAST/enabled", {"enabled": False})
    await caller.catch_up()
    answer = await ask(caller, skus=["LAMP"], destination=NEW_YORK, matrix=True)
    assert answer["skus"][0]["ship"] == {"available": 10, "atp": 10, "nodes": 1}
    assert [each["node_id"] for each in answer["matrix"]] == ["WH-WEST"]


async def test_what_cannot_be_asked_is_refused_by_name(caller: Caller) -> None:
    """The caller learns which sku, node or place is wrong."""
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    for body, kind in (
        ({"skus": ["MUGG"]}, "unknown-sku"),
        ({"skus": ["MUG"], "node_ids": ["NOWHERE"]}, "unknown-node"),
        ({"skus": ["MUG"], "destination": {"country": "FR"}}, "unknown-destination"),
        ({"skus": ["MUG"], "destination": NEW_YORK | {"latitude": 91}}, "impossible-coordinates"),
        ({"skus": ["MUG"], "on": yesterday}, "date-in-past"),
        ({"skus": []}, "invalid-field"),
        ({"skus": ["MUG"] * 201}, "invalid-field"),
        ({"skus": ["MUG"], "colour": "red"}, "unknown-field"),
    ):
        response = await caller.post(PATH, body)
        assert (response.status_code, problem_type(response)) == (422, kind), str(body)
    for params in (
        {},
        {"sku": ""},
        {"sku": "MUG", "on": "9999-12-31"},
        {"sku": "MUG", "on": "soon"},
        {"sku": "MUG", "postal_code": "10001"},
        {"sku": "MUG", "country": "US", "latitude": "nan", "longitude": "1"},
    ):
        response = await caller.get(PATH, params=params)
        assert response.status_code == 400, str(params)
        assert problem_type(response) == "invalid-parameter"
