"""One order from the cart to the exchange, over real HTTP, with everybody who has a part in it.

A mixed basket is paid, a store says no to a line, a partner takes it over and ships it, the
customer collects the rest, brings a piece back in another city and gets something else for it.
After each step the stock, the events, the timeline and the key figures are what they should be.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services import keys
from tests.services.fulfillment.work_calls import assert_all_agrees
from tests.services.partners.receiver import Receiver, listening
from tests.services.place import TIME_ZONES
from tests.simulation.served import Served, database_of, furnished

PARTNER_NODE = "3PL-EAST"
ORDER = "story-1"
PRICES = {"MUG": 1_200, "VASE": 4_500, "SOFA": 90_000}
LOOPBACK = {"NOM_WEBHOOK_ALLOW": "127.0.0.0/8", "NOM_WEBHOOK_POLL_MS": "50"}
PATIENCE_S = 30


CONTACT = {
    "customer_id": "customer-7",
    "name": "Ada Byron",
    "address_lines": ["12 Mill Lane"],
    "city": "New York",
    "postal_code": "10001",
    "country": "US",
}
TOLD = [
    "allocation.held",
    "order.contact_changed",
    "allocation.confirmed",
    "fulfillment_order.created",
    "fulfillment_order.submitted",
    "fulfillment_order.rejected",
    "fulfillment_order.accepted",
    "shipment.created",
    "fulfillment_order.ready",
    "fulfillment_order.handed_over",
    "return.received",
]
"""Kinds of events in the order in which the timeline has each for the first time."""


class Cast:
    """Everybody in the story, each with a key of their own, and what the receivers were told."""

    def __init__(
        self, service: Served, client: httpx.AsyncClient, partner: Receiver, shop: Receiver
    ) -> None:
        """Begin the story."""
        self.service = service
        self.client = client
        self.partner = partner
        self.shop = shop

    async def call(
        self, role: str, verb: str, path: str, body: object = None, /, **asked: Any
    ) -> Any:
        """Make a call that has to succeed; return its answer."""
        answer = await self.client.request(
            verb,
            path,
            json=body,
            params=asked or None,
            headers=self.service.headers(role, str(uuid4())),
        )
        assert answer.status_code < 300, f"{verb} {path}: {answer.text}"
        return answer.json()

    async def stock(self, sku: str, node_id: str) -> tuple[int, int]:
        """Return what is on hand and what is reserved."""
        found = await self.call("planner", "GET", "/v1/stock", sku=sku, node_id=node_id)
        (record,) = found["stock"]
        return record["on_hand"], record["reserved"]

    async def work(self) -> dict[str, dict[str, Any]]:
        """Return the live and ended work of the order by node."""
        order = await self.call("checkout", "GET", f"/v1/orders/{ORDER}")
        return {each["node_id"]: each for each in order["fulfillment_orders"]}

    async def step(self, role: str, node_id: str, name: str, body: object = None) -> Any:
        """Take a step of a node's work."""
        work_id = (await self.work())[node_id]["fulfillment_order_id"]
        return await self.call(role, "POST", f"/v1/fulfillment-orders/{work_id}/{name}", body)

    async def kinds(self) -> list[str]:
        """Return the kinds of the order's timeline."""
        told = await self.call("checkout", "GET", f"/v1/orders/{ORDER}/timeline", limit=500)
        return [each["kind"] for each in told["entries"]]

    async def figures(self) -> dict[str, Any]:
        """Return the key figures of these days."""
        today = datetime.now(UTC).date()
        found: dict[str, Any] = await self.call(
            "planner",
            "GET",
            "/v1/kpis",
            since=(today - timedelta(days=1)).isoformat(),
            until=(today + timedelta(days=2)).isoformat(),
        )
        return found

    async def all_agrees(self) -> None:
        """Fail unless the books, reservations and work agree."""
        async with database_of(self.service) as database:
            await assert_all_agrees(database)


@pytest.fixture
async def cast() -> AsyncIterator[Cast]:
    """Yield everybody in their places: a second store, a partner with a vase, two receivers."""
    async with (
        furnished(**LOOPBACK) as service,
        listening() as partner,
        listening() as shop,
        httpx.AsyncClient(base_url=service.address, timeout=PATIENCE_S) as client,
    ):
        async with database_of(service) as database:
            service.secrets["west"] = await keys.create(database, "store", ("ST-WEST",), None)
        story = Cast(service, client, partner, shop)
        await furnish_vases(story)
        for role, receiver, kinds in (
            ("partner", partner, ["fulfillment_order.*"]),
            ("operator", shop, ["shipment.*", "return.*"]),
        ):
            made = await story.call(
                role, "POST", "/v1/webhook-endpoints", {"url": receiver.url, "kinds": kinds}
            )
            service.secrets[f"{role} secret"] = made["secret"]
        yield story


