"""What a customer can choose between before buying: when, in how many parcels, and for how much.

Each choice is a plan made by the optimizer on the stock of this moment, so no date is offered that
an allocation with the same wishes would not get now. Choices that are no different are left out.
"""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from routing.plan import Plan
from services.orders.answers import (
    FulfillmentAnswer,
    Money,
    PromiseAnswer,
    ShortfallAnswer,
    SolverAnswer,
    quote_answer,
)
from services.orders.decide import Decider, Decision
from services.orders.request import QuoteRequest, RequestPolicy
from services.orders.slot_choices import SlotChoice, slot_choices
from services.orders.slot_choices import told as slots_told
from services.orders.slots import verify_kept
from services.planning.network import Network, Zone

SOONEST = "fastest"
"""The strategy of the choice that is as early as can be; always there, as it is built in."""

ChoiceKind = Literal["recommended", "sooner", "together"]


class ChoiceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which the customer could have the basket."""

    choice: Annotated[
        ChoiceKind,
        Meta(
            description="`recommended` by the strategy; `sooner` whatever that costs; `together` "
            "in one parcel, once everything is there."
        ),
    ]
    policy: Annotated[
        RequestPolicy, Meta(description="Send it with the allocation to get this choice.")
    ]
    promise: Annotated[
        PromiseAnswer | None,
        Meta(description="From the first parcel or pickup to the last; none for an empty plan."),
    ]
    shipments: int
    cost: Money
    extra: Annotated[Money, Meta(description="Beyond `recommended`; below zero if cheaper.")]
    fulfillments: tuple[FulfillmentAnswer, ...]
    shortfalls: tuple[ShortfallAnswer, ...]
    solver: SolverAnswer


class PromisesAnswer(msgspec.Struct, frozen=True):
    """The choices there are for a basket, the recommended one first."""

    choices: tuple[ChoiceAnswer, ...]
    slots: Annotated[
        tuple[SlotChoice, ...],
        Meta(
            description="Windows it can come in, by date and time; name one in `slots` of the "
            "allocation."
        ),
    ] = ()


async def choices(
    decider: Decider, request: QuoteRequest, network: Network, zone: Zone | None, currency: str
) -> PromisesAnswer:
    """Return what the customer can choose between. Raises `unknown-sku`, `slot-impossible`."""
    recommended = await decider.quote(request, network, zone)
    verify_kept(request, recommended.plan, network, zone)
    found: list[tuple[ChoiceKind, RequestPolicy, Decision]] = [
        ("recommended", request.policy, recommended)
    ]
    for kind, policy in others(request.policy, recommended.plan):
        wished = msgspec.structs.replace(request, policy=policy)
        other = await decider.quote(wished, network, zone)
        if is_worth_telling(kind, other.plan, [each.plan for _, _, each in found]):
            found.append((kind, policy, other))
    first = recommended.plan.cost.total_minor
    plan = recommended.plan
    offered: tuple[SlotChoice, ...] = ()
    if network.slots and plan.fulfillments:
        slots = await slot_choices(decider, request, plan, place=(network, zone))
        offered = slots_told(slots, plan, decider, currency)
    return PromisesAnswer(tuple(told(*each, first, currency) for each in found), offered)


def others(policy: RequestPolicy, plan: Plan) -> list[tuple[ChoiceKind, RequestPolicy]]:
    """Return what else to ask for, given what is recommended."""
    asked: list[tuple[ChoiceKind, RequestPolicy]] = []
    if policy.strategy != SOONEST and plan.fulfillments:
        asked.append(("sooner", msgspec.structs.replace(policy, strategy=SOONEST)))
    if shipments(plan) > 1:
        asked.append(("together", msgspec.structs.replace(policy, shipments_max=1)))
    return asked


def is_worth_telling(kind: ChoiceKind, plan: Plan, known: list[Plan]) -> bool:
    """Tell whether a plan keeps its word and differs in what the customer sees from those known.

    One parcel that leaves units out is no choice, and neither are dates that are not sooner.
    """
    recommended = known[0]
    if units_short(plan) > units_short(recommended):
        return False
    if kind == "sooner" and not is_sooner(plan, recommended):
        return False
    return all(seen(plan) != seen(other) for other in known)


def is_sooner(plan: Plan, other: Plan) -> bool:
    """Tell whether some line comes earlier, counted in line-days, and none is left out for it."""
    return waits(plan) < waits(other)


def waits(plan: Plan) -> int:
    """Return the sum over units of the day on which each is promised at the latest."""
    return sum(
        line.quantity * each.promise.latest.toordinal()
        for each in plan.fulfillments
        for line in each.lines
    )


def seen(plan: Plan) -> tuple[object, ...]:
    """Return what a customer sees of a plan: money, and what comes when and how."""
    parts = sorted(
        (each.promise.earliest, each.promise.latest, each.method, line.line_id, line.quantity)
        for each in plan.fulfillments
        for line in each.lines
    )
    return (plan.cost.total_minor, shipments(plan), *parts)


def shipments(plan: Plan) -> int:
    """Return how many fulfillments a carrier brings, to the customer or to a store."""
    return sum(each.method != "pickup" for each in plan.fulfillments)


def units_short(plan: Plan) -> int:
    """Return how many units nobody can give."""
    return sum(each.quantity for each in plan.shortfalls)


def told(
    kind: ChoiceKind, policy: RequestPolicy, found: Decision, first_minor: int, currency: str
) -> ChoiceAnswer:
    """Return a choice as the API tells it."""
    plan = found.plan
    quoted = quote_answer(plan, found.elapsed_us, found.budget_ms, currency)
    dates: list[tuple[date, date]] = [
        (each.promise.earliest, each.promise.latest) for each in plan.fulfillments
    ]
    promise = None
    if dates:
        promise = PromiseAnswer(min(first for first, _ in dates), max(last for _, last in dates))
    return ChoiceAnswer(
        choice=kind,
        policy=policy,
        promise=promise,
        shipments=shipments(plan),
        cost=quoted.cost.total,
        extra=Money(plan.cost.total_minor - first_minor, currency),
        fulfillments=quoted.fulfillments,
        shortfalls=quoted.shortfalls,
        solver=quoted.solver,
    )
