"""From a request to the basket routing is asked, and from a plan to what it takes of the stock."""

from datetime import date, datetime

import msgspec

from inventory.view import StockView
from routing.basket import Basket, Held
from routing.problem import Line, Method, Policy, Supply
from services.orders.request import AllocationRequest, QuoteRequest, RequestLine
from services.problems import Refused

DAY_SLOT = "day"


def basket(
    request: AllocationRequest | QuoteRequest,
    stock: StockView,
    strategy: Policy,
    now: datetime,
) -> Basket:
    """Return the order as routing is asked it; raises `unknown-sku` naming the first unknown one."""
    lines = tuple([routing_line(line, stock) for line in request.lines])
    skus = tuple(sorted({line.sku for line in lines}))
    return Basket(
        now=now,
        lines=lines,
        policy=routing_policy(request, strategy),
        held=Held(skus, *stock.held_of(skus, request.channel)),
        supply=supply_of(stock, skus, now.date()) if request.policy.backorder else {},
    )


def supply_of(
    stock: StockView, skus: tuple[str, ...], today: date
) -> dict[tuple[str, str], tuple[Supply, ...]]:
    """Return what is expected of the skus and may be promised, by node and sku."""
    return {
        (node_id, sku): tuple(
            Supply(
                supply_id=each.supply_id,
                available_on=each.expected_on,
                quantity=each.quantity_promisable,
            )
            for each in cells
            if each.quantity_promisable > 0
        )
        for sku in skus
        for node_id, cells in stock.supply(sku, today).items()
    }


def routing_line(line: RequestLine, stock: StockView) -> Line:
    """Return a line of the basket as routing knows it; raises `unknown-sku`."""
    facts = stock.item(line.sku)
    if facts is None:
        raise Refused("unknown-sku", f"Line {line.line_id}: there is no item {line.sku}.")
    return Line(
        line_id=line.line_id,
        sku=line.sku,
        quantity=line.quantity,
        weight_grams=facts.weight_grams,
        methods=methods_of(line),
        pickup_node=line.pickup_node,
        requested_by=line.requested_by,
        requires=facts.requires,
    )


def methods_of(line: RequestLine) -> tuple[Method, ...]:
    """Return how a line may reach the customer."""
    if line.method == "pickup":
        return ("pickup",)
    if line.method == "any" and line.pickup_node is not None:
        return ("ship", "pickup")
    return ("ship",)


def routing_policy(request: AllocationRequest | QuoteRequest, strategy: Policy) -> Policy:
    """Return the strategy's prices with the order's wishes."""
    wished = request.policy
    if not wished.ship_complete and not wished.backorder and wished.shipments_max is None:
        return strategy
    return msgspec.structs.replace(
        strategy,
        ship_complete=wished.ship_complete,
        shipments_max=strategy.shipments_max
        if wished.shipments_max is None
        else wished.shipments_max,
        backorder=wished.backorder,
    )
