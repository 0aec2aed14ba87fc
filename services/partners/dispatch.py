"""What a carrier, 3PL or supplier needs to send goods on their way, complete in one message."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec

from services.fulfillment.records import Work
from services.fulfillment.tables import LIVE_STATES
from services.fulfillment.work_slots import WorkSlotAnswer, slots_of_works
from services.partners import kinds, records
from services.partners.records import Due
from services.people.records import find_contact

NEEDS_ADDRESS = (*LIVE_STATES, "shipped")
"""States of work in which a partner still has a use for whom it is for."""
LABEL = ("name", "address_lines", "city", "region", "postal_code", "country", "phone", "email")
"""What a carrier needs of a person."""


async def details_of(
    connection: asyncpg.Connection, messages: Sequence[Due]
) -> dict[int, dict[str, object]]:
    """Return what messages tell beside their events, by position: the dispatch of submitted work.

    It is read when the message goes out, so an address that was corrected meanwhile is right, and
    personal data are kept in one place alone.
    """
    wanted = {
        message.position: UUID(str(message.payload["fulfillment_order_id"]))
        for message in messages
        if message.kind == kinds.SUBMITTED
        and message.payload is not None
        and "fulfillment_order_id" in message.payload
    }
    if not wanted:
        return {}
    told = await dispatches(connection, sorted(set(wanted.values())))
    return {
        position: {"dispatch": told[order_id]}
        for position, order_id in wanted.items()
        if order_id in told
    }


async def dispatches(
    connection: asyncpg.Connection, order_ids: Sequence[UUID]
) -> dict[UUID, dict[str, object]]:
    """Return the dispatch of each of these fulfillment orders that exists."""
    return await dispatches_of(connection, await records.find_works(connection, order_ids))


async def dispatches_of(
    connection: asyncpg.Connection, works: Sequence[Work]
) -> dict[UUID, dict[str, object]]:
    """Return the dispatch of each of these fulfillment orders, with how far it is."""
    skus = sorted({line.sku for work in works for line in work.lines})
    items = await records.read_items(connection, skus)
    contacts = {
        order_id: await read_contact(connection, order_id)
        for order_id in sorted({work.order.order_id for work in works})
    }
    slots = await slots_of_works(connection, works)
    return {
        work.order.fulfillment_order_id: dispatch_of(
            work,
            contacts[work.order.order_id],
            slots.get(work.order.fulfillment_order_id),
            items,
        )
        for work in works
    }


async def read_contact(
    connection: asyncpg.Connection, order_id: str
) -> Mapping[str, object] | None:
    """Return whom an order is for; None where nobody has said so, or it was purged."""
    row = await find_contact(connection, order_id)
    return None if row is None or row.body is None else msgspec.json.decode(row.body, type=dict)


def dispatch_of(
    work: Work,
    contact: Mapping[str, object] | None,
    slot: WorkSlotAnswer | None,
    items: Mapping[str, asyncpg.Record],
) -> dict[str, object]:
    """Return the dispatch of one fulfillment order; of work that has ended it names nobody.

    Messages can be sent again at any time, also to another partner that has the node by then.
    """
    order = work.order
    if order.state not in NEEDS_ADDRESS:
        contact = None
    return {
        "ship_to": addressed(contact, order.method),
        "fulfillment_order_id": str(order.fulfillment_order_id),
        "order_id": order.order_id,
        "packing_slip": {
            "reference": packing_slip(order.fulfillment_order_id),
            "text": "" if contact is None else contact["packing_slip"],
        },
        "node_id": order.node_id,
        "state": order.state,
        "request_state": order.request_state,
        "method": order.method,
        "service": order.service,
        "pickup_node": order.pickup_node,
        "ship_by": order.ship_by,
        "answer_by": order.answer_by,
        "promise": {"earliest": order.promise_earliest, "latest": order.promise_latest},
        "slot": slot,
        "weight_grams": order.weight_grams,
        "lines": [
            {
                "line_id": line.line_id,
                "part": line.part,
                "sku": line.sku,
                "quantity": line.quantity - line.rejected - line.cancelled,
                **described(items.get(line.sku)),
            }
            for line in work.lines
        ],
    }


def addressed(contact: Mapping[str, object] | None, method: str) -> dict[str, object] | None:
    """Return what goes onto a label, and no more; for what is collected the name alone.

    None where nobody has said yet whom the order is for: ask again before the parcel is packed.
    """
    if contact is None:
        return None
    names = LABEL if method == "ship" else ("name",)
    return {name: contact[name] for name in names}


def described(item: asyncpg.Record | None) -> dict[str, object]:
    """Return what is known of an item that is to be packed."""
    names = ("name", "weight_grams", "length_mm", "width_mm", "height_mm", "requires")
    return {} if item is None else {name: item[name] for name in names}


def packing_slip(fulfillment_order_id: UUID) -> str:
    """Return the reference printed on a packing slip: short enough to be typed."""
    digits = fulfillment_order_id.hex.upper()
    return f"{digits[-12:-8]}-{digits[-8:-4]}-{digits[-4:]}"
