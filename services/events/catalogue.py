"""Every kind of event there is: what it says in words, and exactly which fields its payload has.

A kind that is missing here, or whose payload has other fields, fails the tests that write it. Who
follows events may rely on a field for as long as it stands here; new fields may come at any time.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

KINDS: dict[str, "Kind"] = {}
"""Filled by `tells` below."""

Payload = TypeVar("Payload", bound=type[msgspec.Struct])


class Kind(msgspec.Struct, frozen=True):
    """One kind of event."""

    payload: type[msgspec.Struct]
    says: str
    """What happened, in a sentence with fields of the payload in braces."""


def tells(**kinds: str) -> Any:
    """Make a struct the payload of kinds, `family__change` each, with what they say in words."""

    def register(payload: Payload) -> Payload:
        for name, says in kinds.items():
            KINDS[name.replace("__", ".", 1)] = Kind(payload, says)
        return payload

    return register


def verify(kind: str, payload: Mapping[str, object]) -> None:
    """Raise `ValueError` unless an event of this kind may have this payload."""
    if kind not in KINDS:
        raise ValueError(f"{kind} is not in the catalogue of events")
    try:
        msgspec.convert(payload, KINDS[kind].payload)
    except msgspec.ValidationError as error:
        raise ValueError(f"{kind}: {error}") from error


class Spoken(dict[str, object]):
    """The fields of a payload as a sentence takes them; one that is missing is left out."""

    def __missing__(self, name: str) -> str:
        """Return what stands for a field that a payload does not have."""
        return "…"


def in_words(kind: str, payload: Mapping[str, object]) -> str:
    """Return what happened in a sentence; of a kind that is not known any more, its name."""
    if kind not in KINDS:
        return kind
    said = {name: spoken(value) for name, value in payload.items()}
    return KINDS[kind].says.format_map(Spoken(said))


def spoken(value: object) -> object:
    """Return a value of a payload as it stands in a sentence."""
    if isinstance(value, list):
        if value and all(isinstance(each, dict) and "sku" in each for each in value):
            return ", ".join(f"{each.get('quantity', 'some')} of {each['sku']}" for each in value)
        return ", ".join(str(each) for each in value)
    return "nowhere" if value is None else value


class Payloads(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all payloads have in common: nothing but that they have no other fields."""


# --- allocations


@tells(allocation__held="Stock was held for the order.")
class Held(Payloads, frozen=True, kw_only=True):
    """A plan was made and its stock held."""

    allocation_id: str
    complete: bool


@tells(
    allocation__extended="The hold was made longer.",
    allocation__confirmed="The order was confirmed.",
    allocation__released="The hold was given back.",
    allocation__cancelled="The order was cancelled.",
    allocation__expired="The hold was not confirmed in time, and ended.",
)
class OfAllocation(Payloads, frozen=True, kw_only=True):
    """Something happened to an allocation."""

    allocation_id: str


@tells(allocation__exchanged="The order replaces what return {return_id} brings back.")
class Exchanged(Payloads, frozen=True, kw_only=True):
    """An allocation was made in exchange for a return."""

    allocation_id: str
    return_id: str
    order_id: str
    """The order that the goods come back from."""


# --- orders


@tells(order__contact_changed="Of whom the order is for, this changed: {changed}.")
class ContactChanged(Payloads, frozen=True, kw_only=True):
    """Whom an order is for was said or changed; what it says is told to nobody."""

    changed: list[str]


@tells(order__contact_purged="Whom the order was for has been forgotten.")
class ContactPurged(Payloads, frozen=True, kw_only=True):
    """Personal data of an order were deleted."""

    reason: str
    """`asked` or `time`."""


@tells(
    order__hold_placed="The order is kept back: {reason}.",
    order__hold_lifted="The order is no longer kept back for {reason}.",
)
class OfHold(Payloads, frozen=True, kw_only=True):
    """What keeps an order's work from being submitted."""

    hold_id: str
    reason: str
    note: str


# --- work


class Units(Payloads, frozen=True, kw_only=True):
    """Units of one line of a fulfillment order."""

    line_id: str
    part: int
    sku: str
    quantity: int
    amount_minor: int | None


class OfWork(Payloads, frozen=True, kw_only=True):
    """What every event of a fulfillment order has."""

    fulfillment_order_id: str
    allocation_id: str
    node_id: str
    state: str
    request_state: str
    version: int


@tells(fulfillment_order__created="{node_id} is to {method} {lines}.")
class WorkCreated(OfWork, frozen=True, kw_only=True):
    """A node is to do something for an order."""

    method: str
    ship_by: str
    release_at: str
    replaces: str | None
    lines: list[Units]


