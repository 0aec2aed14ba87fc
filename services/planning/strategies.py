"""Strategies as versioned data: drafted, validated, made active, rolled back, never edited.

A *strategy* is the prices and limits that routing follows beside what things cost. The *rules* say
which strategy an order gets, by its channel, destination and tags. Both are documents with numbered
versions of which at most one is active; four strategies are built in as version 0, so that a new
installation routes sensibly and every roll-back has somewhere to end.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

import asyncpg
import msgspec
from msgspec import Meta

from routing.problem import Goal as RoutingGoal
from routing.validate import goal_faults
from services import records as shared_records
from services.ids import new_id
from services.planning import records as network_records
from services.planning import strategy_records as records
from services.planning.playbook import BUILT_IN, RULES, WAIT_DAYS, WORTH_SHARE_MAX
from services.planning.strategy_documents import Rule, Rules, Strategy
from services.planning.strategy_records import Kind, VersionRow
from services.problems import Refused

WAY_KM = 20_000
"""For validation: the longest way of a parcel, half around the earth."""

PARCEL_CO2_GRAMS = 100_000
"""For validation: the most that a parcel emits, which a heavy one by air does."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a strategy or of the rules, and what it is to the service."""

    name: Annotated[str, Meta(description="Empty for the rules.")]
    version: Annotated[int, Meta(description="0 is built in.")]
    state: Literal["draft", "active", "retired"]
    strategy: Strategy | None = None
    rules: Annotated[
        tuple[Rule, ...] | None, Meta(description="Only of the rules, which have no strategy.")
    ] = None
    note: str = ""
    actor: str = "nom"
    created_at: datetime | None = None
    activated_at: datetime | None = None


class Verdict(msgspec.Struct, frozen=True):
    """Whether a version can be made active, and what stands in the way."""

    valid: bool
    faults: tuple[str, ...]


def told(row: VersionRow) -> Version:
    """Return a version as the API tells it."""
    rules = strategy = None
    if row.kind == "rules":
        rules = msgspec.json.decode(row.body, type=Rules).rules
    else:
        strategy = msgspec.json.decode(row.body, type=Strategy)
    return Version(
        name=row.name,
        version=row.version,
        state=row.state,
        strategy=strategy,
        rules=rules,
        note=row.note,
        actor=row.actor,
        created_at=row.created_at,
        activated_at=row.activated_at,
    )


def built_in(name: str, *, active: bool) -> Version:
    """Return a strategy's version 0."""
    return Version(
        name=name, version=0, state="active" if active else "retired", strategy=BUILT_IN[name]
    )


async def in_force(connection: asyncpg.Connection) -> list[Version]:
    """Return the active version of every strategy by name, and of the rules first of all."""
    rows = await records.read_active(connection)
    told_rows = {row.name: told(row) for row in rows}
    rules = told_rows.pop(RULES, Version(name=RULES, version=0, state="active", rules=()))
    strategies = {name: built_in(name, active=True) for name in BUILT_IN} | told_rows
    return [rules, *(version for _, version in sorted(strategies.items()))]


async def history(connection: asyncpg.Connection, kind: Kind, name: str) -> list[Version]:
    """Return all versions of a document, newest first; raises `not-found` when there is none."""
    versions = [told(row) for row in await records.read_versions(connection, kind, name)]
    if name in BUILT_IN:
        versions.append(built_in(name, active=all(each.state != "active" for each in versions)))
    if not versions and kind == "strategy":
        raise Refused("not-found", f"There is no strategy {name}.")
    return versions


async def draft(
    connection: asyncpg.Connection, name: str, body: Strategy | Rules, note: str, actor: str
) -> Version:
    """Add a version that nothing follows yet; return it."""
    kind: Kind = "rules" if isinstance(body, Rules) else "strategy"
    await lock(connection, kind, name)
    row = await records.insert_version(
        connection, kind, name, msgspec.json.encode(body), note, actor
    )
    return told(row)


