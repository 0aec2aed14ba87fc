"""Whom an order is for and where it goes: the only place where personal data is kept.

Everything else, events and logs among it, knows an order by its id. A contact may come before the
order is allocated or after; from then on an address can only change while the plan still fits it.
"""

from typing import Annotated

import asyncpg
import msgspec
from msgspec import Meta

from services.fulfillment import records as works
from services.fulfillment.records import Work
from services.ids import new_id
from services.keys import Principal
from services.orders.records import AllocationRow, find_live
from services.people import records
from services.people.records import ContactRow
from services.people.sight import read_own_order
from services.planning.network import Network
from services.problems import Refused
from services.records import Event, insert_events

Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Short = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
ADDRESS = (
    "name",
    "address_lines",
    "city",
    "region",
    "postal_code",
    "country",
    "latitude",
    "longitude",
)
"""Fields on the label of a parcel; the others may change at any time."""
LEFT_STATES = frozenset({"packed", "shipped", "closed"})


class Contact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom an order is for and where it goes."""

    customer_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")] | None,
        Meta(description="The shop's own id; what is kept of a customer is found by it."),
    ] = None
    name: Line
    address_lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=5)]
    city: Line
    region: Short = ""
    postal_code: Annotated[str, Meta(max_length=20, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2.")]
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    phone: Annotated[str, Meta(max_length=50, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    email: Annotated[str, Meta(max_length=254, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    packing_slip: Annotated[
        str,
        Meta(
            max_length=500,
            pattern=r"^[^\x00-\x1f\x7f]*$",
            description="What to print or enclose: a reference, an address of it, or a greeting.",
        ),
    ] = ""


class ContactAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """That a contact is kept; what it says is not repeated."""

    order_id: str
    version: Annotated[int, Meta(description="Counts the changes, from 0.")]
    changed: Annotated[
        list[str], Meta(description="Fields that are not what they were; empty when nothing is.")
    ]


async def read_contact(connection: asyncpg.Connection, order_id: str) -> Contact | None:
    """Return whom an order is for; None where nobody has said so, or it was purged."""
    row = await records.find_contact(connection, order_id)
    return None if row is None else contact_of(row)


def contact_of(row: ContactRow) -> Contact | None:
    """Return what a row says."""
    if row.body is None:
        return None
    said = msgspec.json.decode(row.body)
    return msgspec.convert({**said, "customer_id": row.customer_id}, Contact)


async def put_contact(
    connection: asyncpg.Connection,
    order_id: str,
    contact: Contact,
    *,
    principal: Principal,
    network: Network,
) -> ContactAnswer:
    """Say whom an order is for; said again it changes nothing.

    Raises `not-found` for a store and an order that is not its own; `unknown-destination` for an
    address in no zone; `address-elsewhere` for one in another zone than was planned for;
    `address-fixed` when a parcel with the old one has been packed.
    """
    if principal.is_bound:
        await read_own_order(connection, order_id, principal)
    await records.lock_allocations(connection, order_id)
    before = await records.lock_contact(connection, order_id)
    known = None if before is None else contact_of(before)
    changed = changed_fields(known, contact)
    if before is not None and not changed:
        return ContactAnswer(order_id=order_id, version=before.version, changed=[])
    if not changed.isdisjoint(ADDRESS):
        live = (await find_live(connection, [order_id])).get(order_id)
        verify_zone(live, contact, network)
        if known is not None:
            verify_unpacked(await works.find_of_order(connection, order_id))
    body = msgspec.json.encode(said_of(contact)).decode()
    kept = await records.put_contact(
        connection, order_id, contact.customer_id, body, principal.actor
    )
    fields = [name for name in Contact.__struct_fields__ if name in changed]
    event = Event(new_id(), "order.contact_changed", order_id, principal.actor, {"changed": fields})
    await insert_events(connection, [event])
    return ContactAnswer(order_id=order_id, version=kept.version, changed=fields)


def said_of(contact: Contact) -> dict[str, object]:
    """Return a contact as its row keeps it: the customer's id stands beside."""
    said = msgspec.structs.asdict(contact)
    return {name: value for name, value in said.items() if name != "customer_id"}


def changed_fields(known: Contact | None, contact: Contact) -> set[str]:
    """Return the fields that differ from what is known, or that say anything at all."""
    names = Contact.__struct_fields__
    if known is None:
        return {name for name in names if getattr(contact, name)}
    return {name for name in names if getattr(known, name) != getattr(contact, name)}


def verify_zone(live: AllocationRow | None, contact: Contact, network: Network) -> None:
    """Raise unless an address lies where an order's plan ships to; without a plan any will do."""
    if live is None or live.zone_id is None:
        return
    zone = network.resolve(
        contact.country, contact.postal_code, contact.latitude, contact.longitude
    )
    if zone is None:
        raise Refused(
            "unknown-destination",
            "No zone covers this country and postal code; correct them, or send latitude and "
            "longitude.",
        )
    if zone.zone_id != live.zone_id:
        raise Refused(
            "address-elsewhere",
            f"The order is planned for zone {live.zone_id}, and the address lies in zone "
            f"{zone.zone_id}. Change the order's destination, which plans it anew, or cancel it "
            "and allocate it to the new address.",
            planned_zone_id=live.zone_id,
            zone_id=zone.zone_id,
            possible=["change the destination", "cancel"],
        )


def verify_unpacked(found: list[Work]) -> None:
    """Raise `address-fixed` when a parcel of an order has its address already."""
    for work in found:
        shipped = any(line.shipped for line in work.lines)
        if work.order.method == "ship" and (work.order.state in LEFT_STATES or shipped):
            raise Refused(
                "address-fixed",
                f"Fulfillment order {work.order.fulfillment_order_id} at {work.order.node_id} is "
                f"{work.order.state}, so its parcel has the old name and address. Customer, phone, "
                "email and packing slip can still change; what arrives can be returned.",
                state=work.order.state,
                possible=["change phone, email or packing_slip", "return"],
            )
