"""What the tables say, compared with what customers were told; shares no code with the service."""

from collections import Counter
from typing import Any

import asyncpg
import msgspec

from services.database import Database
from tests.simulation.workload import Journey

Units = Counter[tuple[str, str]]
"""Units by sku and node."""
LIVE = {"held", "confirmed"}


class Held(msgspec.Struct):
    """One allocation as the tables have it."""

    order_id: str
    state: str
    promised: Units
    live: Units
    """What its live reservations hold."""
    events: Counter[str]


async def read(database: Database) -> dict[str, Held]:
    """Return every allocation of the database by id, from one snapshot."""
    async with database.transaction(isolation="repeatable_read", readonly=True) as connection:
        rows = await connection.fetch("SELECT order_id, allocation_id, state, body FROM allocation")
        found = {
            str(row["allocation_id"]): Held(
                row["order_id"],
                row["state"],
                promised(msgspec.json.decode(row["body"])),
                Counter(),
                Counter(),
            )
            for row in rows
        }
        for row in await reservations(connection):
            holder = str(row["holder_id"])
            if holder not in found:
                raise AssertionError(f"a reservation without its allocation: {dict(row)}")
            if row["state"] in LIVE:
                found[holder].live[row["sku"], row["node_id"]] += row["quantity"]
        for row in await events(connection):
            found[row["id"]].events[row["kind"]] += 1
    return found


async def reservations(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return the reservations of allocations."""
    return await connection.fetch(
        "SELECT holder_id, sku, node_id, quantity, state FROM reservation"
        " WHERE holder_kind = 'allocation'"
    )


async def events(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Return the events of allocations."""
    return await connection.fetch(
        "SELECT kind, payload ->> 'allocation_id' AS id FROM event WHERE kind LIKE 'allocation.%'"
    )


def promised(answer: dict[str, Any]) -> Units:
    """Return the units an answer says are held."""
    units: Units = Counter()
    for each in answer["fulfillments"]:
        for line in each["lines"]:
            units[line["sku"], each["node"]] += line["quantity"]
    return units


def half_done(found: dict[str, Held]) -> list[str]:
    """Return what is neither wholly there nor wholly gone."""
    complaints = []
    live_orders: Counter[str] = Counter()
    for allocation_id, held in found.items():
        expected = held.promised if held.state in LIVE else Counter()
        if held.live != expected:
            complaints.append(f"{allocation_id} is {held.state}: holds {held.live}, not {expected}")
        if held.events["allocation.held"] != 1:
            complaints.append(f"{allocation_id} was held {held.events['allocation.held']} times")
        live_orders[held.order_id] += held.state in LIVE
    complaints += [f"{order} is live {n} times" for order, n in live_orders.items() if n > 1]
    return complaints


def broken_promises(found: dict[str, Held], journeys: list[Journey]) -> list[str]:
    """Return where the tables differ from what a customer was told."""
    complaints = []
    of_order: dict[str, list[str]] = {}
    for allocation_id, held in found.items():
        of_order.setdefault(held.order_id, []).append(allocation_id)
    for journey in journeys:
        if journey.allocation is None:
            continue
        allocation_id = journey.allocation["allocation_id"]
        if of_order.get(journey.order_id) != [allocation_id]:
            complaints.append(f"{journey.order_id}: told {allocation_id}, there are {of_order}")
            continue
        held = found[allocation_id]
        if held.promised != promised(journey.allocation):
            complaints.append(f"{allocation_id} holds {held.promised}, told {journey.allocation}")
        # The last request may have had its effect although its answer was lost.
        lost = journey.sent[-1].tries and journey.sent[-1].told is None
        if held.state != journey.state and not lost:
            complaints.append(f"{allocation_id} is {held.state}, told {journey.state}")
    return complaints


def contradictions(journeys: list[Journey]) -> list[str]:
    """Return the requests that were told two stories, or one that the API does not have."""
    complaints = []
    for journey in journeys:
        for sent in journey.sent:
            stories = {
                (status, msgspec.json.encode(body, order="sorted"))
                for status, body in sent.answers
                if status != 503
            }
            if len(stories) > 1:
                complaints.append(f"{sent.path} {sent.key}: told {stories}")
            complaints += [
                f"{sent.path} {sent.key}: {status} {body}"
                for status, body in sent.answers
                if status not in {200, 201, 503}
            ]
    return complaints
