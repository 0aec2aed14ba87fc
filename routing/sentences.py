"""Sentences a store manager can read about a decision."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date

from routing.instance import Reason, Verdict
from routing.plan import Fulfillment, Plan
from routing.problem import Node
from routing.voice import Voice, between, counted, listed, on
from routing.whatif import Change, Changes
from routing.whatif_goals import GoalChange, GoalChanges

MEANINGS: dict[Reason, str] = {
    "stale": "was left out, since the stock it reports is too old",
    "no_stock": "holds none of the order's items",
    "not_asked": "is not where any line is to be collected",
    "incapable": "may not ship or hand over any of the items it holds",
    "no_lane": "has no carrier service to the destination",
    "left_out": "belongs to no group of nodes that the strategy wants, or to one it does not want",
    "too_far": "is farther from the destination than the strategy wants",
    "no_service": "has no carrier service that the strategy wants",
    "closed": "or its carriers work no date within a year",
    "full": "has no capacity left on any date on offer",
    "dominated": "holds nothing that another node does not hold in full, no dearer and no later",
    "priced_out": "cannot be in any plan that costs less than the chosen one",
    "open": "was still possible when the time limit ended the search",
}
WORTH_OF = {
    "walk_in": "as walk-ins may want them there",
    "orders": "as later orders may want them",
    "markdown": "as others are likelier to be left for a markdown",
    "stockout": "as few weeks of supply are left there",
    "sizes": "as the last of a size would leave a run of sizes broken",
}


def _part(f: Fulfillment, voice: Voice) -> str:
    node, price = voice.node(f.node_id), voice.money(f.cost.total_minor)
    units = voice.units((part.sku, part.quantity) for part in f.lines)
    later: list[date] = [part.available_on for part in f.lines if part.source == "supply"]
    waits = f", with supply expected by {on(max(later))}" if later else ""
    if f.method == "pickup":
        return f"{node} hands over {units}, ready on {on(f.promise.latest)}{waits}, for {price}."
    if f.method == "ship_to_store":
        return (
            f"{node} sends {units} to {voice.node(f.pickup_node or '')} by {f.service}, leaving on"
            f" {on(f.work_on)} and ready there"
            f" {between(f.promise.earliest, f.promise.latest)}{waits}, for {price}."
        )
    return (
        f"{node} ships {units} by {f.service}, leaving on {on(f.work_on)} and arriving"
        f" {between(f.promise.earliest, f.promise.latest)}{waits}, for {price}."
    )


def told(plan: Plan, runner_up: Plan | None, without: str | None, voice: Voice) -> list[str]:
    """The plan, its price, its proof and its runner-up, one sentence each."""
    money, cost = voice.money, plan.cost
    found = [_part(f, voice) for f in plan.fulfillments]
    found.append(
        f"In all {money(cost.total_minor)}: parcels {money(cost.parcels_minor)},"
        f" handling {money(cost.handling_minor)}, split {money(cost.split_minor)},"
        f" lateness {money(cost.lateness_minor)}."
    )
    found += _weighed(plan, voice)
    found += _broken(plan, voice)
    found += [f"Line {s.line_id} is {counted(s.quantity, 'unit')} short." for s in plan.shortfalls]
    found.append(_proof(plan, voice))
    if runner_up is not None and without is not None:
        found.append(_second(plan, runner_up, without, voice))
    return found


def _weighed(plan: Plan, voice: Voice) -> list[str]:
    """What was weighed beyond money, beside waiting and shortage; nothing where nothing was."""
    prices = plan.prices
    goals = sum(each.price_minor for each in plan.broken if each.measured is not None)
    named = (
        (prices.worth_minor, "for what the units may be worth at their nodes otherwise"),
        (prices.risk_minor, "for the risk that a node refuses"),
        (prices.surcharge_minor, "for work that comes to nodes which are short of time"),
        (prices.emissions_minor, "for emissions"),
        (prices.soft_minor - goals, "for rules that were broken"),
        (goals, "for goals that were missed"),
    )
    parts = [f"{voice.money(minor)} {what}" for minor, what in named if minor]
    return [f"Beyond money it weighed {', '.join(parts)}."] if parts else []


def dated(plan: Plan, nodes: Iterable[Node], stale: Collection[str], voice: Voice) -> list[str]:
    """What work weighs on its dates beyond money, and which dates its nodes keep for others.

    Of nodes with a `stale` feed it is not said, as that may be what it weighs.
    """
    used = {f.node_id: f for f in plan.fulfillments}
    found = []
    for node in (each for each in nodes if each.node_id in used):
        name, work_on = voice.node(node.node_id), used[node.node_id].work_on
        if node.surcharge_minor and node.node_id not in stale:
            price = voice.money(node.surcharge_minor)
            found.append(f"Work on {on(work_on)} at {name} weighs {price}, as places are scarce.")
        for limit in node.capacity:
            if limit.kept and limit.work_on < work_on:
                there = counted(limit.kept, "place" if limit.unit == "orders" else "unit")
                found.append(
                    f"{name} keeps {there} on {on(limit.work_on)} for orders that cannot wait."
                )
    return found


def parted(terms: Mapping[str, int], voice: Voice) -> list[str]:
    """What the worth of the units is made up of; nothing where it is only one thing."""
    parts = [f"{voice.money(minor)} {WORTH_OF[name]}" for name, minor in terms.items() if minor]
    return [f"Of what its units may be worth, {listed(parts)}."] if parts else []


def parted_more(terms: Mapping[str, int], other: Mapping[str, int], voice: Voice) -> str:
    """What counts more in another plan, by what it is for; nothing where nothing does."""
    more = {name: minor - terms.get(name, 0) for name, minor in other.items()}
    parts = [f"{voice.money(more[name])} {WORTH_OF[name]}" for name in more if more[name] > 0]
    return f" Of what they may be worth more, {listed(parts)}." if parts else ""


def _broken(plan: Plan, voice: Voice) -> list[str]:
    """The soft rules that the plan breaks, the goals it misses, and what each counts."""
    found = []
    for each in plan.broken:
        counts = f"which counts {voice.money(each.price_minor)}"
        if each.measured is None or each.target is None:
            where = f" at {voice.node(each.node_id)}" if each.node_id else ""
            found.append(f"It breaks the rule {each.rule}{where}, {counts}.")
        else:
            came_to = measured(each.rule, each.measured, voice)
            wanted = measured(each.rule, each.target, voice)
            found.append(f"It comes to {came_to}, with a goal of {wanted}, {counts}.")
    return found


MEASURED = {
    "cost_minor": "{money} in all",
    "parcels_minor": "{money} for parcels",
    "handling_minor": "{money} for handling",
    "delivery_days": "{days} until the last delivery",
    "late_days": "{days} late over all lines",
    "fulfillments": "{fulfillments}",
    "shipments": "{parcels}",
    "distance_km": "{count} km over all parcels",
    "co2_grams": "{count} g of CO2",
    "group_units": "{units} from nodes to be spared",
}
"""Amounts of what goals measure."""


def measured(measure: str, count: int, voice: Voice) -> str:
    """An amount of what a goal measures, such as `3 parcels` or `12.40 EUR for parcels`."""
    return MEASURED[measure].format(
        count=count,
        money=voice.money(count),
        days=counted(count, "day"),
        fulfillments=counted(count, "fulfillment"),
        parcels=counted(count, "parcel"),
        units=counted(count, "unit"),
    )


def _proof(plan: Plan, voice: Voice) -> str:
    price = voice.money(plan.objective_minor)
    if plan.status == "optimal":
        what = "all that it weighed" if _weighed(plan, voice) else "delay and shortage"
        return f"No plan is cheaper: with the prices of {what} it comes to {price}."
    bound = voice.money(plan.bound_minor)
    return f"Cheaper plans were not ruled out: this one comes to {price}, none is below {bound}."


def _second(plan: Plan, runner_up: Plan, without: str, voice: Voice) -> str:
    nodes = dict.fromkeys(f.node_id for f in runner_up.fulfillments)
    names = listed([voice.node(node_id) for node_id in nodes]) or "nobody"
    what = f"Without {voice.node(without)} the next best rule would use {names}"
    short = sum(s.quantity for s in runner_up.shortfalls)
    if short > sum(s.quantity for s in plan.shortfalls):
        # The price of a shortfall is there to outweigh all else; nobody would pay it.
        return f"{what} and leave {counted(short, 'unit')} short."
    more = voice.money(runner_up.objective_minor - plan.objective_minor)
    return f"{what}, at {more} more."


def chosen(plan: Plan, node_id: str, voice: Voice) -> str:
    """What a node of the plan does."""
    parts = [_part(f, voice) for f in plan.fulfillments if f.node_id == node_id]
    return " ".join([f"{voice.node(node_id)} is in the plan.", *parts])


def ruled_out(verdict: Verdict, node_id: str, minor: int, plan: Plan, voice: Voice) -> str:
    """What kept a node from being a candidate."""
    node, meaning = voice.node(node_id), MEANINGS[verdict.reason]
    if verdict.reason == "dominated":
        less = f"for at least {voice.money(minor)} less per parcel" if minor else "for no more"
        by = voice.node(verdict.by or "")
        return f"{node} {meaning}: whatever it could ship, {by} ships {less}."
    if verdict.reason == "priced_out":
        return (
            f"{node} {meaning}: every plan with it comes to at least {voice.money(minor)},"
            f" the chosen one to {voice.money(plan.objective_minor)}."
        )
    if verdict.reason == "stale":
        age_s = verdict.age_s[verdict.node_ids.index(node_id)]
        return f"{node} {meaning}: its feed had last come {aged(age_s)} before."
    return f"{node} {meaning}."


def _outweighed(plan: Plan, best: Plan, voice: Voice) -> str:
    """What kept a plan of less money from being chosen, if it was something beyond money."""
    less = plan.cost.total_minor - best.cost.total_minor
    beyond, chosen = best.prices, plan.prices
    named = (
        (beyond.worth_minor - chosen.worth_minor, "its units may be worth {} more there"),
        (beyond.risk_minor - chosen.risk_minor, "refusals may cost {} more"),
        (beyond.surcharge_minor - chosen.surcharge_minor, "work comes {} dearer to busy nodes"),
    )
    parts = [what.format(voice.money(minor)) for minor, what in named if minor > 0]
    if less <= 0 or not parts:
        return ""
    return f" It would have been {voice.money(less)} less, but {listed(parts)}."


def aged(age_s: int) -> str:
    """An age in the largest unit of which it has at least two, such as `3 hours`."""
    for unit, seconds in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if age_s >= 2 * seconds:
            return f"{age_s // seconds} {unit}"
    return f"{age_s} seconds"


def dearer(plan: Plan, node_id: str, best: Plan | None, voice: Voice) -> str:
    """What the best plan with a candidate would have cost."""
    node = voice.node(node_id)
    if best is None:
        return f"{node} was a candidate, but no plan that uses it could be found."
    more = best.objective_minor - plan.objective_minor
    if more > 0:
        what = f"comes to {voice.money(best.objective_minor)}, {voice.money(more)} more"
        return (
            f"{node} was a candidate: the best plan that uses it {what} than the chosen one."
            f"{_outweighed(plan, best, voice)}"
        )
    if more == 0:
        return f"{node} was a candidate: the best plan that uses it costs exactly the same."
    return (
        f"{node} was a candidate: with more time than the order had, a plan that uses it was"
        f" found {voice.money(-more)} cheaper."
    )


def unknown(node_id: str, voice: Voice) -> str:
    """For a node the problem did not contain."""
    return f"{voice.node(node_id)} was not offered to the optimizer: it held nothing of the order."


def changed(plan: Plan, changes: Changes, voice: Voice) -> list[str]:
    """What would have brought a node into a plan, or more of the order to it."""
    node = voice.node(changes.node_id)
    used = any(f.node_id == changes.node_id for f in plan.fulfillments)
    found = [_change(plan, each, voice, used=used) for each in changes.found]
    if found or used or not changes.proven:
        return found
    return [f"Neither lower prices of {node} nor what it lacked would have made a cheaper plan."]


def _change(plan: Plan, change: Change, voice: Voice, *, used: bool) -> str:
    node = voice.node(change.node_id)
    if used:
        saved = voice.money(plan.objective_minor - change.objective_minor)
        if change.work_on is not None:
            places = counted(change.places, "more place")
            return f"{places} at {node} on {on(change.work_on)} would have saved {saved}."
        return f"{voice.units(change.units)} more at {node} would have saved {saved}."
    return f"{node} would have been chosen {_condition(plan, change, voice)}."


def _condition(plan: Plan, change: Change, voice: Voice) -> str:
    """What would have had to be different for a node to be chosen."""
    less = voice.money(change.less_minor)
    saved = voice.money(plan.objective_minor - change.objective_minor)
    match change.what:
        case "handling":
            return f"at {less} less handling for an order"
        case "parcels":
            return f"at {less} less for each of its parcels"
        case "worth":
            return f"if units there were worth {less} less otherwise"
        case "risk":
            return f"if the risk of its refusing a unit were worth {less} less"
        case "surcharge":
            return f"if an order more there counted {less} less"
        case _:
            return f"with {_more(change, voice)}, which would have saved {saved}"


def _more(change: Change, voice: Voice) -> str:
    """Units, or places on a date, that a node would have needed."""
    if change.work_on is not None:
        return f"{counted(change.places, 'more place')} on {on(change.work_on)}"
    return f"{voice.units(change.units)} more"


def loosened(plan: Plan, changes: GoalChanges, voice: Voice) -> list[str]:
    """Which goals stood in the way of a cheaper plan."""
    return [_loosened(plan, each, voice) for each in changes.found]


def _loosened(plan: Plan, change: GoalChange, voice: Voice) -> str:
    now = measured(change.measure, change.was + change.more, voice)
    what = "goal" if change.what == "target" else "limit"
    saved = voice.money(plan.objective_minor - change.objective_minor)
    was = measured(change.measure, change.was, voice)
    return f"With a {what} of {now} instead of {was}, another plan would have come to {saved} less."
