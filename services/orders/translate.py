"""From a request to the basket routing is asked, and from a plan to what it takes of the stock."""

from collections.abc import Iterable
from datetime import date, datetime

import msgspec
import numpy as np

from inventory.view import StockView
from routing.basket import Basket, Held
from routing.bundles import needs_of
from routing.problem import Component, Line, Method, Policy, Supply
from routing.validate import size_faults
from services.orders.request import AllocationRequest, QuoteRequest, RequestLine
from services.planning.feed_ages import FeedRule, Stale
from services.problems import Refused

DAY_SLOT = "day"
STORES_MAX = 4
"""Stores of one order that goods are sent to; at further ones there is what they have."""


def basket(
    request: AllocationRequest | QuoteRequest,
    stock: StockView,
    strategy: Policy,
    now: datetime,
    *,
    sends: bool = False,
    divisor: int = 0,
) -> Basket:
    """Return the order as routing is asked it.

    Raises `unknown-sku` naming the first unknown one, `invalid-field` for prices of components that
    are not those of a kit, and `quantity-too-large` for an order of more units or weight than can
    be planned at once. `sends` says whether any node sends goods to stores, `divisor` how many
    cubic centimeters count as a kilogram, if carriers price volume.
    """
    stores = stores_of(request) if sends else ()
    lines = tuple([routing_line(line, stock, stores, divisor) for line in request.lines])
    needs = needs_of(lines)
    for fault in size_faults(lines, sum(needs.values())):
        raise Refused("quantity-too-large", f"{fault[0].upper()}{fault[1:]}.")
    skus = tuple(needs)
    return Basket(
        now=now,
        lines=lines,
        policy=routing_policy(request, strategy),
        held=Held(skus, *stock.held_of(skus, request.channel)),
        supply=supply_of(stock, skus, now.date()) if request.policy.backorder else {},
    )


def without_stale(asked: Basket, rule: FeedRule, stale: Stale) -> Basket:
    """Return a basket without the nodes whose feed is too old, or with their price."""
    held = asked.held
    there = np.isin(stale.numbers, held.numbers[held.units > 0])
    expecting = {node_id for node_id, _ in asked.supply}
    ages_s = {
        node_id: age_s
        for (node_id, age_s), has in zip(stale.ages_s.items(), there.tolist(), strict=True)
        if has or node_id in expecting
    }
    if rule.surcharge_minor is not None:
        surcharges = {
            node_id: rule.surcharge_minor + asked.surcharges.get(node_id, 0) for node_id in ages_s
        }
        return msgspec.structs.replace(
            asked, surcharges={**asked.surcharges, **surcharges}, stale=ages_s
        )
    old = np.isin(held.numbers, stale.numbers)
    return msgspec.structs.replace(
        asked,
        held=held._replace(units=np.where(old, 0, held.units)),
        supply={at: rows for at, rows in asked.supply.items() if at[0] not in ages_s},
        stale=ages_s,
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


def stores_of(request: AllocationRequest | QuoteRequest) -> tuple[str, ...]:
    """Return the stores that what they lack may be sent to: the first few that are named, by id."""
    named = dict.fromkeys(
        line.pickup_node
        for line in request.lines
        if line.pickup_node is not None
        and line.method != "ship"
        and line.ship_to_store is not False
    )
    return tuple(sorted([*named][:STORES_MAX])) if named else ()


def stocked(skus: Iterable[str], stock: StockView) -> set[str]:
    """Return the skus that orders of these take: of a kit, those of its components."""
    found: set[str] = set()
    for sku in skus:
        facts = stock.item(sku)
        parts = facts.components if facts else ()
        found.update([part for part, _ in parts] or [sku])
    return found


def dimensional_grams(volume_mm3: int, divisor: int) -> int:
    """Return what a volume counts for where so many cubic centimeters count as a kilogram."""
    return -(-volume_mm3 // divisor) if divisor else 0


def routing_line(
    line: RequestLine, stock: StockView, stores: tuple[str, ...] = (), divisor: int = 0
) -> Line:
    """Return a line of the basket as routing knows it; raises `unknown-sku`, `invalid-field`.

    `stores` are those that goods may be sent to, `divisor` is that of dimensional weight.
    """
    facts = stock.item(line.sku)
    if facts is None:
        raise Refused("unknown-sku", f"Line {line.line_id}: there is no item {line.sku}.")
    if line.component_prices:
        verify_component_prices(line, facts.components)
    return Line(
        line_id=line.line_id,
        sku=line.sku,
        quantity=line.quantity,
        weight_grams=facts.weight_grams,
        methods=methods_of(line, stores),
        pickup_node=line.pickup_node,
        requested_by=line.requested_by,
        requires=facts.requires,
        dimensional_grams=dimensional_grams(facts.volume_mm3, divisor),
        components=tuple([Component(*part) for part in facts.components]),
        together=line.together,
    )


def verify_component_prices(line: RequestLine, components: tuple[tuple[str, int], ...]) -> None:
    """Raise `invalid-field` unless a kit's price is told of each component once and adds up."""
    told = {each.sku: each.unit_price_minor for each in line.component_prices}
    counts = dict(components)
    if told.keys() != counts.keys() or len(told) < len(line.component_prices):
        parts = ", ".join(counts) or "nothing, as it is no kit"
        raise Refused(
            "invalid-field",
            f"Line {line.line_id}: {line.sku} is made up of {parts}; name each component once in"
            " component_prices, and nothing else.",
            field="component_prices",
        )
    total = sum(count * told[sku] for sku, count in counts.items())
    if line.unit_price_minor is not None and line.unit_price_minor != total:
        raise Refused(
            "invalid-field",
            f"Line {line.line_id}: the components of one {line.sku} come to {total} and it is sold"
            f" for {line.unit_price_minor}; let both be the same.",
            field="component_prices",
        )


def methods_of(line: RequestLine, stores: tuple[str, ...] = ()) -> tuple[Method, ...]:
    """Return how a line may reach the customer; goods may be sent to `stores`."""
    if line.method == "ship" or line.pickup_node is None:
        return ("ship",)
    sent = line.ship_to_store is not False and line.pickup_node in stores
    if line.method == "pickup":
        return ("pickup", "ship_to_store") if sent else ("pickup",)
    return ("ship", "pickup", "ship_to_store") if sent else ("ship", "pickup")


def routing_policy(request: AllocationRequest | QuoteRequest, strategy: Policy) -> Policy:
    """Return the strategy's prices with the order's wishes."""
    wished = request.policy
    most = strategy.shipments_max if wished.shipments_max is None else wished.shipments_max
    if strategy.split_value_min_minor:
        value = value_minor(request)
        if value is not None and value < strategy.split_value_min_minor:
            most = 1 if most is None else min(most, 1)
    if not wished.ship_complete and not wished.backorder and most == strategy.shipments_max:
        return strategy
    return msgspec.structs.replace(
        strategy,
        ship_complete=wished.ship_complete,
        shipments_max=most,
        backorder=wished.backorder,
    )


def value_minor(request: AllocationRequest | QuoteRequest) -> int | None:
    """Return what an order is worth; none where some price was not told."""
    value = 0
    for line in request.lines:
        if line.unit_price_minor is None:
            return None
        value += line.unit_price_minor * line.quantity
    return value
