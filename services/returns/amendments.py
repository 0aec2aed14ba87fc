"""What a change of an order would do: asked, quoted, and told before it is made. No writing here."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta

from services.fulfillment.cancel import outcome_of
from services.fulfillment.records import FulfillmentLine, Work
from services.fulfillment.resource import Need, Want
from services.orders.answers import FulfillmentAnswer, Money, ShortfallAnswer, SlotAnswer
from services.orders.request import (
    QUANTITY_MAX,
    Destination,
    Id,
    RequestLine,
    Slots,
)
from services.problems import Refused

LINES_MAX = 200
Key = tuple[str, str]
"""line_id, sku"""


class LineChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many units of a line the customer wants in all; none to cancel it."""

    line_id: Id
    quantity: Annotated[int, Meta(ge=0, le=QUANTITY_MAX)]


class AmendRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change about an order that was confirmed."""

    lines: Annotated[tuple[LineChange, ...], Meta(max_length=LINES_MAX)] = ()
    add: Annotated[tuple[RequestLine, ...], Meta(max_length=LINES_MAX)] = ()
    destination: Annotated[
        Destination | None, Meta(description="Where what has not been picked goes instead.")
    ] = None
    slots: Slots | msgspec.UnsetType = msgspec.UNSET
    """Instead of those the order has; empty for none."""


class ChangeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One change and how much of it is possible."""

    line_id: str
    sku: str
    change: Literal["less", "more", "new", "address"]
    asked: Annotated[int, Meta(description="Units.")]
    possible: int
    reason: Annotated[
        str | None, Meta(description="Why not all of it; none where all is possible.")
    ] = None


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Units that a fulfillment order would give up."""

    fulfillment_order_id: UUID
    node_id: str
    part: int
    line_id: str
    sku: str
    quantity: int


class Buffer(msgspec.Struct, frozen=True):
    """Units to leave at a record when the change is made."""

    sku: str
    node_id: str
    quantity: int


class AmendAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A change of an order: what is possible, what it promises and costs."""

    amendment_id: UUID
    order_id: str
    allocation_id: UUID
    state: Literal["quoted", "applied"]
    valid_until: Annotated[datetime, Meta(description="Until when it may be applied.")]
    complete: Annotated[bool, Meta(description="Whether all that was asked for is possible.")]
    changes: tuple[ChangeAnswer, ...]
    gives_up: Annotated[tuple[Cut, ...], Meta(description="Units nobody gets any more.")]
    moves: Annotated[tuple[Cut, ...], Meta(description="Units that go elsewhere instead.")]
    fulfillments: Annotated[
        tuple[FulfillmentAnswer, ...], Meta(description="New work, with its promise and cost.")
    ]
    shortfalls: tuple[ShortfallAnswer, ...]
    zone_id: Annotated[str | None, Meta(description="The new destination's; none when it stays.")]
    cost: Annotated[Money, Meta(description="Of the new work.")]
    add_minor: Annotated[int, Meta(description="What the customer pays for added units.")]
    void_minor: Annotated[int, Meta(description="What is not to be captured any more.")]
    fulfillment_orders: Annotated[
        tuple[UUID, ...], Meta(description="Made by applying it; none before.")
    ] = ()
    slots: Annotated[
        tuple[SlotAnswer, ...] | msgspec.UnsetType,
        Meta(description="Slots of the whole order, where they were asked to change."),
    ] = msgspec.UNSET


class Kept(AmendAnswer, frozen=True, kw_only=True):
    """A quote as it is kept, with what applying it needs beside."""

    buffers: tuple[Buffer, ...]
    channel: str = ""
    """Whose pools new units may come from."""


class Open(msgspec.Struct, frozen=True):
    """Units of a fulfillment order that nobody has picked and that can be taken from it."""

    work: Work
    line: FulfillmentLine

    @property
    def units(self) -> int:
        """How many."""
        return self.line.to_pick


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request comes to, on an order's work as it stands."""

    changes: list[ChangeAnswer]
    cuts: list[Cut]
    """Given up for good."""
    moved: list[Cut]
    """Given up for another place."""
    extra: list[RequestLine]
    """To be placed beside: more of a line, or a new one."""


def open_units(works: Sequence[Work], kinds: Mapping[str, str]) -> list[Open]:
    """Return the units that can be taken from their nodes at once, the last made first."""
    return [
        Open(work, line)
        for work in reversed(works)
        if outcome_of(work, kinds.get(work.order.node_id)) == "cancelled"
        for line in work.lines
        if line.to_pick
    ]


def asked(
    request: AmendRequest, works: Sequence[Work], kinds: Mapping[str, str], *, readdressed: bool
) -> Asked:
    """Return what a request comes to.

    Raises `duplicate-line` for a line named twice, `unknown-reference` for one the order does not
    have, `invalid-field` where nothing would change or a new line has the name of another.
    """
    verify(request, works)
    free = open_units(works, kinds)
    found = Asked(changes=[], cuts=[], moved=[], extra=[])
    for change in request.lines:
        resize(change, works, free, found)
    for line in request.add:
        found.extra.append(line)
    if readdressed:
        readdress(works, free, found)
    if not (request.lines or request.add or request.destination) and request.slots is UNSET:
        raise Refused("invalid-field", "Nothing would change; name lines, add some, or move it.")
    return found


