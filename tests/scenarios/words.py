"""The words in which stories are told: what happens, and what it should have come to."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx

from routing.voice import on
from services.database import Database
from services.prices.refresh import refresh
from services.settings import Settings
from tests.scenarios import shop
from tests.scenarios.clock import set_clock
from tests.services.caller import Caller
from tests.services.fulfillment.rejection_calls import sweep
from tests.services.fulfillment.work_calls import assert_all_agrees

YEAR = datetime.now(UTC).year + 1
"""Stories play next year, so that the machine's own clock never is ahead of theirs."""
NEXT_YEAR = ("January", "February")
"""Months that are named after the turn of the year."""


def day(words: str) -> date:
    """Return the date that a story calls `23 December` or `4 January`."""
    year = YEAR + words.endswith(NEXT_YEAR)
    return datetime.strptime(f"{words} {year}", "%d %B %Y").replace(tzinfo=UTC).date()


def called(on_date: str) -> str:
    """Return what a story calls a date of an answer."""
    found = date.fromisoformat(on_date)
    return f"{found.day} {found:%B}"


def in_full(words: str) -> str:
    """Return a date as explanations tell it, with its weekday and its year."""
    return on(day(words))


def units(words: str) -> tuple[int, str]:
    """Return quantity and sku of what a story calls `2 MUG`."""
    count, sku = words.split()
    return int(count), sku


def amount(money: Mapping[str, Any]) -> str:
    """Return an amount of an answer as a story tells it."""
    return f"{money['amount_minor'] / 100:.2f}"


class Story:
    """What happens, one sentence a call."""

    def __init__(self, caller: Caller, database: Database, settings: Settings) -> None:
        """Begin."""
        self.caller = caller
        self.database = database
        self.settings = settings
        self.sequence = 0

    async def it_is(self, when: str, where: str = "America/New_York") -> None:
        """Let it be `23 December 13:59` in a time zone."""
        words, _, clock = when.rpartition(" ")
        at = datetime.combine(day(words), datetime.strptime(clock, "%H:%M").time())  # noqa: DTZ007
        await self.is_at(at.replace(tzinfo=ZoneInfo(where)).astimezone(UTC))

    async def is_at(self, at: datetime) -> None:
        """Let it be an instant, for the database and for the process that plans."""
        async with self.database.connect() as connection:
            await set_clock(connection, at)
        self.caller.runtime.allocator.decider.clock.set(at)

    async def called_by(
        self, role: str, verb: str, path: str, body: object = None, /, **asked: str | int
    ) -> Any:
        """Make a call that has to succeed, as somebody; return its answer."""
        answer = await self.called(role, verb, path, body, **asked)
        assert answer.status_code < 300, f"{verb} {path}: {answer.text}"
        return answer.json()

    async def called(
        self, role: str, verb: str, path: str, body: object = None, /, **asked: str | int
    ) -> httpx.Response:
        """Make a call as somebody."""
        return await self.caller.client.request(
            verb, path, json=body, params=asked or None, headers=self.caller.headers(role)
        )

    async def there_are(self, node_id: str, *words: str) -> None:
        """Let somebody count what a node has: `2 MUG`."""
        self.sequence += 1
        records = [
            {"node_id": node_id, "sku": sku, "on_hand": count} for count, sku in map(units, words)
        ]
        body = {"source": "count", "sequence": self.sequence, "records": records}
        await self.called_by("planner", "POST", "/v1/stock/snapshots", body)
        await self.caller.catch_up()

    async def are_expected(self, node_id: str, words: str, when: str, name: str = "PO-1") -> None:
        """Let goods be expected at a node on a date, or on another than was said before."""
        count, sku = units(words)
        supply = {
            "sku": sku,
            "supply_id": name,
            "node_id": node_id,
            "expected_on": str(day(when)),
            "quantity": count,
        }
        await self.called_by("planner", "POST", "/v1/supply", {"supply": [supply]})
        await self.caller.catch_up()

    async def till_sells(self, node_id: str, words: str) -> None:
        """Let walk-ins buy at a node."""
        count, sku = units(words)
        sale = {
            "movement_id": str(uuid4()),
            "node_id": node_id,
            "sku": sku,
            "kind": "sale",
            "quantity": count,
        }
        await self.called_by("planner", "POST", "/v1/stock/movements", {"movements": [sale]})
        await self.caller.catch_up()

    async def prices_are_learned(self) -> None:
        """Let the service learn what units are worth to walk-ins."""
        await refresh(self.settings, self.database)
        await self.caller.catch_up()

    async def has_other_rules(self, path: str, body: object) -> None:
        """Let a planner change the network."""
        await self.called_by("planner", "PUT", path, body)
        await self.caller.catch_up()

    async def the_background_works(self) -> None:
        """Let the jobs do what there is to do."""
        await self.caller.catch_up()
        await sweep(self.database, self.settings)
        await self.caller.catch_up()

    async def customer_orders(
        self, *words: str, to: str = "New York", name: str = "order-1", **policy: object
    ) -> "Order":
        """Let a customer order `2 MUG`, or `2 MUG collected at fifth-avenue`."""
        lines = [line(number, each) for number, each in enumerate(words, 1)]
        body = {"order_id": name, "lines": lines, "policy": policy}
        if any(each["method"] != "pickup" for each in lines):
            body["destination"] = shop.CITIES[to]
        held = await self.called_by("checkout", "POST", "/v1/allocations", body)
        return Order(self, held)

    async def holding(self, allocation_id: str) -> "Order":
        """Return the order of an allocation that was made on the way."""
        return Order(
            self, await self.called_by("checkout", "GET", f"/v1/allocations/{allocation_id}")
        )

    async def on_hand(self, sku: str, node_id: str) -> int:
        """Return what a node has of an item, promised or not."""
        found = await self.called_by("planner", "GET", "/v1/stock", sku=sku, node_id=node_id)
        count: int = found["stock"][0]["on_hand"]
        return count

    async def all_agrees(self) -> None:
        """Fail unless stock, reservations, capacity and work agree."""
        await assert_all_agrees(self.database)


