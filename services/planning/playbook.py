"""What routing weighs beside costs, and which orders get it: strategies and the rules that choose.

A *strategy* is the prices and limits that routing follows beside what things cost. The *rules* say
which strategy an order gets, by its channel, destination and tags. Four strategies are built in, so
that a new installation routes sensibly. Versions of both are kept by `strategies`.
"""

from collections.abc import Sequence

import msgspec

from routing.problem import Goal, Policy, Soft
from services.planning.feed_ages import FeedRule
from services.planning.strategy_documents import Rule, Rules, Strategy
from services.planning.strategy_records import VersionRow

DEFAULT = "cheapest"
RULES = ""
"""Name of the one document of rules."""
WAIT_DAYS = 60
"""For validation: the longest wait that a shortfall must cost more than."""

WORTH_SHARE_MAX = 4
"""A unit's worth counts at most as the price of a shortfall divided by this, so that no price makes
leaving a customer without look cheaper than taking what there is."""


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What rules may ask of an order."""

    channel: str
    country: str | None = None
    zone_id: str | None = None
    tags: tuple[str, ...] = ()


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy makes of learned prices; see the fields of `Strategy`."""

    worth_percent: int
    walk_in_share_percent: int
    rejection_minor: int
    overload_minor: int
    capacity_minor: int
    worth_max_minor: int
    """A unit is never worth more."""
    order_worth_percent: int = 0
    markdown_percent: int = 0
    stockout_minor: int = 0
    stockout_weeks: int = 2
    broken_run_minor: int = 0

    @property
    def looks_at_units(self) -> bool:
        """Whether any price of a unit counts, beside the risk of a refusal."""
        return bool(self.worth_percent or self.order_worth_percent or self.looks_at_shelves)

    @property
    def looks_at_shelves(self) -> bool:
        """Whether it matters to the merchant himself where a unit is taken."""
        return bool(self.markdown_percent or self.stockout_minor or self.broken_run_minor)


BUILT_IN: dict[str, Strategy] = {
    "cheapest": Strategy(),
    # A day costs as much as the dearest upgrade to a faster service is worth to most shops.
    "fastest": Strategy(delay_minor=2_000),
    # A second parcel has to save a whole parcel's price before it is worth the customer's door.
    "fewest_parcels": Strategy(split_minor=2_500),
    # A refusal costs about a parcel and the work of placing the unit again. See the README of services
    # for what was tried.
    "protect-stores": Strategy(
        worth_percent=100,
        order_worth_percent=100,
        markdown_percent=100,
        stockout_minor=10,
        stockout_weeks=2,
        broken_run_minor=200,
        rejection_minor=300,
        overload_minor=200,
    ),
}


class Playbook(msgspec.Struct, frozen=True, kw_only=True):
    """The strategies in force and the rules that choose between them; one per network version."""

    policies: dict[str, Policy]
    weights: dict[str, Weights] = {}
    """Of the strategies that look at learned prices, by the label of their policy."""
    rules: tuple[Rule, ...] = ()
    feeds: dict[str, FeedRule] = {}
    """What strategies say of old feeds, by the label of their policy; most say nothing."""

    @property
    def default(self) -> Policy:
        """The policy of an order that names no strategy and that no rule is for."""
        return self.policies[DEFAULT]

    def feed_rule(self, traits: Traits) -> FeedRule | None:
        """Return what the strategy that rules give an order says of old feeds."""
        return self.feeds.get(self.choose(traits).strategy) if self.feeds else None

    def choose(self, traits: Traits) -> Policy:
        """Return the policy of an order that names no strategy itself."""
        for rule in self.rules:
            if matches(rule, traits):
                return self.policies[rule.strategy]
        return self.default


def matches(rule: Rule, traits: Traits) -> bool:
    """Tell whether a rule is for an order."""
    return (
        (not rule.channels or traits.channel in rule.channels)
        and (not rule.countries or traits.country in rule.countries)
        and (not rule.zones or traits.zone_id in rule.zones)
        and (not rule.tags or not set(rule.tags).isdisjoint(traits.tags))
    )


def policy_of(name: str, version: int, strategy: Strategy) -> Policy:
    """Return a strategy as routing follows it; its label names the version, for decision records."""
    return Policy(
        strategy=f"{name}@{version}",
        split_minor=strategy.split_minor,
        lateness_minor=strategy.lateness_minor,
        delay_minor=strategy.delay_minor,
        shortage_minor=strategy.shortage_minor,
        shipments_max=strategy.shipments_max,
        nodes_per_line_max=strategy.nodes_per_line_max,
        split_value_min_minor=strategy.split_value_min_minor,
        radius_km=strategy.radius_km,
        groups_only=strategy.groups_only,
        groups_never=strategy.groups_never,
        services=strategy.services,
        soft=tuple(Soft(**msgspec.structs.asdict(rule)) for rule in strategy.soft),
        co2_minor_per_kg=strategy.co2_minor_per_kg,
        goals=tuple(Goal(**msgspec.structs.asdict(goal)) for goal in strategy.goals),
    )


def weights_of(strategy: Strategy) -> Weights | None:
    """Return what a strategy makes of learned prices; none where it does not look at them."""
    weights = Weights(
        worth_percent=strategy.worth_percent,
        walk_in_share_percent=strategy.walk_in_share_percent,
        rejection_minor=strategy.rejection_minor,
        overload_minor=strategy.overload_minor,
        capacity_minor=strategy.capacity_minor,
        worth_max_minor=strategy.shortage_minor // WORTH_SHARE_MAX,
        order_worth_percent=strategy.order_worth_percent,
        markdown_percent=strategy.markdown_percent,
        stockout_minor=strategy.stockout_minor,
        stockout_weeks=strategy.stockout_weeks,
        broken_run_minor=strategy.broken_run_minor,
    )
    looks = weights.looks_at_units or weights.rejection_minor
    return weights if looks or weights.overload_minor or weights.capacity_minor else None


def feed_rule_of(strategy: Strategy) -> FeedRule | None:
    """Return what a strategy says of nodes whose feed is old; none where it does not mind."""
    if strategy.feed_age_max_s is None:
        return None
    return FeedRule(strategy.feed_age_max_s, strategy.stale_feed_minor)


def playbook(active: Sequence[VersionRow]) -> Playbook:
    """Return what is in force: built-in strategies, and what planners have made active over them."""
    known = {name: (0, built_in) for name, built_in in BUILT_IN.items()}
    rules: tuple[Rule, ...] = ()
    for row in active:
        if row.kind == "rules":
            rules = msgspec.json.decode(row.body, type=Rules).rules
        else:
            known[row.name] = (row.version, msgspec.json.decode(row.body, type=Strategy))
    policies = {name: policy_of(name, *each) for name, each in known.items()}
    weighed = ((policies[name].strategy, weights_of(each)) for name, (_, each) in known.items())
    feeds = ((policies[name].strategy, feed_rule_of(each)) for name, (_, each) in known.items())
    # A strategy that was rolled back to nothing takes its rules with it.
    return Playbook(
        policies=policies,
        weights={label: weights for label, weights in weighed if weights is not None},
        rules=tuple(rule for rule in rules if rule.strategy in policies),
        feeds={label: rule for label, rule in feeds if rule is not None},
    )
