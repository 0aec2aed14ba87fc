"""Sentences a store manager can read about a decision."""

from routing.instance import Reason, Verdict
from routing.plan import Fulfillment, Plan

MEANINGS: dict[Reason, str] = {
    "no_stock": "holds none of the order's items",
    "not_asked": "is not where any line is to be collected",
    "incapable": "may not ship or hand over any of the items it holds",
    "no_lane": "has no carrier service to the destination",
    "closed": "or its carriers work no date within a year",
    "full": "has no capacity left on any date on offer",
    "dominated": "holds nothing that another node does not hold in full, no dearer and no later",
    "priced_out": "cannot be in any plan that costs less than the chosen one",
    "open": "was still possible when the time limit ended the search",
}


def money(minor: int, decimals: int) -> str:
    """An amount with `decimals` decimals, such as 13.80."""
    return f"{minor / 10**decimals:.{decimals}f}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _part(f: Fulfillment, decimals: int) -> str:
    units = _counted(sum(part.quantity for part in f.lines), "unit")
    lines = _counted(len({part.line_id for part in f.lines}), "line")
    later = [part.available_on for part in f.lines if part.source == "supply"]
    waits = f", with supply expected by {max(later)}" if later else ""
    price = money(f.cost.total_minor, decimals)
    if f.method == "pickup":
        return (
            f"{f.node_id} hands over {units} of {lines}, ready on {f.promise.latest}{waits},"
            f" for {price}."
        )
    return (
        f"{f.node_id} ships {units} of {lines} by {f.service}, leaving on {f.work_on} and arriving"
        f" between {f.promise.earliest} and {f.promise.latest}{waits}, for {price}."
    )


def told(plan: Plan, runner_up: Plan | None, without: str | None, decimals: int) -> list[str]:
    """The plan, its price, its proof and its runner-up, one sentence each."""
    found = [_part(f, decimals) for f in plan.fulfillments]
    cost = plan.cost
    found.append(
        f"In all {money(cost.total_minor, decimals)}: parcels {money(cost.parcels_minor, decimals)},"
        f" handling {money(cost.handling_minor, decimals)},"
        f" split {money(cost.split_minor, decimals)},"
        f" lateness {money(cost.lateness_minor, decimals)}."
    )
    found += _weighed(plan, decimals)
    found += [f"Line {s.line_id} is {_counted(s.quantity, 'unit')} short." for s in plan.shortfalls]
    found.append(_proof(plan, decimals))
    if runner_up is not None and without is not None:
        found.append(_second(plan, runner_up, without, decimals))
    return found


def _weighed(plan: Plan, decimals: int) -> list[str]:
    """What was weighed beyond money, beside waiting and shortage; nothing where nothing was."""
    prices = plan.prices
    named = (
        (prices.worth_minor, "for what the units may be worth at their nodes otherwise"),
        (prices.risk_minor, "for the risk that a node refuses"),
        (prices.surcharge_minor, "for work that comes to nodes which are short of time"),
        (prices.emissions_minor, "for emissions"),
        (prices.soft_minor, "for rules that were broken"),
    )
    parts = [f"{money(minor, decimals)} {what}" for minor, what in named if minor]
    return [f"Beyond money it weighed {', '.join(parts)}."] if parts else []


def _proof(plan: Plan, decimals: int) -> str:
    price = money(plan.objective_minor, decimals)
    if plan.status == "optimal":
        counted = "all that it weighed" if _weighed(plan, decimals) else "delay and shortage"
        return f"No plan is cheaper: with the prices of {counted} it comes to {price}."
    bound = money(plan.bound_minor, decimals)
    return f"Cheaper plans were not ruled out: this one comes to {price}, none is below {bound}."


def _second(plan: Plan, runner_up: Plan, without: str, decimals: int) -> str:
    names = " and ".join(dict.fromkeys(f.node_id for f in runner_up.fulfillments)) or "nobody"
    more = runner_up.objective_minor - plan.objective_minor
    short = sum(s.quantity for s in runner_up.shortfalls)
    lacks = f" and leave {_counted(short, 'unit')} short" if short else ""
    return (
        f"Without {without} the next best rule would use {names}{lacks},"
        f" at {money(more, decimals)} more."
    )


def chosen(plan: Plan, node_id: str, decimals: int) -> str:
    """What a node of the plan does."""
    parts = [_part(f, decimals) for f in plan.fulfillments if f.node_id == node_id]
    return " ".join([f"{node_id} is in the plan.", *parts])


def ruled_out(
    verdict: Verdict, node_id: str, minor: int, objective_minor: int, decimals: int
) -> str:
    """What kept a node from being a candidate."""
    meaning = MEANINGS[verdict.reason]
    if verdict.reason == "dominated":
        less = f"for at least {money(minor, decimals)} less per parcel" if minor else "for no more"
        return f"{node_id} {meaning}: whatever it could ship, {verdict.by} ships {less}."
    if verdict.reason == "priced_out":
        return (
            f"{node_id} {meaning}: every plan with it comes to at least {money(minor, decimals)},"
            f" the chosen one to {money(objective_minor, decimals)}."
        )
    return f"{node_id} {meaning}."


def dearer(plan: Plan, node_id: str, least_minor: int | None, decimals: int) -> str:
    """What the best plan with a candidate would have cost."""
    if least_minor is None:
        return f"{node_id} was a candidate, but no plan that uses it could be found."
    more = least_minor - plan.objective_minor
    if more > 0:
        best = f"comes to {money(least_minor, decimals)}, {money(more, decimals)} more"
        return f"{node_id} was a candidate: the best plan that uses it {best} than the chosen one."
    if more == 0:
        return f"{node_id} was a candidate: the best plan that uses it costs exactly the same."
    return (
        f"{node_id} was a candidate: with more time than the order had, a plan that uses it was"
        f" found {money(-more, decimals)} cheaper."
    )


def unknown(node_id: str) -> str:
    """For a node the problem did not contain."""
    return f"{node_id} was not offered to the optimizer: it held none of the order's items."