async def furnish_vases(story: Cast) -> None:
    """Put a vase into the store nearby, and five into a partner's warehouse that is dearer."""
    node = {
        "kind": "partner",
        "partner_id": "carrier",
        "latitude": 40.7,
        "longitude": -74.0,
        "time_zone": TIME_ZONES["EAST"],
        "cut_off": "23:59:00",
        "handling_order_minor": 400,
    }
    await story.call("planner", "PUT", f"/v1/nodes/{PARTNER_NODE}", node)
    await story.call("planner", "PUT", "/v1/items/VASE", {"weight_grams": 900, "name": "Vase"})
    lane = {
        "zone_id": "EAST",
        "node_id": PARTNER_NODE,
        "service": "ground",
        "tariff_id": "near",
        "transit_days_min": 1,
        "transit_days_max": 2,
    }
    await story.call("planner", "PUT", "/v1/lanes", {"lanes": [lane]})
    counted = [
        {"node_id": "ST-EAST", "sku": "VASE", "on_hand": 1},
        {"node_id": PARTNER_NODE, "sku": "VASE", "on_hand": 5},
    ]
    await story.call(
        "planner",
        "POST",
        "/v1/stock/snapshots",
        {"source": "opening", "sequence": 1, "records": counted},
    )
    # The workers look for changes of the network every second.
    for _ in range(100):
        asked = await story.call("checkout", "GET", "/v1/availability", sku="VASE")
        if {each["node_id"] for each in asked["skus"][0]["best"]} >= {"ST-EAST", PARTNER_NODE}:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("the vases never came into the availability")


def line(number: int, sku: str, quantity: int, **more: object) -> dict[str, Any]:
    """Return a line of the basket."""
    return {
        "line_id": str(number),
        "sku": sku,
        "quantity": quantity,
        "unit_price_minor": PRICES[sku],
        **more,
    }


async def test_an_order_from_the_cart_to_the_exchange(cast: Cast) -> None:
    """The README's story, with nobody left out."""
    await cart_and_payment(cast)
    await a_store_says_no(cast)
    await the_partner_ships(cast)
    await the_customer_collects(cast)
    await one_comes_back_elsewhere(cast)


async def cart_and_payment(cast: Cast) -> None:
    """A basket of what is here, what lies elsewhere and what has to be ordered is held and paid."""
    lines = [
        line(1, "MUG", 2, method="pickup", pickup_node="ST-EAST"),
        line(2, "VASE", 1),
        line(3, "SOFA", 2),
    ]
    held = await cast.call(
        "checkout",
        "POST",
        "/v1/allocations",
        {
            "order_id": ORDER,
            "lines": lines,
            "destination": {"country": "US", "postal_code": "10001"},
            "policy": {"backorder": True},
        },
    )
    assert held["status"] == "held"
    sources = {
        (each["node"], part["sku"], part["from"])
        for each in held["fulfillments"]
        for part in each["lines"]
    }
    assert sources == {
        ("ST-EAST", "MUG", "on_hand"),
        ("ST-EAST", "VASE", "on_hand"),
        ("WH-EAST", "SOFA", "on_hand"),
        ("WH-WEST", "SOFA", "supply"),
    }
    assert await cast.stock("VASE", "ST-EAST") == (1, 1)
    await cast.call("checkout", "PUT", f"/v1/orders/{ORDER}/contact", CONTACT)
    paid = await cast.call("checkout", "POST", f"/v1/allocations/{held['allocation_id']}/confirm")
    assert paid["status"] == "confirmed"
    figures = await cast.figures()
    assert (figures["orders"]["orders"], figures["orders"]["fill_rate"]) == (1, 1.0)
    await cast.all_agrees()


async def a_store_says_no(cast: Cast) -> None:
    """The shelf is empty: the vase's work goes to the partner, with the same promise."""
    listed = await cast.call("store", "GET", "/v1/nodes/ST-EAST/work", method="ship")
    (work,) = listed["fulfillment_orders"]
    assert [each["sku"] for each in work["lines"]] == ["VASE"]
    said = await cast.call(
        "store",
        "POST",
        f"/v1/fulfillment-orders/{work['fulfillment_order_id']}/reject",
        {"reason": "not_found"},
    )
    (fate,) = said["units"]
    assert (fate["became"], fate["node_id"], fate["worse"]) == ("moved", PARTNER_NODE, [])
    assert fate["promise"]["latest"] <= work["promise"]["latest"]
    assert await cast.stock("VASE", "ST-EAST") == (0, 0)
    assert await cast.stock("VASE", PARTNER_NODE) == (5, 1)
    new = (await cast.work())[PARTNER_NODE]
    assert (new["attempt"], new["replaces"]) == (2, work["fulfillment_order_id"])
    assert (await cast.figures())["work"][0]["item_rejection_rate"] > 0
    await cast.all_agrees()


