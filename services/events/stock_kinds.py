"""Kinds of events about stock, people, partners and how the network is run."""

from typing import Literal

import msgspec

from services.events.telling import Payloads, tells

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
)
class OfReservation(Payloads, frozen=True, kw_only=True):
    """Store staff holds units."""

    sku: str
    node_id: str
    quantity: int
    for_node_id: str | msgspec.UnsetType = msgspec.UNSET
    """Where the customer is, when that is elsewhere."""
    delivery: str | msgspec.UnsetType = msgspec.UNSET


@tells(reservation__expired="{sku} is held at {node_id} no more: {reason}.")
class ReservationExpired(OfReservation, frozen=True, kw_only=True):
    """Nobody came for the units in time, or they are not there."""

    reason: Literal["time", "shortage"]


@tells(staff__signed_in="Signed in until {expires_at}.")
class SignedIn(Payloads, frozen=True, kw_only=True):
    """Somebody who works here signed in."""

    expires_at: str


@tells(reservation__ordered="The units at the counter became order {order_id}.")
class ReservationOrdered(Payloads, frozen=True, kw_only=True):
    """Units held at a counter became an order."""

    reservation_id: str
    node_id: str
    order_id: str
    allocation_id: str


@tells(count__begun="A count began at {node_id}.", count__cancelled="A count ended at {node_id}.")
class OfCount(Payloads, frozen=True, kw_only=True):
    """A count of what lies at a node."""

    count_id: str
    node_id: str


@tells(count__closed="{skus} skus were counted at {node_id}: {gained} found, {lost} missing.")
class CountClosed(OfCount, frozen=True, kw_only=True):
    """A count is over, and stock corrected by it."""

    skus: int
    gained: int
    lost: int


class ReceivedLine(Payloads, frozen=True, kw_only=True):
    """One sku of a delivery beside what was expected."""

    sku: str
    received: int
    damaged: int
    expected: int
    received_in_all: int
    outstanding: int
    over: int
    missing: int


@tells(supply__received="A delivery came to {node_id}: {supply_id}.")
class SupplyReceived(Payloads, frozen=True, kw_only=True):
    """Goods came in that were expected, or not."""

    supply_id: str
    node_id: str
    lines: list[ReceivedLine]


class MovedLine(Payloads, frozen=True, kw_only=True):
    """One sku of a transfer, and how far it has come."""

    sku: str
    quantity: int
    shipped: int
    in_transit: int
    received: int
    damaged: int
    lost: int


@tells(
    transfer__opened="{from_node_id} is to send {lines} to {to_node_id}.",
    transfer__shipped="{from_node_id} sent goods to {to_node_id}.",
    transfer__received="Goods from {from_node_id} came to {to_node_id}.",
    transfer__cancelled="{from_node_id} sends nothing to {to_node_id} after all.",
)
class OfTransfer(Payloads, frozen=True, kw_only=True):
    """Goods on their way from one node to another."""

    transfer_id: str
    node_id: str
    """The node that has to know."""
    from_node_id: str
    to_node_id: str
    state: str
    expected_on: str
    lines: list[MovedLine]
    reservation_id: str | msgspec.UnsetType = msgspec.UNSET


# --- pools


class PoolLine(Payloads, frozen=True, kw_only=True):
    """What a pool has of one sku at one node."""

    pool_id: str
    sku: str
    node_id: str
    quantity: int
    left: int


@tells(pool__changed="Pool {pool_id} is kept for {channels}.")
class PoolChanged(Payloads, frozen=True, kw_only=True):
    """Other channels take from a pool, or it is new."""

    pool_id: str
    channels: list[str]


@tells(pool__allocated="Pool {pool_id} was given other shares of stock.")
class PoolAllocated(Payloads, frozen=True, kw_only=True):
    """A pool has other quotas."""

    pool_id: str
    lines: list[PoolLine]


@tells(pool__reallocated="Pool {pool_id} gave shares of stock up.")
class PoolReallocated(Payloads, frozen=True, kw_only=True):
    """Units were moved from a pool to another, or to the common stock."""

    pool_id: str
    to_pool_id: str | None
    lines: list[PoolLine]


# --- partners


class OfEndpoint(Payloads, frozen=True, kw_only=True):
    """Where somebody is told of what happens."""

    endpoint_id: str
    partner_id: str | None
    url: str


@tells(
    webhook_endpoint__disabled="{url} is told nothing any more: {reason}.",
)
class EndpointDisabled(OfEndpoint, frozen=True, kw_only=True):
    """An endpoint is told nothing until somebody enables it."""

    reason: str


@tells(
    webhook_endpoint__created="{url} is told of what happens from now on.",
    webhook_endpoint__changed="{url} is told otherwise now.",
    webhook_endpoint__deleted="{url} is told nothing any more, for good.",
    webhook_endpoint__rotated="{url} has a new secret.",
    webhook_endpoint__enabled="{url} is told again.",
    webhook_endpoint__test="{url} was sent a test.",
)
class OfEndpointAlone(OfEndpoint, frozen=True, kw_only=True):
    """An endpoint was made, changed, enabled or tried."""


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
