"""Goods that come in against what was expected: partly, beyond it, damaged, or never announced."""

from typing import Annotated
from uuid import UUID, uuid5

import asyncpg
import msgspec
from msgspec import Meta

from inventory import ledger
from inventory.ledger import Movement, Shortage
from inventory.supply import (
    Receipt,
    Supply,
    SupplyShortage,
    SupplyState,
    get_supply,
    put_supply,
    receive_supply,
)
from inventory.transfers import PREFIX
from services.ids import new_id, numbered
from services.planning.masterdata import verify_distinct
from services.planning.stock import verify_places
from services.problems import Refused
from services.records import Event, insert_events
from services.shortages import tell_shortages, tell_supply_shortages


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """What came in of one sku."""

    sku: str
    quantity: int
    """Damaged ones included; none where only to say that nothing more comes."""
    damaged: int = 0
    final: bool = False
    """Whether nothing more comes of it."""
    unexpected: bool = False
    """Whether it may come in although nobody announced it."""


class Tolerance(msgspec.Struct, frozen=True):
    """How much more may come in than was expected."""

    percent: int
    accepted: bool
    """Whether somebody has decided to take more."""

    def most(self, expected: int) -> int:
        """Return the units that may come in where `expected` were announced."""
        return expected + expected * self.percent // 100


class ReceivedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One sku of a delivery beside what was expected."""

    sku: str
    received: Annotated[int, Meta(description="By this call, damaged ones included.")]
    damaged: int
    expected: Annotated[int, Meta(description="In all; 0 for what was not announced.")]
    received_in_all: int
    outstanding: Annotated[int, Meta(description="Still to come.")]
    over: Annotated[int, Meta(description="Came in beyond what was expected.")]
    missing: Annotated[int, Meta(description="Will not come, as this call says.")]


class ReceivedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery beside what was expected of it."""

    supply_id: str
    node_id: str
    lines: list[ReceivedLine]
    shortages: list[Shortage]
    supply_shortages: Annotated[
        list[SupplyShortage], Meta(description="Promised, and not coming any more.")
    ]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What arrived at a node under the name of a supply."""

    supply_id: str
    node_id: str
    lines: tuple[Arrived, ...]
    actor: str


async def receive(
    connection: asyncpg.Connection, delivery: Delivery, tolerance: Tolerance
) -> ReceivedAnswer:
    """Take a delivery in: what waits for it is served first, in promise order.

    Raises `duplicate-entry`, `unknown-sku`, `unknown-node`, `unknown-reference` for a sku nobody
    announced there, `over-receipt` beyond the tolerance, `invalid-field` for more damaged than came.
    """
    verify(delivery)
    places = {(each.sku, delivery.node_id) for each in delivery.lines}
    await verify_places(connection, places)
    before = await expected(connection, delivery)
    name = new_id()
    receipts = announced(delivery, before, name)
    shortages = list((await receive_supply(connection, receipts)).shortages)
    after = await expected(connection, delivery)
    verify_tolerance(delivery, after, tolerance)
    cut = [ended(after[each.sku]) for each in delivery.lines if each.final and each.sku in after]
    short = await put_supply(connection, cut)
    moves = [
        move
        for each in delivery.lines
        if each.sku not in before
        for move in unannounced(delivery, each, uuid5(name, each.sku))
    ]
    shortages += (await ledger.record(connection, moves)).shortages
    given = ReceivedAnswer(
        supply_id=delivery.supply_id,
        node_id=delivery.node_id,
        lines=[received_line(each, after.get(each.sku)) for each in delivery.lines],
        shortages=shortages,
        supply_shortages=short,
    )
    await tell(connection, given, delivery.actor)
    return given


def verify(delivery: Delivery) -> None:
    """Raise `duplicate-entry` or `invalid-field` for a delivery that cannot be."""
    verify_distinct("sku", (each.sku for each in delivery.lines))
    if delivery.supply_id.startswith(PREFIX):
        raise Refused(
            "invalid-field",
            f"{delivery.supply_id} is a transfer; receive it as one, at /v1/transfers.",
        )
    for each in delivery.lines:
        if each.damaged > each.quantity or not (each.quantity or each.final):
            raise Refused(
                "invalid-field",
                f"{each.sku}: {each.quantity} came in, {each.damaged} of them damaged; at least "
                "one comes in unless `final` says that nothing more does.",
            )


async def expected(connection: asyncpg.Connection, delivery: Delivery) -> dict[str, SupplyState]:
    """Return what is expected of a delivery's skus under its name at its node.

    Raises `unknown-reference` for a sku that is not, and was not sent as unexpected.
    """
    found = {
        each.sku: each
        for each in await get_supply(connection, sorted(each.sku for each in delivery.lines))
        if (each.supply_id, each.node_id) == (delivery.supply_id, delivery.node_id)
    }
    for each in delivery.lines:
        if each.sku not in found and not each.unexpected:
            raise Refused(
                "unknown-reference",
                f"{delivery.supply_id} brings no {each.sku} to {delivery.node_id}; send it with "
                "`unexpected` to take it in all the same.",
            )
    return found


def verify_tolerance(
    delivery: Delivery, after: dict[str, SupplyState], tolerance: Tolerance
) -> None:
    """Raise `over-receipt` where more has come in than is tolerated; the caller undoes it all."""
    for each in delivery.lines:
        state = after.get(each.sku)
        if state is None or tolerance.accepted or not each.quantity:
            continue
        most = tolerance.most(state.quantity)
        if state.received > most:
            raise Refused(
                "over-receipt",
                f"{state.received} of {each.sku} would have come in of {state.quantity} expected; "
                f"{most} are tolerated ({tolerance.percent} % more). Count again, or send "
                "`accept_over`.",
                sku=each.sku,
                expected=state.quantity,
                tolerated=most,
            )


def announced(delivery: Delivery, before: dict[str, SupplyState], name: UUID) -> list[Receipt]:
    """Return the receipts of what was expected, named after `name`."""
    return [
        Receipt(
            movement_id=numbered(name, number),
            sku=each.sku,
            supply_id=delivery.supply_id,
            quantity=each.quantity,
            damaged=each.damaged,
            happened_at=None,
            actor=delivery.actor,
        )
        for number, each in enumerate(delivery.lines)
        if each.sku in before and each.quantity
    ]


def ended(state: SupplyState) -> Supply:
    """Return a supply of which nothing more comes."""
    return Supply(
        sku=state.sku,
        supply_id=state.supply_id,
        node_id=state.node_id,
        kind=state.kind,
        expected_on=state.expected_on,
        quantity=min(state.received, state.quantity),
        trust_percent=state.trust_percent,
    )


def unannounced(delivery: Delivery, each: Arrived, movement_id: UUID) -> list[Movement]:
    """Return the movements of goods that nobody announced."""
    arrived = Movement(
        movement_id=movement_id,
        sku=each.sku,
        node_id=delivery.node_id,
        kind="receive",
        quantity=each.quantity,
        happened_at=None,
        actor=delivery.actor,
        reference=delivery.supply_id,
        reason="not announced",
    )
    if not each.quantity:
        return []
    if not each.damaged:
        return [arrived]
    damage = msgspec.structs.replace(
        arrived,
        movement_id=uuid5(movement_id, "damaged"),
        kind="damage",
        quantity=each.damaged,
        reason="damaged on arrival",
    )
    return [arrived, damage]


def received_line(each: Arrived, state: SupplyState | None) -> ReceivedLine:
    """Return what came in of one sku beside what was expected."""
    announced = state.quantity if state else 0
    in_all = state.received if state else each.quantity
    rest = max(announced - in_all, 0)
    return ReceivedLine(
        sku=each.sku,
        received=each.quantity,
        damaged=each.damaged,
        expected=announced,
        received_in_all=in_all,
        outstanding=0 if each.final else rest,
        over=max(in_all - announced, 0),
        missing=rest if each.final else 0,
    )


async def tell(connection: asyncpg.Connection, given: ReceivedAnswer, actor: str) -> None:
    """Append the events of a delivery."""
    payload: dict[str, object] = {
        "supply_id": given.supply_id,
        "node_id": given.node_id,
        "lines": [msgspec.structs.asdict(line) for line in given.lines],
    }
    await insert_events(
        connection, [Event(new_id(), "supply.received", given.supply_id, actor, payload)]
    )
    await tell_shortages(connection, given.shortages, actor)
    await tell_supply_shortages(connection, given.supply_shortages, actor)
