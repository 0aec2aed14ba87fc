"""What a checkout is told: a plan in the API's words."""

from collections.abc import Container, Mapping, Sequence
from datetime import date, datetime, time
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from routing.plan import Cost, Fulfillment, Plan
from routing.problem import Method

AllocationStatus = Literal["held", "partial", "confirmed", "released", "expired", "cancelled"]


class Money(msgspec.Struct, frozen=True):
    """An amount in the currency's minor units."""

    amount_minor: int
    currency: str


class PromiseAnswer(msgspec.Struct, frozen=True):
    """Local dates at the destination or pickup node between which the customer has the goods."""

    earliest: date
    latest: date


class LineAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Units of one line in a fulfillment."""

    line_id: str
    sku: str
    quantity: int
    source: Literal["on_hand", "supply"] = msgspec.field(name="from")
    supply_id: str | None
    available_on: date
    unit_price_minor: Annotated[
        int | None, Meta(description="What the customer pays for each unit, where it was told.")
    ] = None
    curbside: Annotated[bool, Meta(description="Handed over at the curb.")] = False


class CostAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Money by component."""

    total: Money
    parcels: Money
    handling: Money
    split: Money
    lateness: Money


class FulfillmentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one node does for the order."""

    node: Annotated[str, Meta(description="The node's `node_id`.")]
    method: Annotated[
        Method,
        Meta(
            description="`ship` to the customer, `pickup` of what is there, or `ship_to_store`, "
            "where the customer collects it."
        ),
    ]
    service: str | None
    work_on: date
    ship_by: datetime
    promise: PromiseAnswer
    weight_grams: int
    lines: tuple[LineAnswer, ...]
    cost: CostAnswer
    pickup_node: Annotated[str | None, Meta(description="Where the customer collects it.")] = None


class PickupAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A place where the customer collects, whatever node it comes from."""

    pickup_node: str
    complete: Annotated[
        PromiseAnswer,
        Meta(description="Local dates between which the last of what is collected there is ready."),
    ]


class SlotAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A window of a local date in which the customer receives the order, with a place taken."""

    slot_id: str
    on: date
    opens: time = msgspec.field(name="from")
    closes: time = msgspec.field(name="until")
    price: Annotated[Money, Meta(description="What the customer pays for it; not in `cost`.")]
    kept: Annotated[
        bool, Meta(description="False once the order cannot be there in time; its place is free.")
    ] = True


class BrokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A soft rule of the strategy that the plan breaks, or a goal that it misses."""

    rule: Annotated[str, Meta(description="The rule, or what the goal measures.")]
    node: Annotated[str | None, Meta(description="Where; null for the whole order.")]
    price: Annotated[Money, Meta(description="What that weighed; it is not in `cost`.")]
    measured: Annotated[int | None, Meta(description="Of a goal: what the plan comes to.")] = None
    target: Annotated[int | None, Meta(description="Of a goal: what it should come to.")] = None


class ShortfallAnswer(msgspec.Struct, frozen=True):
    """Units of a line that the network cannot give."""

    line_id: str
    quantity: int


class SolverAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How well the plan is proven."""

    status: Annotated[
        Literal["optimal", "feasible", "greedy"],
        Meta(description="`optimal` when the bound meets the objective."),
    ]
    objective_minor: int
    bound_minor: Annotated[int, Meta(description="No plan has a smaller objective.")]
    gap: Annotated[float, Meta(description="(objective - bound) / objective")]
    elapsed_us: int
    budget_ms: Annotated[
        int, Meta(description="Time the optimizer was given; it gets less under load.")
    ] = 0
    found_by: str


class QuoteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A plan for which nothing is held."""

    fulfillments: tuple[FulfillmentAnswer, ...]
    shortfalls: tuple[ShortfallAnswer, ...]
    cost: CostAnswer
    solver: SolverAnswer
    pickups: tuple[PickupAnswer, ...] = ()
    broken: tuple[BrokenAnswer, ...] = ()


class AllocationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A plan whose stock is held, and what has become of it."""

    allocation_id: UUID
    order_id: str
    status: AllocationStatus
    expires_at: datetime | None
    promise_valid_until: Annotated[
        datetime | None,
        Meta(description="Confirmed by then, the dates hold; later they are computed anew."),
    ]
    fulfillments: tuple[FulfillmentAnswer, ...]
    shortfalls: tuple[ShortfallAnswer, ...]
    cost: CostAnswer
    solver: SolverAnswer
    decision: Annotated[str, Meta(description="Where the decision record is.")]
    pickups: tuple[PickupAnswer, ...] = ()
    broken: tuple[BrokenAnswer, ...] = ()
    retaken: bool = False
    """Whether a confirm came after expiry and took the same stock again."""
    exchange_for: Annotated[
        UUID | msgspec.UnsetType, Meta(description="The return that it replaces.")
    ] = msgspec.UNSET
    slots: Annotated[
        tuple[SlotAnswer, ...] | msgspec.UnsetType,
        Meta(description="The slots that were chosen, if any were."),
    ] = msgspec.UNSET


def cost_answer(cost: Cost, currency: str) -> CostAnswer:
    """Return a cost with its currency."""
    return CostAnswer(
        total=Money(cost.total_minor, currency),
        parcels=Money(cost.parcels_minor, currency),
        handling=Money(cost.handling_minor, currency),
        split=Money(cost.split_minor, currency),
        lateness=Money(cost.lateness_minor, currency),
    )


def fulfillment_answer(fulfillment: Fulfillment, currency: str) -> FulfillmentAnswer:
    """Return one fulfillment of a plan as it is told."""
    return FulfillmentAnswer(
        node=fulfillment.node_id,
        method=fulfillment.method,
        service=fulfillment.service,
        work_on=fulfillment.work_on,
        ship_by=fulfillment.ship_by,
        promise=PromiseAnswer(fulfillment.promise.earliest, fulfillment.promise.latest),
        weight_grams=fulfillment.weight_grams,
        lines=tuple(
            [
                LineAnswer(
                    line_id=line.line_id,
                    sku=line.sku,
                    quantity=line.quantity,
                    source=line.source,
                    supply_id=line.supply_id,
                    available_on=line.available_on,
                )
                for line in fulfillment.lines
            ]
        ),
        cost=cost_answer(fulfillment.cost, currency),
        pickup_node=fulfillment.pickup_node,
    )


def pickups_of(fulfillments: Sequence[FulfillmentAnswer]) -> tuple[PickupAnswer, ...]:
    """Return where the customer collects, and when all that is collected there is ready."""
    places: dict[str, list[PromiseAnswer]] = {}
    for each in fulfillments:
        if each.pickup_node is not None:
            places.setdefault(each.pickup_node, []).append(each.promise)
    if not places:
        return ()
    return tuple(
        PickupAnswer(
            pickup_node=pickup_node,
            complete=PromiseAnswer(
                max(promise.earliest for promise in ready),
                max(promise.latest for promise in ready),
            ),
        )
        for pickup_node, ready in sorted(places.items())
    )


def priced(
    fulfillments: tuple[FulfillmentAnswer, ...], prices: Mapping[tuple[str, str], int]
) -> tuple[FulfillmentAnswer, ...]:
    """Return fulfillments whose lines carry what the customer pays, by line and sku."""
    if not prices:
        return fulfillments
    replace = msgspec.structs.replace
    return tuple(
        replace(
            each,
            lines=tuple(
                replace(line, unit_price_minor=prices.get((line.line_id, line.sku)))
                for line in each.lines
            ),
        )
        for each in fulfillments
    )


def at_curb(
    fulfillments: tuple[FulfillmentAnswer, ...], line_ids: Container[str]
) -> tuple[FulfillmentAnswer, ...]:
    """Return fulfillments in which what is collected of these lines is handed over at the curb."""
    replace = msgspec.structs.replace
    return tuple(
        replace(
            each,
            lines=tuple(replace(line, curbside=line.line_id in line_ids) for line in each.lines),
        )
        if each.pickup_node is not None
        else each
        for each in fulfillments
    )


def quote_answer(plan: Plan, elapsed_us: int, budget_ms: int, currency: str) -> QuoteAnswer:
    """Return a plan as it is told, with the time it took and the time there was for it."""
    fulfillments = tuple([fulfillment_answer(each, currency) for each in plan.fulfillments])
    return QuoteAnswer(
        fulfillments=fulfillments,
        pickups=pickups_of(fulfillments),
        broken=tuple(
            [
                BrokenAnswer(
                    rule=each.rule,
                    node=each.node_id,
                    price=Money(each.price_minor, currency),
                    measured=each.measured,
                    target=each.target,
                )
                for each in plan.broken
            ]
        ),
        shortfalls=tuple([ShortfallAnswer(s.line_id, s.quantity) for s in plan.shortfalls]),
        cost=cost_answer(plan.cost, currency),
        solver=solver_answer(plan, elapsed_us, budget_ms),
    )


def solver_answer(plan: Plan, elapsed_us: int, budget_ms: int) -> SolverAnswer:
    """Return how well a plan is proven."""
    gap = (plan.objective_minor - plan.bound_minor) / max(plan.objective_minor, 1)
    return SolverAnswer(
        status=plan.status,
        objective_minor=plan.objective_minor,
        bound_minor=plan.bound_minor,
        gap=round(gap, 6),
        elapsed_us=elapsed_us,
        budget_ms=budget_ms,
        found_by=plan.found_by,
    )