async def validate(connection: asyncpg.Connection, kind: Kind, name: str, version: int) -> Verdict:
    """Say what keeps a version from being made active; raises `not-found`."""
    return verdict(await faults_of(connection, await find(connection, kind, name, version)))


async def activate(
    connection: asyncpg.Connection, kind: Kind, name: str, version: int, *, actor: str
) -> Version:
    """Put a version in force, in place of the one before.

    Raises `not-found`, `invalid-strategy` with all faults. Making the active one active changes
    nothing. Every process follows at its next look at the network, within `NOM_NETWORK_POLL_MS`.
    """
    await lock(connection, kind, name)
    row = await find(connection, kind, name, version)
    if row.state == "active":
        return told(row)
    faults = await faults_of(connection, row)
    if faults:
        raise Refused(
            "invalid-strategy",
            f"Version {version} cannot be followed: {' '.join(faults[:3])}",
            faults=faults,
        )
    return await put_in_force(connection, kind, name, version, actor)


async def roll_back(
    connection: asyncpg.Connection, kind: Kind, name: str, *, actor: str
) -> Version:
    """Put the version in force again that was so before the present one; return it.

    Of a built-in strategy that is version 0 in the end. Raises `illegal-state` when there is none.
    """
    await lock(connection, kind, name)
    active = await records.find_active(connection, kind, name)
    if active is None:
        raise Refused("illegal-state", "Nothing but what is built in was ever active here.")
    if active.replaced is not None:
        return await put_in_force(connection, kind, name, active.replaced, actor, back=True)
    if kind == "strategy" and name not in BUILT_IN:
        raise Refused(
            "illegal-state",
            f"Version {active.version} is the first of {name} that was active; make another one "
            "active instead, or take the strategy out of the rules.",
        )
    await network_records.bump_version(connection)
    await records.retire(connection, kind, name)
    await emit(connection, kind, name, 0, actor)
    if kind == "rules":
        return Version(name=RULES, version=0, state="active", rules=())
    return built_in(name, active=True)


async def put_in_force(
    connection: asyncpg.Connection,
    kind: Kind,
    name: str,
    version: int,
    actor: str,
    *,
    back: bool = False,
) -> Version:
    """Swap the active version, tell every process and write the event of it."""
    await network_records.bump_version(connection)
    replaced = await records.retire(connection, kind, name)
    row = await records.set_active(
        connection, kind, name, version, replaced=None if back else replaced, keep=back
    )
    await emit(connection, kind, name, version, actor)
    return told(row)


async def emit(
    connection: asyncpg.Connection, kind: Kind, name: str, version: int, actor: str
) -> None:
    """Write the event of a change of what is in force."""
    subject = f"strategy:{name}" if kind == "strategy" else "strategy-rules"
    event = shared_records.Event(
        new_id(), f"{kind}.activated", subject, actor, {"name": name, "version": version}
    )
    await shared_records.insert_events(connection, [event])


async def lock(connection: asyncpg.Connection, kind: Kind, name: str) -> None:
    """Let writers of one document take turns."""
    await shared_records.lock_names(connection, [f"strategy:{kind}:{name}".encode()])


async def find(connection: asyncpg.Connection, kind: Kind, name: str, version: int) -> VersionRow:
    """Return a version; raises `not-found`."""
    row = await records.find_version(connection, kind, name, version)
    if row is None:
        raise Refused("not-found", f"There is no version {version} of {name or 'the rules'}.")
    return row


def verdict(faults: Sequence[str]) -> Verdict:
    """Return faults as an answer."""
    return Verdict(not faults, tuple(faults))


async def faults_of(connection: asyncpg.Connection, row: VersionRow) -> list[str]:
    """Return what is wrong with a version, in sentences that say what helps."""
    if row.kind == "rules":
        rules = msgspec.json.decode(row.body, type=Rules)
        active = {each.name for each in await records.read_active(connection)} | BUILT_IN.keys()
        zones = sorted({zone for rule in rules.rules for zone in rule.zones})
        missing = await network_records.missing_zones(connection, zones)
        return rule_faults(rules, active, missing)
    strategy = msgspec.json.decode(row.body, type=Strategy)
    dearest = await records.dearest_minor(connection)
    return [*feed_faults(strategy), *goals_faults(strategy), *price_faults(strategy, dearest)]


