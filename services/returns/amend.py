"""Changing an order that was confirmed: first a quote, then all of it in one transaction.

More and new lines are supplements of the same allocation: further reservations of the same holder
and fulfillment orders of their own. So an order keeps its one live allocation, one cancel ends
everything, and what is added is confirmed with the change that the customer has accepted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from inventory.items import missing_items
from services.fulfillment import records as work_records
from services.fulfillment.records import Work
from services.fulfillment.resource import Found
from services.ids import new_id
from services.orders import lifecycle
from services.orders import records as order_records
from services.orders.answers import Money, ShortfallAnswer
from services.orders.records import AllocationRow
from services.orders.request import SlotWish, resolve, verify_pickup
from services.orders.request import prices_of as told_prices
from services.planning.masterdata import verify_known
from services.planning.network import Zone
from services.problems import Refused
from services.records import database_now
from services.returns import amended_slots, amendments, placing, records
from services.returns.amendments import AmendAnswer, AmendRequest, Asked, Buffer, Kept
from services.returns.placing import Means

encode = msgspec.json.Encoder().encode


class Read(msgspec.Struct, frozen=True):
    """An order as it stands."""

    row: AllocationRow
    works: list[Work]
    kinds: Mapping[str, str]
    now: datetime


async def plan(means: Means, order_id: str, request: AmendRequest) -> Kept:
    """Return what a change would do, promise and cost; nothing is held or changed by it.

    Raises `not-found`, `illegal-state`, what `amendments.asked` raises, `unknown-destination`,
    `unknown-node`, `unknown-sku`.
    """
    async with means.database.connect() as connection:
        read = await read_order(connection, order_id)
        missing = await missing_items(connection, {line.sku for line in request.add})
        wishes = await amended_slots.wishes_of(connection, means, read.row, request)
    verify_known("unknown-sku", "item", missing)
    for line in request.add:
        verify_pickup(line, means.network)
    zone, changes_zone = zone_of(means, read.row, request)
    found = amendments.asked(request, read.works, read.kinds, readdressed=changes_zone)
    plans = await place(means, read.row, found, zone, wishes)
    if short_of_moved(found, plans):
        found = staying(found)
        plans = await place(means, read.row, found, zone, wishes)
    kept = kept_quote(means, read, found, plans)
    if wishes:
        stay = remaining(read.works, found)
        amended_slots.verify_kept(means, wishes, stay, kept.fulfillments, zone)
    kept = msgspec.structs.replace(kept, slots=amended_slots.answers_of(means, wishes, request))
    if changes_zone and zone is not None and (found.moved or not stays_behind(read.works)):
        kept = msgspec.structs.replace(kept, zone_id=zone.zone_id)
    return kept


async def keep(
    connection: asyncpg.Connection, kept: Kept, request: AmendRequest, *, actor: str
) -> AmendAnswer:
    """Keep a quote, to be applied, and return it as it is told."""
    asked, given = (encode(each).decode() for each in (request, kept))
    await records.insert_amendment(
        connection, (kept.order_id, kept.amendment_id, asked, given, actor, kept.valid_until)
    )
    return told(kept)


async def read_order(connection: asyncpg.Connection, order_id: str) -> Read:
    """Return an order that is confirmed; raises `not-found`, `illegal-state`."""
    row = (await order_records.find_live(connection, [order_id])).get(order_id)
    if row is None:
        raise Refused("not-found", f"There is no live order {order_id}.")
    if row.state != "confirmed":
        raise held(row)
    works = await work_records.find_of_allocation(connection, row.allocation_id)
    kinds = await work_records.find_node_kinds(connection, [each.order.node_id for each in works])
    return Read(row, works, kinds, await database_now(connection))


def held(row: AllocationRow) -> Refused:
    """Return the refusal to change what is only held."""
    return Refused(
        "illegal-state",
        "The order is only held; release it and allocate the basket anew.",
        state=row.state,
        allowed=lifecycle.LEGAL[row.state],
    )


def zone_of(means: Means, row: AllocationRow, request: AmendRequest) -> tuple[Zone | None, bool]:
    """Return the zone of an order after a change, and whether it is another one.

    Raises `unknown-destination`.
    """
    before = means.network.zones.get(row.zone_id or "")
    if request.destination is None:
        return before, False
    zone = resolve(request.destination, means.network)
    return zone, zone.zone_id != row.zone_id


def remaining(works: Sequence[Work], found: Asked) -> list[Work]:
    """Return the work of which something is left after a change."""
    less: Counter[tuple[UUID, int]] = Counter()
    for cut in (*found.cuts, *found.moved):
        less[cut.fulfillment_order_id, cut.part] += cut.quantity
    return [
        work
        for work in works
        if any(line.left > less[work.order.fulfillment_order_id, line.part] for line in work.lines)
    ]


async def place(
    means: Means,
    row: AllocationRow,
    found: Asked,
    zone: Zone | None,
    wishes: tuple[SlotWish, ...],
) -> list[Found]:
    """Return the plans for all that needs a place; raises `unknown-destination`."""
    plans = []
    wanted = amendments.needs((row.order_id, row.allocation_id), found, row.created_at.date())
    for need, own in wanted:
        if need.method == "ship" and zone is None:
            raise Refused("unknown-destination", "Lines are shipped; send a destination.")
        in_slots = msgspec.structs.replace(need, slots=wishes)
        plans.append(await placing.place(means, in_slots, zone, own))
    return plans


def placed(plans: Sequence[Found]) -> Counter[amendments.Key]:
    """Return the units that plans place, by line and sku."""
    units: Counter[amendments.Key] = Counter()
    for found in plans:
        for each in found.plan.fulfillments:
            for line in each.lines:
                want = found.wants[int(line.line_id)]
                units[want.line_id, want.sku] += line.quantity
    return units


def moved_units(found: Asked) -> Counter[amendments.Key]:
    """Return the units that would go to another address."""
    units: Counter[amendments.Key] = Counter()
    for each in found.moved:
        units[each.line_id, each.sku] += each.quantity
    return units


def short_of_moved(found: Asked, plans: Sequence[Found]) -> bool:
    """Tell whether units that the order has would have no place at the new address."""
    there = placed(plans)
    return any(there[key] < units for key, units in moved_units(found).items())


def staying(found: Asked) -> Asked:
    """Return what was asked with everything staying where it goes now."""
    changes = [
        msgspec.structs.replace(
            each, possible=0, reason="the network cannot bring all of it to the new address"
        )
        if each.change == "address"
        else each
        for each in found.changes
    ]
    return Asked(changes=changes, cuts=found.cuts, moved=[], extra=found.extra)


def stays_behind(works: Sequence[Work]) -> bool:
    """Tell whether anything is still to be shipped to where the order goes now."""
    return any(line.left for work in works if work.order.method == "ship" for line in work.lines)


def kept_quote(means: Means, read: Read, found: Asked, plans: Sequence[Found]) -> Kept:
    """Return the quote of what was asked and planned."""
    currency = means.settings.currency
    prices = prices_of(read.works, found)
    fulfillments = tuple(
        each for plan in plans for each in placing.fulfillments(plan, prices, currency)
    )
    there = placed(plans)
    there.subtract(moved_units(found))
    changes = (*found.changes, *amendments.extra_changes(found, read.works, there))
    return Kept(
        amendment_id=new_id(),
        order_id=read.row.order_id,
        allocation_id=read.row.allocation_id,
        state="quoted",
        valid_until=read.now + timedelta(seconds=means.settings.amend_quote_s),
        complete=all(each.asked == each.possible for each in changes),
        changes=changes,
        gives_up=tuple(found.cuts),
        moves=tuple(found.moved),
        fulfillments=fulfillments,
        shortfalls=tuple(
            ShortfallAnswer(each.line_id, each.asked - each.possible)
            for each in changes
            if each.change in ("more", "new") and each.asked > each.possible
        ),
        zone_id=None,
        cost=Money(sum(each.cost.total.amount_minor for each in fulfillments), currency),
        add_minor=added_minor(changes, prices),
        void_minor=sum(
            each.quantity * prices.get((each.line_id, each.sku), 0) for each in found.cuts
        ),
        channel=read.row.channel,
        buffers=tuple(
            Buffer(sku, node_id, units)
            for plan in plans
            for (sku, node_id), units in plan.buffers.items()
            if units
        ),
    )


def added_minor(
    changes: Sequence[amendments.ChangeAnswer], prices: Mapping[amendments.Key, int]
) -> int:
    """Return what the customer pays for the units that are added, as far as prices were told."""
    return sum(
        each.possible * prices.get((each.line_id, each.sku), 0)
        for each in changes
        if each.change in ("more", "new")
    )


def prices_of(works: Sequence[Work], found: Asked) -> dict[amendments.Key, int]:
    """Return what the customer pays for a unit of each line and sku, where it was told."""
    prices = {
        (line.line_id, line.sku): line.unit_price_minor
        for work in works
        for line in work.lines
        if line.unit_price_minor is not None
    }
    return prices | told_prices(found.extra)


def told(kept: Kept) -> AmendAnswer:
    """Return a quote as it is told."""
    return AmendAnswer(**{name: getattr(kept, name) for name in AmendAnswer.__struct_fields__})
