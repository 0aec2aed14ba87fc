"""What a checkout asks, and the checks that need no database."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from routing.promise import local_date
from services.planning.network import Network, Zone
from services.problems import Refused

LINES_MAX = 200
QUANTITY_MAX = 10_000
SHIPMENTS_MAX = 50
TAGS_MAX = 20
SLOTS_MAX = 4
COMPONENTS_MAX = 50
CURBSIDE = "curbside"
"""Capability of nodes that hand goods over at the curb."""

# NUL cannot be stored in PostgreSQL text, and control characters have no place in an id.
Id = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Destination(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the customer is: a zone is found by postal code, else by coordinates."""

    country: Annotated[
        str, Meta(pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2.", examples=["US"])
    ]
    postal_code: Annotated[
        str, Meta(max_length=20, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["10001"])
    ] = ""
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None


class ComponentPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A component's share in the price of a kit."""

    sku: Id
    unit_price_minor: Annotated[
        int, Meta(ge=0, le=10**12, description="For a unit of the component.")
    ]


class RequestLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the basket."""

    line_id: Id
    sku: Id
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
    method: Annotated[
        Literal["ship", "pickup", "any"],
        Meta(description="`any` lets the plan choose between shipping and `pickup_node`."),
    ] = "ship"
    pickup_node: Id | None = None
    ship_to_store: Annotated[
        bool | UnsetType,
        Meta(
            description="Whether what `pickup_node` lacks may be sent there by another node; true "
            "when left out."
        ),
    ] = UNSET
    curbside: Annotated[
        bool | UnsetType,
        Meta(description="Handed over at the curb, by a `pickup_node` that is able to."),
    ] = UNSET
    requested_by: Annotated[
        date | None, Meta(description="Local date at the destination or pickup node.")
    ] = None
    unit_price_minor: Annotated[int, Meta(ge=0, le=10**12)] | None = None
    component_prices: Annotated[
        tuple[ComponentPrice, ...],
        Meta(
            max_length=COMPONENTS_MAX,
            description="Of a kit: what the customer pays for each component, in all as much as"
            " for the kit. What is short, cancelled or returned of it is refunded by these.",
        ),
    ] = ()
    together: Annotated[
        Id | None,
        Meta(
            description="Lines of the same name come in one parcel or pickup, in full, or not at"
            " all; they need a method and a pickup_node in common."
        ),
    ] = None


class RequestPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the customer or the channel wishes for this order."""

    ship_complete: Annotated[bool, Meta(description="Everything or nothing.")] = False
    shipments_max: Annotated[int, Meta(ge=0, le=SHIPMENTS_MAX)] | None = None
    backorder: Annotated[bool, Meta(description="Expected supply may be promised.")] = False
    strategy: Annotated[
        Annotated[str, Meta(max_length=50)] | None,
        Meta(description="By name; the rules of `/v1/strategy-rules` choose without."),
    ] = None


class SlotWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A window of a date that the customer has chosen."""

    slot_id: Id
    on: Annotated[date, Meta(description="Local date at the destination or pickup node.")]


Slots = Annotated[
    tuple[SlotWish, ...],
    Meta(
        max_length=SLOTS_MAX,
        description="When it is delivered, and when it is collected; of those that "
        "`/v1/promises` offers. All that a slot is for comes in it, or the order is refused.",
    ),
]


class AllocationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A basket to be planned and held."""

    order_id: Id
    lines: Annotated[tuple[RequestLine, ...], Meta(min_length=1, max_length=LINES_MAX)]
    channel: Id = "web"
    tags: Annotated[
        tuple[Id, ...],
        Meta(max_length=TAGS_MAX, description="What rules may choose a strategy by."),
    ] = ()
    destination: Destination | None = None
    policy: RequestPolicy = RequestPolicy()
    hold_for: Annotated[
        timedelta | None,
        Meta(description="How long stock is held; an ISO 8601 duration.", examples=["PT15M"]),
    ] = None
    slots: Slots | UnsetType = UNSET


class QuoteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A basket to be planned; nothing is held."""

    lines: Annotated[tuple[RequestLine, ...], Meta(min_length=1, max_length=LINES_MAX)]
    channel: Id = "web"
    tags: Annotated[
        tuple[Id, ...],
        Meta(max_length=TAGS_MAX, description="What rules may choose a strategy by."),
    ] = ()
    destination: Destination | None = None
    policy: RequestPolicy = RequestPolicy()
    slots: Slots | UnsetType = UNSET


def verify(
    request: AllocationRequest | QuoteRequest, network: Network, now: datetime
) -> Zone | None:
    """Return the destination's zone; none when every line is picked up.

    Raises, in this order: `duplicate-line`, `unknown-strategy`, `invalid-field` and `unknown-node`
    for pickup, `invalid-field` for lines together, `unknown-destination`, `date-in-past`.
    """
    for line_id, times in Counter(line.line_id for line in request.lines).items():
        if times > 1:
            raise Refused(
                "duplicate-line", f"line_id {line_id} is used {times} times; number lines uniquely."
            )
    strategies = network.playbook.policies
    if request.policy.strategy is not None and request.policy.strategy not in strategies:
        raise Refused(
            "unknown-strategy",
            f"There is no strategy {request.policy.strategy}; use "
            f"{', '.join(sorted(strategies))}, or leave it out.",
        )
    for line in request.lines:
        verify_pickup(line, network)
    for name in {line.together for line in request.lines if line.together is not None}:
        verify_together(name, [line for line in request.lines if line.together == name])
    zone = None
    if any(line.method != "pickup" for line in request.lines):
        zone = resolve(request.destination, network)
    for line in request.lines:
        verify_date(line, network, zone, now)
    return zone


def prices_of(lines: Sequence[RequestLine]) -> dict[tuple[str, str], int]:
    """Return what the customer pays for a unit of each line and sku, of kits for each component."""
    prices = {
        (line.line_id, line.sku): line.unit_price_minor
        for line in lines
        if line.unit_price_minor is not None
    }
    for line in lines:
        for each in line.component_prices:
            prices[line.line_id, each.sku] = each.unit_price_minor
    return prices


def verify_pickup(line: RequestLine, network: Network) -> None:
    """Raise unless a line that may be picked up names a node, and only such a line does."""
    if line.method == "ship" and line.pickup_node is not None:
        raise Refused(
            "invalid-field",
            f"Line {line.line_id} is shipped but names a pickup_node; leave it out or use `any`.",
        )
    if line.ship_to_store is True and line.pickup_node is None:
        raise Refused(
            "invalid-field",
            f"Line {line.line_id} may be sent to a store; name it as its pickup_node.",
        )
    if line.method == "pickup" and line.pickup_node is None:
        raise Refused("invalid-field", f"Line {line.line_id} is picked up; name its pickup_node.")
    node = line.pickup_node
    if node is not None and node not in network.nodes and node not in network.disabled:
        raise Refused("unknown-node", f"Line {line.line_id}: there is no node {node}.")
    known = network.nodes.get(node or "")
    if line.curbside is True and (node is None or (known and CURBSIDE not in known.capabilities)):
        raise Refused(
            "invalid-field",
            f"Line {line.line_id} is to be handed over at the curb; name a pickup_node with the "
            f"capability {CURBSIDE}.",
        )


def verify_together(name: str, lines: Sequence[RequestLine]) -> None:
    """Raise unless lines that go together can all be shipped, or collected at one node."""
    ships = all(line.method != "pickup" for line in lines)
    nodes = {line.pickup_node for line in lines}
    if not ships and (len(nodes) > 1 or any(line.method == "ship" for line in lines)):
        names = " and ".join(line.line_id for line in lines)
        raise Refused(
            "invalid-field",
            f"Lines {names} go together as {name}, but no method and pickup_node suits them all; "
            "give them one in common.",
        )


def resolve(destination: Destination | None, network: Network) -> Zone:
    """Return the zone of a destination; raises `unknown-destination` when there is none."""
    if destination is None:
        raise Refused("unknown-destination", "Lines are shipped; send a destination.")
    zone = network.resolve(
        destination.country,
        destination.postal_code,
        destination.latitude,
        destination.longitude,
    )
    if zone is None:
        raise Refused(
            "unknown-destination",
            f"No zone covers {destination.country} {destination.postal_code}; correct the postal "
            "code, or send latitude and longitude.",
        )
    return zone


def verify_date(line: RequestLine, network: Network, zone: Zone | None, now: datetime) -> None:
    """Raise `date-in-past` when the line was wanted before today, where the customer is."""
    if line.requested_by is None:
        return
    node = network.nodes.get(line.pickup_node or "")
    place = node.time_zone if node else zone.time_zone if zone else "UTC"
    today = local_date(now, place)
    if line.requested_by < today:
        raise Refused(
            "date-in-past",
            f"Line {line.line_id} is requested by {line.requested_by}; today is {today}.",
        )