def rule_faults(rules: Rules, active: set[str], missing_zones: Sequence[str]) -> list[str]:
    """Return what rules name that does not exist, and rules that can never be reached."""
    faults = [
        f"Rule {number} names strategy {rule.strategy}, which has no active version."
        for number, rule in enumerate(rules.rules, 1)
        if rule.strategy not in active
    ]
    faults += [f"There is no zone {zone_id}." for zone_id in missing_zones]
    for number, rule in enumerate(rules.rules[:-1], 1):
        if not (rule.channels or rule.countries or rule.zones or rule.tags):
            faults.append(
                f"Rule {number} matches every order, so rules {number + 1} and on are never "
                "reached; put it last."
            )
    return faults


def feed_faults(strategy: Strategy) -> list[str]:
    """Return what a strategy says of old feeds that would have no effect."""
    if strategy.stale_feed_minor is None or strategy.feed_age_max_s is not None:
        return []
    return ["stale_feed_minor has no effect without feed_age_max_s; say from what age it counts."]


def goals_faults(strategy: Strategy) -> list[str]:
    """Return what is wrong with goals: what contradicts itself, and what would have no effect."""
    faults = [
        f"Goal {number}: {fault}."
        for number, goal in enumerate(strategy.goals, 1)
        for fault in goal_faults(RoutingGoal(**msgspec.structs.asdict(goal)))
    ]
    return faults + [
        f"Goal {number}: the goal of {goal.measure} has neither a price nor a limit, so it has no "
        "effect; give one of them."
        for number, goal in enumerate(strategy.goals, 1)
        if not goal.minor and goal.limit is None
    ]


def missed_minor(strategy: Strategy, dearest: Mapping[str, int]) -> int:
    """Return what giving one unit may add to the price of goals that are missed, at worst."""
    handed = dearest["parcel"] + dearest["handling"] + strategy.split_minor
    worst: dict[str, int] = {
        "cost_minor": handed + WAIT_DAYS * strategy.lateness_minor,
        "parcels_minor": dearest["parcel"],
        "handling_minor": dearest["handling"],
        "delivery_days": WAIT_DAYS,
        "late_days": WAIT_DAYS,
        "distance_km": WAY_KM,
        "co2_grams": PARCEL_CO2_GRAMS,
    }
    # The others count fulfillments, shipments and units, each one by one.
    return sum(-(-goal.minor * worst.get(goal.measure, 1) // goal.per) for goal in strategy.goals)


def price_faults(strategy: Strategy, dearest: Mapping[str, int]) -> list[str]:
    """Return why the price of a shortfall would not outweigh every other price.

    The dearest way to give one unit is a parcel of its own from a node of its own, late by
    `WAIT_DAYS`.
    """
    wait = WAIT_DAYS * (strategy.delay_minor + strategy.lateness_minor)
    learned = strategy.rejection_minor + strategy.capacity_minor
    learned += max(strategy.overload_minor, dearest["overload"])
    if strategy.worth_percent:
        learned += strategy.shortage_minor // WORTH_SHARE_MAX
    worst = dearest["parcel"] + dearest["handling"] + strategy.split_minor + wait + learned
    goals = missed_minor(strategy, dearest)
    worst += goals
    if strategy.shortage_minor > worst:
        return []
    fault = (
        f"shortage_minor {strategy.shortage_minor} must exceed {worst}, what giving one unit may "
        f"cost at worst (parcel {dearest['parcel']}, handling {dearest['handling']}, split "
        f"{strategy.split_minor}, {WAIT_DAYS} days late {wait}, worth, refusal and overload "
        f"{learned}, goals missed {goals}); else routing refuses orders that it could fill."
    )
    return [fault]
