"""What learned prices are in force, as a planner is shown them: with what they come from."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from inventory.slices import Ints
from services.orders.beyond import Beyond
from services.planning.network import Network
from services.planning.playbook import Weights
from services.prices.book import Floats
from services.prices.load import surcharge_minor
from services.prices.pricing import NOTHING_ELSE, UNKNOWN, Asked, Worth, asked_of
from services.prices.records import Priced, Version


class UnitPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit costs beyond money where it stands."""

    sku: str
    node_id: str
    available: Annotated[int, Meta(description="Units that an order could have.")]
    wanted_per_day: Annotated[float, Meta(description="Units that walk-ins are expected to want.")]
    until_delivery_days: Annotated[
        float | None, Meta(description="Time for which they are; none where nobody walks in.")
    ]
    orders_minor: Annotated[
        int, Meta(description="What a unit is worth to orders to come, before any weight.")
    ]
    worth_minor: Annotated[
        int, Meta(description="What a unit may be worth otherwise, to an order of one.")
    ]
    worth_of: Annotated[
        dict[str, int],
        Meta(
            description="Its parts: `walk_in` and `orders` by who may want it, `markdown` as another "
            "will be marked down, `stockout` as few are left, `sizes` as a run of sizes breaks."
        ),
    ]
    refusal_chance: Annotated[float, Meta(description="How likely the node refuses it now.")]
    risk_minor: Annotated[int, Meta(description="What that is expected to cost.")]


class Surcharge(msgspec.Struct, frozen=True, kw_only=True):
    """What one more fulfillment costs beyond money at a node that has much to do."""

    node_id: str
    work_on: date
    over: Annotated[bool, Meta(description="All that is planned for the date is taken.")]
    wanted_chance: Annotated[
        float, Meta(description="How likely orders to come want all places that are left.")
    ]
    place_minor: Annotated[
        int, Meta(description="What a place of the date is worth to orders to come.")
    ]
    surcharge_minor: Annotated[
        int, Meta(description="What an order is charged now that uses one on that date.")
    ]


class PricesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The learned prices that decisions are made by now."""

    strategy: Annotated[str, Meta(description="By whose weights, with its version.")]
    in_force: Annotated[
        Version | None,
        Meta(description="What was learned when and from what; none before anything was learned."),
    ]
    stale: Annotated[bool, Meta(description="Too old: decisions are made without it.")]
    units: tuple[UnitPrice, ...]
    surcharges: tuple[Surcharge, ...]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a planner asks."""

    skus: Sequence[str]
    node_ids: Collection[str] | None
    """Only these nodes."""
    channel: str
    strategy: str
    """By name; one that is in force."""
    unit_price_minor: int


def prices_answer(
    beyond: Beyond,
    network: Network,
    question: Question,
    wanted: Mapping[str, Sequence[Priced]],
    now: datetime,
) -> PricesAnswer:
    """Return the prices of some skus and of all nodes; `wanted` is what is learned, by sku."""
    label = network.playbook.policies[question.strategy].strategy
    weights = network.playbook.weights.get(label)
    book = beyond.prices.in_force(now)
    known = beyond.prices.book
    beyond.loads.follow(network, book, now)
    return PricesAnswer(
        strategy=label,
        in_force=known.version if known else None,
        stale=known is not None and book is None,
        units=tuple(
            each
            for sku in question.skus
            for each in units_of(beyond, network, question, wanted.get(sku, ()), sku, now)
        ),
        surcharges=surcharges(beyond, network, weights),
    )


def units_of(
    beyond: Beyond,
    network: Network,
    question: Question,
    rows: Sequence[Priced],
    sku: str,
    now: datetime,
) -> list[UnitPrice]:
    """Return the prices of a sku at the nodes that have any, by node."""
    view = beyond.pricing.view
    counts, numbers, available = view.held_of([sku], question.channel)
    asked = asked_of([(sku, 1, question.unit_price_minor)], [sku], counts, numbers)
    weights = network.playbook.weights.get(network.playbook.policies[question.strategy].strategy)
    worth, risk, chances = priced(beyond, network, asked, weights, now)
    own = {row.node_id: row for row in rows}
    found = []
    for place, number in enumerate(numbers.tolist()):
        node_id = view.node_ids[number]
        if question.node_ids is not None and node_id not in question.node_ids:
            continue
        known = own.get(node_id)
        found.append(
            UnitPrice(
                sku=sku,
                node_id=node_id,
                available=int(available[place]),
                wanted_per_day=round(known.per_day, 4) if known else 0.0,
                until_delivery_days=known.days if known and known.per_day else None,
                orders_minor=known.orders_minor if known else 0,
                worth_minor=int(worth.minor[place]) if worth.minor.size else 0,
                worth_of={name: int(minor[place]) for name, minor in worth.terms.items()},
                refusal_chance=round(float(chances[place]), 4),
                risk_minor=int(risk[place]),
            )
        )
    return sorted(found, key=lambda each: each.node_id)


def priced(
    beyond: Beyond, network: Network, asked: Asked, weights: Weights | None, now: datetime
) -> tuple[Worth, Ints, Floats]:
    """Return worth, risk and chance of a refusal of each record of one sku; zeros without prices."""
    nothing = np.zeros(len(asked.numbers), np.int64)
    chances = np.zeros(len(asked.numbers))
    book = beyond.prices.in_force(now)
    if book is None:
        return NOTHING_ELSE, nothing, chances
    if book.nodes_chances:
        beyond.pricing.keep_for(book, network, now)
        category = book.items.get(asked.skus[0], UNKNOWN).category
        chances = beyond.pricing.of_category(book, category, network, now)[asked.numbers]
    if weights is None:
        return NOTHING_ELSE, nothing, chances
    worth = beyond.pricing.worth(book, asked, weights, network, now)
    risk = beyond.pricing.risk(book, asked, weights, network, now)
    return worth, risk if risk.size else nothing, chances


def surcharges(beyond: Beyond, network: Network, weights: Weights | None) -> tuple[Surcharge, ...]:
    """Return the prices of one more fulfillment at nodes with much to do, by node and date."""
    return tuple(
        Surcharge(
            node_id=node_id,
            work_on=work_on,
            over=load.over,
            wanted_chance=round(load.chance, 4),
            place_minor=load.place_minor,
            surcharge_minor=surcharge_minor(load, weights, network.overloads.get(node_id)),
        )
        for node_id, by_date in sorted(beyond.loads.loads.items())
        for work_on, load in sorted(by_date.items())
    )
