"""Checkouts that never lose their notes: what they sent, what they were told, what they still ask.

Each order is sent by one customer at a time. A request whose answer was lost is repeated with the
same key, at once or only when everything is over.
"""

import asyncio
import random
from typing import Any

import httpx
import msgspec

from tests.services.caller import basket
from tests.services.place import LOS_ANGELES, NEW_YORK
from tests.simulation.served import Served

TIMEOUT_S = 20
PAUSE_S = 0.05
SETTLE_S = 60
FINAL = {"confirm": "confirmed", "release": "released", "cancel": "cancelled"}


class Sent(msgspec.Struct):
    """One request and every answer it got, of which all but connection errors are kept."""

    path: str
    body: dict[str, Any] | None
    key: str
    answers: list[tuple[int, dict[str, Any]]] = []
    tries: int = 0

    @property
    def told(self) -> dict[str, Any] | None:
        """The first answer that was not a 503; none while the request is unanswered."""
        return next((body for status, body in self.answers if status < 500), None)


class Journey(msgspec.Struct):
    """Everything one customer did for one order."""

    order_id: str
    body: dict[str, Any]
    plan: str
    """What the customer wants in the end: `hold`, or a key of `FINAL`."""
    sent: list[Sent] = []

    @property
    def allocation(self) -> dict[str, Any] | None:
        """What the first request was told, if it was told an allocation."""
        told = self.sent[0].told if self.sent else None
        return told if told is not None and "allocation_id" in told else None

    @property
    def state(self) -> str:
        """The state in which everything that was acknowledged has left the order."""
        if self.allocation is None:
            return "unknown"
        if len(self.sent) > 1 and self.sent[1].told is not None:
            return FINAL[self.plan]
        return "held"


class Customers:
    """Several customers at once, who go on until they are called home."""

    def __init__(self, service: Served, seed: int) -> None:
        """Remember where to send and how chance decides."""
        self.service = service
        self.seed = seed
        self.journeys: list[Journey] = []
        self.home = asyncio.Event()
        self.lost = 0
        self.unavailable = 0

    async def shop(self, number: int) -> None:
        """Send order after order until called home."""
        chance = random.Random(self.seed * 1_000 + number)
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            serial = 0
            while not self.home.is_set():
                serial += 1
                journey = imagine(f"order-{number}-{serial}", chance)
                self.journeys.append(journey)
                await self.go(journey, client, patient=chance.random() < 0.6)
                if chance.random() < 0.2:
                    await self.repeat(chance.choice(self.journeys), client)

    async def go(self, journey: Journey, client: httpx.AsyncClient, *, patient: bool) -> None:
        """Send the requests of a journey; the impatient give up when an answer is lost."""
        if not journey.sent:
            journey.sent.append(Sent("/v1/allocations", journey.body, f"key-{journey.order_id}"))
        await self.send(journey.sent[0], client, patient=patient)
        if journey.allocation is None or journey.plan == "hold":
            return
        if len(journey.sent) == 1:
            path = f"/v1/allocations/{journey.allocation['allocation_id']}/{journey.plan}"
            journey.sent.append(Sent(path, None, f"{journey.plan}-{journey.order_id}"))
        await self.send(journey.sent[1], client, patient=patient)

    async def send(self, sent: Sent, client: httpx.AsyncClient, *, patient: bool) -> None:
        """Send a request until it is answered, or once."""
        while sent.told is None:
            await self.try_once(sent, client)
            if not patient:
                return
            if sent.told is None:
                await asyncio.sleep(PAUSE_S)

    async def try_once(self, sent: Sent, client: httpx.AsyncClient) -> None:
        """Send a request and note the answer."""
        sent.tries += 1
        content: dict[str, Any] = {} if sent.body is None else {"json": sent.body}
        try:
            answer = await client.post(
                self.service.address + sent.path,
                headers=self.service.headers("checkout", sent.key),
                **content,
            )
        except httpx.TransportError:
            self.lost += 1
            return
        sent.answers.append((answer.status_code, answer.json()))
        self.unavailable += answer.status_code == 503

    async def repeat(self, journey: Journey, client: httpx.AsyncClient) -> None:
        """Send an answered first request again, as a proxy with a grudge would."""
        if journey.allocation is not None:
            await self.try_once(journey.sent[0], client)

    async def settle(self) -> None:
        """Finish every journey whose answer was lost, with the keys of then."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client, asyncio.timeout(SETTLE_S):
            for journey in self.journeys:
                await self.go(journey, client, patient=True)


def imagine(order_id: str, chance: random.Random) -> Journey:
    """Return an order of one or two lines and what will become of it."""
    skus = chance.sample(["MUG", "LAMP"], chance.choice((1, 1, 2)))
    lines = [(sku, chance.randint(1, 3)) for sku in skus]
    destination = chance.choice((NEW_YORK, LOS_ANGELES))
    plan = chance.choice(("hold", "confirm", "confirm", "release", "cancel"))
    return Journey(order_id, basket(order_id, *lines, destination=destination), plan)
