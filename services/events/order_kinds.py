"""Kinds of events about orders: allocations, work, parcels and exceptions."""

from typing import Any, Literal

import msgspec

from services.events.telling import Payloads, tells

# --- allocations


@tells(allocation__held="Stock was held for the order.")
class Held(Payloads, frozen=True, kw_only=True):
    """A plan was made and its stock held."""

    allocation_id: str
    complete: bool
    reservation_id: str | msgspec.UnsetType = msgspec.UNSET
    """Of the units held at a counter that it began with."""


@tells(
    allocation__extended="The hold was made longer.",
    allocation__confirmed="The order was confirmed.",
    allocation__released="The hold was given back.",
    allocation__cancelled="The order was cancelled.",
)
class OfAllocation(Payloads, frozen=True, kw_only=True):
    """Something happened to an allocation."""

    allocation_id: str


@tells(allocation__expired="The hold ended unconfirmed: {reason}.")
class AllocationExpired(Payloads, frozen=True, kw_only=True):
    """Nobody confirmed a hold in time, or its goods are not there; what else it held is free again."""

    allocation_id: str
    reason: Literal["time", "shortage"]
    sku: str | msgspec.UnsetType = msgspec.UNSET
    """What is not there, and where."""
    node_id: str | msgspec.UnsetType = msgspec.UNSET


@tells(
    allocation__slot_missed="It cannot be there in slot {slot_id} on {on} any more; its place was "
    "given back."
)
class SlotMissed(Payloads, frozen=True, kw_only=True):
    """The order's dates have changed, and the slot that was chosen cannot be kept."""

    allocation_id: str
    slot_id: str
    on: str


@tells(allocation__exchanged="The order replaces what return {return_id} brings back.")
class Exchanged(Payloads, frozen=True, kw_only=True):
    """An allocation was made in exchange for a return."""

    allocation_id: str
    return_id: str
    order_id: str
    """The order that the goods come back from."""


@tells(allocation__transferred="What was held went from {from_channel} to {channel}.")
class Transferred(Payloads, frozen=True, kw_only=True):
    """A purchase begun in one channel goes on in another; told of both orders."""

    allocation_id: str
    from_order_id: str
    order_id: str
    from_channel: str
    channel: str
    from_actor: str


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


class AmendedAmounts(Payloads, frozen=True, kw_only=True):
    """What is to be paid beside, and what is not to be captured."""

    add: int
    void: int


@tells(order__amended="The order was changed.")
class OrderAmended(Payloads, frozen=True, kw_only=True):
    """What is ordered, or where it goes, was changed after the confirm."""

    amendment_id: str
    allocation_id: str
    changes: list[dict[str, Any]]
    zone_id: str | None
    fulfillment_order_ids: list[str]
    given_up_by: list[str]
    amounts_minor: AmendedAmounts


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


@tells(fulfillment_order__created="{node_id} got work ({method}): {lines}.")
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


class Reasoned(Units, frozen=True, kw_only=True):
    """Units that a node gives up, and why."""

    reason: str


@tells(fulfillment_order__rejected="{node_id} cannot give {lines}.")
class WorkRejected(OfWork, frozen=True, kw_only=True):
    """A node gave up units."""

    lines: list[Reasoned]
    whole: bool
    moved_to: list[str]
    exception_id: str | None
    note: str


@tells(
    fulfillment_order__delayed="{node_id} will be later: {expected_on} instead of {promised_on}."
)
class WorkDelayed(OfWork, frozen=True, kw_only=True):
    """Goods come later than was promised."""

    work_on: str
    promised_on: str
    expected_on: str


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
    amendment_id: str | msgspec.UnsetType = msgspec.UNSET
    """Of the change of the order that ended it."""


@tells(fulfillment_order__amended="{node_id} no longer has to send {lines}.")
class WorkAmended(OfWork, frozen=True, kw_only=True):
    """A node gives up units because the order was changed; the rest of its work goes on."""

    amendment_id: str
    lines: list[Units]
    amounts_minor: Amounts


@tells(fulfillment_order__answer_ignored="{node_id} told of a {answer} that came to nothing: {why}")
class AnswerIgnored(OfWork, frozen=True, kw_only=True):
    """A partner told of something that was too late, or that nobody had asked for."""

    answer: str
    partner_event_id: str
    why: str
    tracking: str


class Given(Payloads, frozen=True, kw_only=True):
    """Units of one line of an order."""

    line_id: str
    sku: str
    quantity: int


class Priced(Given, frozen=True, kw_only=True):
    """Units of one line of an order, with what the customer would have paid."""

    amount_minor: int | None


@tells(order__units_cancelled="The customer does not get {lines}.")
class UnitsCancelled(OfWork, frozen=True, kw_only=True):
    """Nobody can give these units any more."""

    exception_id: str
    lines: list[Priced]
    amounts_minor: Amounts


class Undecided(Given, frozen=True, kw_only=True):
    """Units of which somebody has to decide what becomes."""

    supply_id: str | msgspec.UnsetType | None = msgspec.UNSET
    unit_price_minor: int | msgspec.UnsetType | None = msgspec.UNSET


class OfException(Payloads, frozen=True, kw_only=True):
    """Something that people have to decide."""

    exception_id: str
    kind: str
    fulfillment_order_id: str | None
    node_id: str | None
    lines: list[Undecided]


@tells(exception__opened="Somebody has to decide about {lines}: {kind}.")
class ExceptionOpened(OfException, frozen=True, kw_only=True):
    """What could not go on by itself waits for somebody."""


@tells(exception__resolved="It was decided about {lines}: {resolution}.")
class ExceptionResolved(OfException, frozen=True, kw_only=True):
    """It was decided, or went on by itself after all."""

    resolution: str | None


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
