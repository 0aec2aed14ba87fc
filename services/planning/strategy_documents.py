"""What planners write: a strategy, and the rules that choose one for an order."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from routing.problem import Measure

KM_MAX = 50_000
"""Farther than any two places are apart."""

Price = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Percent = Annotated[int, Meta(ge=0, le=1_000)]
Name = Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[a-z0-9_-]+$")]
Key = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Keys = Annotated[tuple[Key, ...], Meta(max_length=200)]


class SoftRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule that a fulfillment may break, and what that costs; it is not in `cost`."""

    rule: Literal["radius_km", "groups_never", "services"]
    minor: Price
    radius_km: Annotated[int, Meta(ge=0, le=KM_MAX, description="For `radius_km`.")] = 0
    names: Annotated[Keys, Meta(description="Groups or services, for the other two.")] = ()


class Goal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the plan of an order should come to as a whole; it is not in `cost`."""

    measure: Measure
    target: Annotated[Count, Meta(description="Up to here nothing is paid.")] = 0
    limit: Annotated[
        Count | None,
        Meta(description="No plan measures more; what cannot be kept within it is short."),
    ] = None
    minor: Annotated[
        Price,
        Meta(description="For every `per` beyond the target, parts of a minor unit left out."),
    ] = 0
    per: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    names: Annotated[Keys, Meta(description="For `group_units`: the groups that count.")] = ()


class Strategy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What routing weighs beside parcels and handling; money in minor units."""

    split_minor: Annotated[
        Price, Meta(description="For each fulfillment of an order beyond the first.")
    ] = 250
    lateness_minor: Annotated[
        Price, Meta(description="For each line and day after its `requested_by`.")
    ] = 100
    delay_minor: Annotated[
        Price,
        Meta(description="For each line and day until its promise; steers, and is not in `cost`."),
    ] = 5
    shortage_minor: Annotated[
        Price, Meta(description="For each unit nobody can give; has to outweigh everything else.")
    ] = 1_000_000
    shipments_max: Annotated[
        Annotated[int, Meta(ge=0, le=50)] | None,
        Meta(description="Most parcels of an order that does not say so itself."),
    ] = None
    nodes_per_line_max: Annotated[
        Annotated[int, Meta(ge=1, le=50)] | None,
        Meta(description="Most nodes that may share a line; more units than they have are short."),
    ] = None
    split_value_min_minor: Annotated[
        Price,
        Meta(
            description="An order worth less goes in one parcel; one whose prices were not all told "
            "is not held to it."
        ),
    ] = 0
    radius_km: Annotated[
        Annotated[int, Meta(ge=0, le=KM_MAX)] | None,
        Meta(description="Nodes farther from the destination's zone do not ship there."),
    ] = None
    groups_only: Annotated[Keys, Meta(description="Only nodes of one of these groups.")] = ()
    groups_never: Annotated[Keys, Meta(description="No nodes of these groups.")] = ()
    services: Annotated[Keys, Meta(description="Only these carrier services.")] = ()
    soft: Annotated[
        tuple[SoftRule, ...],
        Meta(max_length=50, description="Rules that may be broken, at a price each."),
    ] = ()
    goals: Annotated[
        tuple[Goal, ...],
        Meta(
            max_length=10,
            description="What a plan should come to as a whole: a target, a price beyond it, a limit.",
        ),
    ] = ()
    co2_minor_per_kg: Annotated[
        Price,
        Meta(description="For each kilogram that lanes emit; steers, and is not in `cost`."),
    ] = 0
    worth_percent: Annotated[
        Percent,
        Meta(
            description="Weight of what a unit may be worth to walk-ins of its store; 0 leaves it out."
        ),
    ] = 0
    walk_in_share_percent: Annotated[
        Annotated[int, Meta(ge=0, le=100)],
        Meta(
            description="Share of its price that is lost when a walk-in finds none, for items "
            "without a `unit_margin_minor`."
        ),
    ] = 30
    order_worth_percent: Annotated[
        Percent,
        Meta(
            description="Weight of what a unit may be worth to orders still to come; 0 leaves it out."
        ),
    ] = 0
    markdown_percent: Annotated[
        Percent,
        Meta(
            description="Weight of what a unit loses by a markdown that it is likely to be left for."
        ),
    ] = 0
    stockout_minor: Annotated[
        Price,
        Meta(
            description="For each unit of a store that has nothing left afterwards; less the more "
            "weeks of supply are left."
        ),
    ] = 0
    stockout_weeks: Annotated[
        Annotated[int, Meta(ge=1, le=52)],
        Meta(description="Weeks of supply from which on a unit costs nothing of it."),
    ] = 2
    broken_run_minor: Annotated[
        Price,
        Meta(
            description="For taking the last unit of a size where a store has all others of its "
            "style; less the fewer it has."
        ),
    ] = 0
    rejection_minor: Annotated[
        Price,
        Meta(description="For each unit that its node refuses; counts by how often it does."),
    ] = 0
    overload_minor: Annotated[
        Price,
        Meta(
            description="For each fulfillment at a node that has all it plans for that date, unless "
            "the node has a price of its own."
        ),
    ] = 0
    capacity_minor: Annotated[
        Price,
        Meta(
            description="What the last places of a node's day are worth to orders still to come; "
            "counts by how likely these want them."
        ),
    ] = 0
    feed_age_max_s: Annotated[
        Annotated[int, Meta(ge=1, le=31_536_000)] | None,
        Meta(description="Leaves nodes out whose stock feed last came longer ago."),
    ] = None
    stale_feed_minor: Annotated[
        Price | None,
        Meta(description="They cost this for each fulfillment instead; not part of `cost`."),
    ] = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which orders get a strategy; a list that is empty matches every order."""

    strategy: Name
    channels: Keys = ()
    countries: Annotated[Keys, Meta(description="ISO 3166-1 alpha-2.")] = ()
    zones: Keys = ()
    tags: Annotated[Keys, Meta(description="One of them on the order is enough.")] = ()


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first rule that matches an order names its strategy; without one it is `cheapest`."""

    rules: Annotated[tuple[Rule, ...], Meta(max_length=500)] = ()