@tells(
    fulfillment_order__submitted="{node_id} was asked to begin.",
    fulfillment_order__accepted="{node_id} accepted the work.",
    fulfillment_order__packed="{node_id} has packed what it picked.",
    fulfillment_order__cancellation_requested="{node_id} was asked to stop.",
)
class OfRequest(OfWork, frozen=True, kw_only=True):
    """The conversation with a node, or its work, went on."""


@tells(fulfillment_order__cancellation_rejected="{node_id} could not stop any more.")
class CancellationRejected(OfWork, frozen=True, kw_only=True):
    """A node goes on with work that was to be cancelled."""

    reason: str | msgspec.UnsetType = msgspec.UNSET


@tells(fulfillment_order__picked="{node_id} picked {lines}.")
class WorkPicked(OfWork, frozen=True, kw_only=True):
    """Units were picked."""

    lines: list[Units]


@tells(fulfillment_order__ready="{node_id} has it ready for collection.")
class WorkReady(OfWork, frozen=True, kw_only=True):
    """A customer can collect."""

    collect_by: str
    again: bool


class Amounts(Payloads, frozen=True, kw_only=True):
    """Money that follows from what happened to units, as far as prices were told."""

    capture: int | msgspec.UnsetType = msgspec.UNSET
    void: int | msgspec.UnsetType = msgspec.UNSET


@tells(fulfillment_order__handed_over="{node_id} handed over {lines}.")
class HandedOver(OfWork, frozen=True, kw_only=True):
    """A customer has collected units."""

    hand_over_id: str
    happened_at: str
    lines: list[Units]
    amounts_minor: Amounts


@tells(fulfillment_order__delivered="The parcels from {node_id} have arrived.")
class WorkDelivered(OfWork, frozen=True, kw_only=True):
    """Everything a node sent has arrived."""

    delivered_at: str


@tells(
    fulfillment_order__cancelled="{node_id} no longer works on {lines}.",
    fulfillment_order__cancellation_accepted="{node_id} stopped working on {lines}.",
    fulfillment_order__no_show="Nobody collected {lines} at {node_id}; it is back on the shelf.",
)
class WorkEnded(OfWork, frozen=True, kw_only=True):
    """Work ended without its units leaving."""

    lines: list[Units]
    amounts_minor: Amounts


@tells(fulfillment_order__moved="{lines} moved from {from_node_id} to {node_id}.")
class WorkMoved(OfWork, frozen=True, kw_only=True):
    """Another node took over units."""

    replaces: str
    from_node_id: str
    lines: list[Units]
    promise_latest: str
    worse: list[str]


@tells(shipment__created="{node_id} shipped {lines} with {carrier}, tracking {tracking}.")
class ShipmentCreated(OfWork, frozen=True, kw_only=True):
    """A parcel has left."""

    shipment_id: str
    carrier: str
    tracking: str
    shipped_at: str
    lines: list[Units]
    amounts_minor: Amounts


@tells(shipment__delivered="A parcel from {node_id} has arrived.")
class ShipmentDelivered(OfWork, frozen=True, kw_only=True):
    """A parcel has arrived."""

    shipment_id: str
    delivered_at: str


# --- stock


@tells(stock__shortage="{node_id} lacks {shortage} of {sku} for what it has promised.")
class StockShortage(Payloads, frozen=True, kw_only=True):
    """More is promised than is there."""

    sku: str
    node_id: str
    shortage: int


@tells(supply__shortage="{supply_id} brings {shortage} of {sku} less than is promised from it.")
class SupplyShortage(Payloads, frozen=True, kw_only=True):
    """More is promised than will come."""

    sku: str
    supply_id: str
    shortage: int


@tells(
    reservation__held="{quantity} of {sku} are held at {node_id}.",
    reservation__extended="{sku} is held at {node_id} for longer.",
    reservation__released="{sku} is no longer held at {node_id}.",
    reservation__expired="{sku} was not fetched in time at {node_id}.",
)
class OfReservation(Payloads, frozen=True, kw_only=True):
    """Store staff holds units."""

    sku: str
    node_id: str
    quantity: int


@tells(staff__signed_in="Signed in until {expires_at}.")
class SignedIn(Payloads, frozen=True, kw_only=True):
    """Somebody who works here signed in."""

    expires_at: str


# --- what is followed by those who run the network


@tells(node__excluded="{node_id} is not asked for {sku} until {until}: {reason}.")
class Excluded(Payloads, frozen=True, kw_only=True):
    """A node is not planned with for a while."""

    node_id: str
    sku: str | None
    until: str
    reason: str


@tells(rejection_reasons__changed="Version {version} of the rejection reasons is in force.")
class ReasonsChanged(Payloads, frozen=True, kw_only=True):
    """What follows from a node's no was changed."""

    version: int


@tells(
    strategy__activated="Version {version} of strategy {name} is in force.",
    rules__activated="Version {version} of the rules that choose strategies is in force.",
)
class Activated(Payloads, frozen=True, kw_only=True):
    """How orders are routed was changed."""

    name: str
    version: int
