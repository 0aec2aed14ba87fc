"""Events of fulfillment orders: one form for all, so that everyone who follows can rely on it."""

from collections.abc import Mapping, Sequence

from services.fulfillment.records import FulfillmentLine, FulfillmentOrder, Work
from services.ids import new_id
from services.records import Event

Units = Mapping[int, int]
"""Units by part of a fulfillment order."""


def event(kind: str, order: FulfillmentOrder, actor: str, **payload: object) -> Event:
    """Return an event `fulfillment_order.<kind>`, or `kind` itself where it has a dot."""
    return Event(
        new_id(),
        kind if "." in kind else f"fulfillment_order.{kind}",
        order.order_id,
        actor,
        {
            "fulfillment_order_id": str(order.fulfillment_order_id),
            "allocation_id": str(order.allocation_id),
            "node_id": order.node_id,
            "state": order.state,
            "request_state": order.request_state,
            "version": order.version,
            **payload,
        },
    )


def units_of(lines: Sequence[FulfillmentLine], units: Units) -> list[dict[str, object]]:
    """Return units by line as events tell them, with what the customer pays where it is known."""
    return [
        {
            "line_id": line.line_id,
            "part": line.part,
            "sku": line.sku,
            "quantity": units[line.part],
            "amount_minor": amount_minor(line, units[line.part]),
        }
        for line in lines
        if units.get(line.part)
    ]


def amount_minor(line: FulfillmentLine, quantity: int) -> int | None:
    """Return what the customer pays for units of a line; none where no price was told."""
    return None if line.unit_price_minor is None else line.unit_price_minor * quantity


def sum_minor(lines: Sequence[FulfillmentLine], units: Units) -> int:
    """Return what the customer pays for these units, as far as prices were told."""
    return sum(amount_minor(line, units.get(line.part, 0)) or 0 for line in lines)


def whole(work: Work) -> Units:
    """Return the units that a fulfillment order was made for."""
    return {line.part: line.quantity for line in work.lines}