def verify(request: AmendRequest, works: Sequence[Work]) -> None:
    """Raise unless the lines of a request can be told apart from each other and the order's."""
    known = {line.line_id for work in works for line in work.lines}
    named = Counter(
        [*(line.line_id for line in request.lines), *(line.line_id for line in request.add)]
    )
    for line_id, times in named.items():
        if times > 1:
            raise Refused("duplicate-line", f"Line {line_id} is named {times} times; name it once.")
    for change in request.lines:
        if change.line_id not in known:
            raise Refused(
                "unknown-reference",
                f"The order has no line {change.line_id}; send a new one in `add`.",
            )
    for line in request.add:
        if line.line_id in known:
            raise Refused(
                "invalid-field",
                f"The order has a line {line.line_id} already; name its quantity in `lines`, or "
                "choose another name.",
            )


def resize(change: LineChange, works: Sequence[Work], free: list[Open], found: Asked) -> None:
    """Add a change of a line's quantity to what was asked."""
    lines = [
        (work, line) for work in works for line in work.lines if line.line_id == change.line_id
    ]
    skus = {line.sku for _, line in lines}
    if len(skus) > 1:
        raise Refused(
            "invalid-field",
            f"Line {change.line_id} is of several skus; cancel it and add what is wanted.",
        )
    now = sum(line.quantity - line.rejected - line.cancelled for _, line in lines)
    if change.quantity > now:
        found.extra.append(more_of(*lines[-1], change.quantity - now))
    elif change.quantity < now:
        left = shrink(change.line_id, now - change.quantity, free, found)
        found.changes.append(
            ChangeAnswer(
                line_id=change.line_id,
                sku=skus.pop(),
                change="less",
                asked=now - change.quantity,
                possible=now - change.quantity - left,
                reason=f"{left} are picked, have left, or are another company's work"
                if left
                else None,
            )
        )


def more_of(work: Work, line: FulfillmentLine, units: int) -> RequestLine:
    """Return more units of a line, to reach the customer as it does."""
    order = work.order
    store = order.node_id if order.method == "pickup" else order.pickup_node
    return RequestLine(
        line_id=line.line_id,
        sku=line.sku,
        quantity=units,
        method="ship" if store is None else "pickup",
        pickup_node=store,
        unit_price_minor=line.unit_price_minor,
    )


def shrink(line_id: str, wanted: int, free: list[Open], found: Asked) -> int:
    """Take units of a line from the work that is free; return how many could not be taken."""
    left = wanted
    for each in [one for one in free if one.line.line_id == line_id]:
        units = min(each.units, left)
        if units:
            found.cuts.append(cut(each, units))
            left -= units
            free.remove(each)
            if units < each.units:
                rest = msgspec.structs.replace(each.line, quantity=each.line.quantity - units)
                free.append(Open(each.work, rest))
    return left


def readdress(works: Sequence[Work], free: Iterable[Open], found: Asked) -> None:
    """Add what can go to another address to what was asked: units to be shipped, not picked yet."""
    total: Counter[Key] = Counter()
    can: Counter[Key] = Counter()
    for work in works:
        if work.order.method == "ship":
            for line in work.lines:
                total[line.line_id, line.sku] += line.left
    for each in found.cuts:
        total[each.line_id, each.sku] -= each.quantity
    for one in free:
        if one.work.order.method == "ship":
            found.moved.append(cut(one, one.units))
            can[one.line.line_id, one.line.sku] += one.units
    for key, units in sorted(total.items()):
        if units > 0:
            stay = units - can[key]
            found.changes.append(
                ChangeAnswer(
                    line_id=key[0],
                    sku=key[1],
                    change="address",
                    asked=units,
                    possible=can[key],
                    reason=f"{stay} are picked or another company's work" if stay else None,
                )
            )


def cut(each: Open, units: int) -> Cut:
    """Return units that a fulfillment order gives up."""
    return Cut(
        fulfillment_order_id=each.work.order.fulfillment_order_id,
        node_id=each.work.order.node_id,
        part=each.line.part,
        line_id=each.line.line_id,
        sku=each.line.sku,
        quantity=units,
    )


def needs(
    order: tuple[str, UUID], found: Asked, today: date
) -> list[tuple[Need, Mapping[tuple[str, str], int]]]:
    """Return what has to be placed, one need for each way it reaches the customer.

    With each go the units that the order would give up for it.
    """
    groups: dict[tuple[str, str | None], Counter[Key]] = {}
    for line in found.extra:
        pickup = line.pickup_node if line.method == "pickup" else None
        group = ("pickup" if pickup else "ship", pickup)
        groups.setdefault(group, Counter())[line.line_id, line.sku] += line.quantity
    own: Counter[tuple[str, str]] = Counter()
    for each in found.moved:
        groups.setdefault(("ship", None), Counter())[each.line_id, each.sku] += each.quantity
        own[each.sku, each.node_id] += each.quantity
    return [
        (
            Need(
                order_id=order[0],
                allocation_id=order[1],
                wants=tuple(
                    Want(line_id=line_id, sku=sku, quantity=units)
                    for (line_id, sku), units in sorted(wanted.items())
                ),
                method="pickup" if pickup else "ship",
                pickup_node=pickup,
                promise_latest=today,
            ),
            {} if pickup else own,
        )
        for (_, pickup), wanted in groups.items()
    ]


def extra_changes(
    found: Asked, works: Sequence[Work], placed: Mapping[Key, int]
) -> list[ChangeAnswer]:
    """Return how much of what is to be added there is a place for."""
    known = {line.line_id for work in works for line in work.lines}
    return [
        ChangeAnswer(
            line_id=line.line_id,
            sku=line.sku,
            change="more" if line.line_id in known else "new",
            asked=line.quantity,
            possible=min(placed.get((line.line_id, line.sku), 0), line.quantity),
            reason=None
            if placed.get((line.line_id, line.sku), 0) >= line.quantity
            else "the network has no more that can be promised",
        )
        for line in found.extra
    ]
