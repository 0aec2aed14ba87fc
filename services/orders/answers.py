"""What a checkout is told: a plan in the API's words."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from routing.plan import Cost, Fulfillment, Plan

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
    method: Literal["ship", "pickup"]
    service: str | None
    work_on: date
    ship_by: datetime
    promise: PromiseAnswer
    weight_grams: int
    lines: tuple[LineAnswer, ...]
    cost: CostAnswer


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
    retaken: bool = False
    """Whether a confirm came after expiry and took the same stock again."""
    exchange_for: Annotated[
        UUID | msgspec.UnsetType, Meta(description="The return that it replaces.")
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


def quote_answer(plan: Plan, elapsed_us: int, budget_ms: int, currency: str) -> QuoteAnswer:
    """Return a plan as it is told, with the time it took and the time there was for it."""
    return QuoteAnswer(
        fulfillments=tuple([fulfillment_answer(each, currency) for each in plan.fulfillments]),
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