def line(number: int, words: str) -> dict[str, Any]:
    """Return a line of a basket."""
    what, _, where = words.partition(" collected at ")
    count, sku = units(what)
    found = {"line_id": str(number), "sku": sku, "quantity": count, "unit_price_minor": 2_000}
    collected = {"method": "pickup", "pickup_node": where}
    return found | (collected if where else {"method": "ship"})


def sentence(part: Mapping[str, Any]) -> str:
    """Return a fulfillment of an answer as a story tells it."""
    names = [f"{each['quantity']} {each['sku']}" for each in part["lines"]]
    supply = {each["supply_id"] for each in part["lines"]} - {None}
    goods = " and ".join(names) + "".join(f" of {each}" for each in sorted(supply))
    promise = part["promise"]
    if part["method"] == "pickup":
        return f"{part['node']} hands over {goods} from {called(promise['earliest'])}"
    if part["method"] == "ship_to_store":
        return (
            f"{part['node']} sends {goods} to {part['pickup_node']} on {called(part['work_on'])},"
            f" ready there by {called(promise['latest'])}"
        )
    assert promise["earliest"] == promise["latest"], "the carriers of the shop take a day or four"
    return (
        f"{part['node']} ships {goods} on {called(part['work_on'])},"
        f" to arrive on {called(promise['latest'])}"
    )


class Order:
    """An order of the story, and what should have become of it."""

    def __init__(self, story: Story, held: Mapping[str, Any]) -> None:
        """Remember what the checkout was told."""
        self.story = story
        self.held = held
        self.allocation_id: str = held["allocation_id"]

    def is_planned(self, *sentences: str) -> None:
        """Fail unless exactly these nodes do exactly this."""
        assert sorted(map(sentence, self.held["fulfillments"])) == sorted(sentences)
        assert self.held["solver"]["status"] == "optimal"

    def costs(self, total: str, **parts: str) -> None:
        """Fail unless it costs this, in all and by component."""
        cost = {name: amount(money) for name, money in self.held["cost"].items()}
        assert (
            cost
            == {
                "total": total,
                "parcels": "0.00",
                "handling": "0.00",
                "split": "0.00",
                "lateness": "0.00",
            }
            | parts
        )

    async def is_explained(self, *phrases: str, asked_about: str | None = None) -> None:
        """Fail unless each of these is said in the explanation of the order, or of a node in it."""
        asked = {"node": asked_about} if asked_about else {}
        path = f"/v1/allocations/{self.allocation_id}/decision"
        told = await self.story.called_by("checkout", "GET", path, **asked)
        said = [*told["sentences"], told.get("why_not", "")]
        for phrase in phrases:
            assert any(phrase in each for each in said), f"{phrase!r} is not in {said}"

    async def is_paid(self) -> dict[str, Any]:
        """Confirm it; return what the checkout is told."""
        path = f"/v1/allocations/{self.allocation_id}/confirm"
        found: dict[str, Any] = await self.story.called_by("checkout", "POST", path)
        return found

    async def is_left(self) -> None:
        """Let the customer leave the basket."""
        path = f"/v1/allocations/{self.allocation_id}/release"
        await self.story.called_by("checkout", "POST", path)
        await self.story.caller.catch_up()

    async def works(self) -> dict[str, dict[str, Any]]:
        """Return the newest work of each node for the order."""
        path = f"/v1/orders/{self.held['order_id']}"
        told = await self.story.called_by("checkout", "GET", path)
        return {each["node_id"]: each for each in told["fulfillment_orders"]}

    async def told(self) -> list[str]:
        """Return the kinds of its timeline, the first first."""
        path = f"/v1/orders/{self.held['order_id']}/timeline"
        timeline = await self.story.called_by("checkout", "GET", path, limit=500)
        return [each["kind"] for each in timeline["entries"]]


def clocks_go_back(time_zone: str) -> date:
    """Return the date in the second half of the story's year on which clocks are set back."""
    zone = ZoneInfo(time_zone)
    at = datetime(YEAR, 7, 1, 12, tzinfo=UTC)
    while at.astimezone(zone).utcoffset() == datetime(YEAR, 7, 1, tzinfo=zone).utcoffset():
        at += timedelta(days=1)
    return at.astimezone(zone).date()