async def the_partner_ships(cast: Cast) -> None:
    """The partner is told by webhook, answers, and its tracking number reaches the shop."""
    await cast.partner.until(
        lambda: any(
            each.message["type"] == "fulfillment_order.submitted" for each in cast.partner.seen
        )
    )
    told = next(
        each for each in cast.partner.seen if each.message["type"] == "fulfillment_order.submitted"
    )
    assert told.is_signed_with(cast.service.secrets["partner secret"])
    assert "12 Mill Lane" in told.body.decode()
    assert "Mill Lane" not in "".join(
        each.body.decode() for each in cast.partner.seen if each is not told
    )
    work_id = told.data["fulfillment_order_id"]
    for kind, more in (("accept", {}), ("ship", {"carrier": "Parcel Co", "tracking": "1Z999"})):
        for _ in range(2):
            answered = await cast.call(
                "partner",
                "POST",
                "/v1/partner-events",
                {
                    "partner_event_id": f"{kind}-1",
                    "kind": kind,
                    "fulfillment_order_id": work_id,
                    **more,
                },
            )
            assert answered["outcome"] in {"applied", "repeated"}
    assert await cast.stock("VASE", PARTNER_NODE) == (4, 0)
    await cast.shop.until(
        lambda: any("1Z999" in each.body.decode() for each in cast.shop.seen), PATIENCE_S
    )
    shipped = next(each for each in cast.shop.seen if "1Z999" in each.body.decode())
    assert shipped.is_signed_with(cast.service.secrets["operator secret"])
    assert shipped.message["type"] == "shipment.created"
    assert (await cast.figures())["work"][0]["on_time_rate"] == 1.0
    await cast.all_agrees()


async def the_customer_collects(cast: Cast) -> None:
    """Two mugs wait at the counter; whoever shows the code gets them."""
    collected = next(
        each
        for each in (await cast.call("store", "GET", "/v1/nodes/ST-EAST/work", method="pickup"))[
            "fulfillment_orders"
        ]
    )
    path = f"/v1/fulfillment-orders/{collected['fulfillment_order_id']}"
    await cast.call("store", "POST", f"{path}/pick", {})
    await cast.call("store", "POST", f"{path}/ready")
    code = (await cast.call("checkout", "GET", path))["pickup_code"]
    done = await cast.call("store", "POST", f"{path}/hand-over", {"code": code})
    assert done["state"] == "closed"
    assert await cast.stock("MUG", "ST-EAST") == (3, 0)
    figures = (await cast.figures())["work"][0]
    assert figures["units_collected"] == 2
    assert figures["time_to_ready_p50_s"] is not None
    await cast.all_agrees()


async def one_comes_back_elsewhere(cast: Cast) -> None:
    """A mug comes back in another city and becomes a lamp, which is held before anything else."""
    line = {"line_id": "1", "quantity": 1, "reason": "wrong color", "disposition": "restock"}
    lamp = {
        "order_id": f"{ORDER}-exchange",
        "lines": [{"line_id": "1", "sku": "LAMP", "quantity": 1}],
        "destination": {"country": "US", "postal_code": "90001"},
    }
    brought = {"order_id": ORDER, "node_id": "ST-WEST", "received": True, "lines": [line]}
    back = await cast.call("west", "POST", "/v1/returns", brought | {"exchange": lamp})
    assert back["state"] == "received"
    assert back["refund"]["amount_minor"] == PRICES["MUG"]
    assert await cast.stock("MUG", "ST-WEST") == (6, 0)
    assert await cast.stock("LAMP", "WH-WEST") == (10, 1)
    new = await cast.call("checkout", "GET", f"/v1/allocations/{back['exchange']['allocation_id']}")
    assert new["order_id"] == f"{ORDER}-exchange"
    await cast.shop.until(
        lambda: any(each.message["type"] == "return.received" for each in cast.shop.seen)
    )
    kinds = await cast.kinds()
    firsts = [kinds.index(kind) for kind in TOLD]
    assert firsts == sorted(firsts), kinds
    assert (await cast.figures())["work"][0]["return_rate"] == pytest.approx(1 / 3, abs=1e-3)
    await cast.all_agrees()
