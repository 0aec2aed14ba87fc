"""A small readable problem to change in tests: three nodes, two lines, everything available."""

from datetime import UTC, date, datetime, time

import msgspec

from routing.problem import (
    Bracket,
    Calendar,
    Lane,
    Line,
    Node,
    NodeKind,
    Policy,
    Problem,
    Stock,
    Tariff,
)

NOW = datetime(2026, 5, 12, 9, 0, tzinfo=UTC)
TODAY = date(2026, 5, 12)


replace = msgspec.structs.replace


def line(line_id: str, sku: str, quantity: int = 1, **changes: object) -> Line:
    """A line of 500 g units to be shipped."""
    made = Line(line_id=line_id, sku=sku, quantity=quantity, weight_grams=500)
    return msgspec.structs.replace(made, **changes)


def node(node_id: str, kind: NodeKind = "store", **changes: object) -> Node:
    """A node in UTC that works every day until 14:00 and dispatches the same day."""
    made = Node(
        node_id=node_id,
        kind=kind,
        time_zone="UTC",
        calendar_id="always",
        cut_off=time(14),
        handling_days=0,
        capabilities=("ship", "pickup"),
        handling_order_minor=100,
        handling_unit_minor=10,
    )
    return msgspec.structs.replace(made, **changes)


def lane(node_id: str, tariff_id: str = "near", days: int = 1, **changes: object) -> Lane:
    """A standard service that takes `days` days."""
    made = Lane(
        node_id=node_id,
        service="standard",
        tariff_id=tariff_id,
        transit_days_min=days,
        transit_days_max=days,
    )
    return msgspec.structs.replace(made, **changes)


def stock(node_id: str, sku: str, available: int) -> Stock:
    """Units on hand and nothing expected."""
    return Stock(node_id=node_id, sku=sku, available=available)


ALWAYS = Calendar(calendar_id="always", weekdays=(1, 2, 3, 4, 5, 6, 7))
NEAR = Tariff(
    tariff_id="near",
    brackets=(
        Bracket(weight_grams_max=1_000, price_minor=500),
        Bracket(weight_grams_max=5_000, price_minor=800),
    ),
)
FAR = Tariff(tariff_id="far", brackets=(Bracket(weight_grams_max=5_000, price_minor=1_200),))


def problem(
    lines: tuple[Line, ...],
    nodes: tuple[Node, ...],
    stocks: tuple[Stock, ...],
    *,
    lanes: tuple[Lane, ...] | None = None,
    policy: Policy | None = None,
) -> Problem:
    """A problem at `NOW` for a destination in UTC; every node has a near lane unless told."""
    return Problem(
        now=NOW,
        destination_time_zone="UTC",
        lines=lines,
        nodes=nodes,
        stock=stocks,
        lanes=tuple(lane(n.node_id) for n in nodes) if lanes is None else lanes,
        calendars=(ALWAYS,),
        tariffs=(NEAR, FAR),
        policy=policy or Policy(time_limit_ms=5_000),
    )
