"""Why a plan is what it is: worked out from its record, when somebody reads it.

A decision holds the problem cut down to the nodes that could be in a plan as cheap as the chosen
one, what ruled out every other node, the plan and a runner-up. Sentences, prices of alternatives
and the replay are pure functions of it.
"""

import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from routing import sentences, whatif, whatif_goals
from routing.assemble import assemble
from routing.bound import Bound
from routing.bundles import needs_of
from routing.candidates import Choice, Outlook, candidates, choose, look, verdicts
from routing.greedy import quick
from routing.grid import grid
from routing.instance import Instance, Verdict
from routing.model import improve
from routing.partition import partition
from routing.placed import Parts, assignment_of, units_of
from routing.plan import Plan, Status
from routing.problem import Problem
from routing.solve import deadline_of, solve_instance
from routing.voice import Voice
from routing.whatif import Changes
from routing.whatif_goals import GoalChanges
from routing.worth_terms import WorthTerms, terms_of

NODES_MAX = 24
"""Most nodes a decision keeps in full, those of the plan first, then by what they could cost least."""

NODES_MIN = 6
"""As many are kept where there are as many, so that a reader can compare what almost won."""

READING_LIMIT_MS = 5_000
"""Solver time a reader may spend on one question."""


PRICING_LIMIT_MS = 1_000
"""Time to work out what plans with each node cost at least; ordinary orders take a few of them."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One plan and what there is to say about it; `record.expand` makes it from a record."""

    plan: Plan
    problem: Problem
    """The problem as asked, without the nodes that `verdicts` rules out."""
    whole: Problem
    """The problem as asked, with all nodes."""
    verdicts: tuple[Verdict, ...]
    runner_up: Plan | None
    """The best plan of simple rules without the node that fulfills most units of the plan.

    None for an empty plan.
    """
    runner_up_without: str | None
    """That node."""
    stale: Mapping[str, int] = {}
    """By node: age in seconds of its feed, where that was too old to be taken as it is."""
    terms: WorthTerms = {}
    """What the worth of units is made up of, where that is more than one thing."""


def decision_on(
    problem: Problem,
    parts: Parts,
    proof: tuple[Status, str, int],
    pricing_ms: int = PRICING_LIMIT_MS,
) -> Decision:
    """The decision for a plan that was made: `parts` and its status, its step and its bound.

    What plans with each node cost at least is worked out for `pricing_ms`, where the plan was not
    proven; a proven plan takes a fraction of that. Raises `ValueError` for a part that the problem does not offer.
    """
    outlook = look(problem)
    choice = choose(outlook)
    if not {place[0] for place in parts} <= {slot.node.node_id for slot in choice.instance.slots}:
        # Capacities known only now can make another of two equal nodes the needless one.
        choice = choose(outlook, prune=False)
    units = units_of(choice.instance, parts)
    status, found_by, bound_minor = proof
    plan = assemble(
        choice.instance, units, bound_minor=bound_minor, found_by=found_by, unproven=status
    )
    deadline = time.perf_counter() + pricing_ms / 1000
    solution = solve_instance(choice.instance, deadline, units)
    return _decision(outlook, choice, plan, solution.priced)


def _decision(outlook: Outlook, choice: Choice, plan: Plan, priced: Bound) -> Decision:
    main = _main_node(plan)
    kept, late_verdicts = _kept(choice.instance, plan, priced)
    return Decision(
        plan=plan,
        problem=_cut_down(outlook.surveyed.problem, kept),
        whole=outlook.surveyed.problem,
        verdicts=verdicts(outlook, choice) + late_verdicts,
        runner_up=_runner_up(outlook, main) if main else None,
        runner_up_without=main,
    )


def with_feeds(decision: Decision, stale: Mapping[str, int]) -> Decision:
    """The decision with feeds that were too old; nodes that were left out for it get a verdict."""
    if not stale:
        return decision
    seen = {held.node_id for held in decision.whole.stock}
    out = tuple(sorted(stale.keys() - seen))
    found = [Verdict("stale", out, age_s=tuple(stale[node_id] for node_id in out))] if out else []
    for each in decision.verdicts:
        named = [n for n, node_id in enumerate(each.node_ids) if node_id not in out]
        node_ids = tuple(each.node_ids[n] for n in named)
        minor = tuple(each.minor[n] for n in named) if each.minor else ()
        if node_ids:
            found.append(msgspec.structs.replace(each, node_ids=node_ids, minor=minor))
    return msgspec.structs.replace(decision, verdicts=tuple(found), stale=dict(stale))


def replay(decision: Decision) -> Plan:
    """The plan rebuilt and, where it was proven, proven again from the record.

    By the search and the exact model, and by parting only where these run out of time.

    Equal to `decision.plan` bit for bit when that is optimal. A cheaper plan, if the record allowed
    one, would be returned instead, so a difference is an alarm.
    """
    problem, plan = _patient(decision.problem), decision.plan
    instance = candidates(problem, prune=False)
    units = assignment_of(instance, plan)
    if plan.status == "optimal":
        again = solve_instance(instance, deadline_of(problem), units).plan
        if again.status == "optimal" and again.objective_minor == plan.objective_minor:
            return msgspec.structs.replace(again, found_by=plan.found_by)
        if again.objective_minor < plan.objective_minor or not _parted(instance, plan):
            return again
    return assemble(
        instance,
        units,
        bound_minor=plan.bound_minor,
        found_by=plan.found_by,
        unproven=plan.status,
    )


def _parted(instance: Instance, plan: Plan) -> bool:
    """Whether parting proves that nothing is cheaper than a plan.

    It knows nothing of limits and goals, without which there are only more plans, none dearer.
    """
    parted = partition(grid(instance))
    return parted is not None and parted.objective_minor >= plan.objective_minor


def least_using_minor(decision: Decision, node_id: str) -> int | None:
    """The objective of the best plan that uses a kept node; none where no such plan was found."""
    found = best_using(decision, node_id)
    return None if found is None else found.objective_minor


def best_using(decision: Decision, node_id: str) -> Plan | None:
    """The best plan that uses a kept node; none where no such plan was found.

    Solves the recorded problem with the node made obligatory, within `READING_LIMIT_MS`.
    """
    instance = candidates(_patient(decision.problem), prune=False)
    slots = tuple(k for k, slot in enumerate(instance.slots) if slot.node.node_id == node_id)
    if not slots:
        return None
    answer = improve(instance, None, READING_LIMIT_MS, slots)
    if answer.units is None:
        return None
    return assemble(instance, answer.units, bound_minor=0, found_by="cp-sat", unproven="feasible")


def why_not(decision: Decision, node_id: str, voice: Voice | None = None) -> str:
    """Why `node_id` does not fulfill the order, or what it does, in one sentence with numbers."""
    plan, voice = decision.plan, voice or Voice()
    if any(f.node_id == node_id for f in plan.fulfillments):
        return sentences.chosen(plan, node_id, voice)
    for verdict in decision.verdicts:
        if node_id in verdict.node_ids:
            place = verdict.node_ids.index(node_id)
            minor = verdict.minor[place] if verdict.minor else 0
            return sentences.ruled_out(verdict, node_id, minor, plan, voice)
    if any(node.node_id == node_id for node in decision.problem.nodes):
        best, lines = best_using(decision, node_id), decision.problem.lines
        said = sentences.dearer(plan, node_id, best, voice)
        if best is None or not decision.terms:
            return said
        own = terms_of(plan, lines, decision.terms)
        return said + sentences.parted_more(own, terms_of(best, lines, decision.terms), voice)
    return sentences.unknown(node_id, voice)


def nodes_told(decision: Decision, node_id: str | None = None) -> list[str]:
    """Nodes that an explanation names, for whoever knows what they are called."""
    plans = [decision.plan, *([decision.runner_up] if decision.runner_up else [])]
    named = [f.node_id for plan in plans for f in plan.fulfillments]
    named += [f.pickup_node for plan in plans for f in plan.fulfillments if f.pickup_node]
    named += [verdict.by for verdict in decision.verdicts if verdict.by]
    return sorted({*named, *([node_id] if node_id else [])})


def what_if(decision: Decision, node_id: str | None = None) -> tuple[Changes, ...]:
    """What would have made a cheaper plan with the runner-up's leading node, and with `node_id`.

    Solves the whole problem again with each change, within `whatif.TIME_LIMIT_MS` for each node.
    """
    asked = dict.fromkeys(name for name in (_rival(decision), node_id) if name is not None)
    return tuple(whatif.changes(decision.whole, decision.plan, name) for name in asked)


def what_if_goals(decision: Decision) -> GoalChanges:
    """How much looser goals of the order's strategy would have had to be for a cheaper plan."""
    return whatif_goals.goal_changes(decision.whole, decision.plan)


def _rival(decision: Decision) -> str | None:
    """The node that fulfills most units of the runner-up, of those that the plan does not use."""
    used = {f.node_id for f in decision.plan.fulfillments}
    return _main_node(decision.runner_up, but=used) if decision.runner_up else None


def explain(
    decision: Decision, *, node_id: str | None = None, voice: Voice | None = None
) -> dict[str, Any]:
    """The decision as plain values for a reader: plan, sentences, candidates, verdicts, runner-up.

    Also what would have brought the runner-up's leading node into the plan and, where there are
    goals, which stood in the way of a cheaper one. With `node_id`, the same of that node, and why
    it was not chosen. Sentences are in `voice`.
    """
    plan, voice = decision.plan, voice or Voice()
    changes, goals = what_if(decision, node_id), what_if_goals(decision)
    said = sentences.told(plan, decision.runner_up, decision.runner_up_without, voice)
    said += sentences.dated(plan, decision.problem.nodes, decision.stale, voice)
    made_of = terms_of(plan, decision.problem.lines, decision.terms)
    said += sentences.parted(made_of, voice)
    said += [each for every in changes for each in sentences.changed(plan, every, voice)]
    said += sentences.loosened(plan, goals, voice)
    answer: dict[str, Any] = {
        "solver": {
            "status": plan.status,
            "found_by": plan.found_by,
            "objective_minor": plan.objective_minor,
            "bound_minor": plan.bound_minor,
        },
        "policy": msgspec.to_builtins(decision.problem.policy),
        "sentences": said,
        "plan": msgspec.to_builtins(plan),
        "candidates": _candidates(decision),
        "ruled_out": [
            {
                "reason": verdict.reason,
                "meaning": sentences.MEANINGS[verdict.reason],
                "node_ids": list(verdict.node_ids),
                "by": verdict.by,
                "minor": list(verdict.minor),
                **({"age_s": list(verdict.age_s)} if verdict.age_s else {}),
            }
            for verdict in decision.verdicts
        ],
        "stale_feeds": dict(decision.stale),
        "worth_of": made_of,
        "runner_up": msgspec.to_builtins(decision.runner_up),
        "runner_up_without": decision.runner_up_without,
        "what_if": msgspec.to_builtins(changes),
        "what_if_goals": msgspec.to_builtins(goals),
    }
    if node_id is not None:
        answer["why_not"] = why_not(decision, node_id, voice)
    return answer


def _candidates(decision: Decision) -> list[dict[str, Any]]:
    """Every fulfillment that was considered: the stock seen and what it would cost on its own."""
    instance = candidates(decision.problem, prune=False)
    rows = []
    for k, slot in enumerate(instance.slots):
        taken = {i: most for i, most in enumerate(instance.units_max[k]) if most}
        alone = (
            assemble(instance, {k: taken}, bound_minor=0, found_by="alone")
            if _fits(instance, taken)
            else None
        )
        rows.append(
            {
                "node_id": slot.node.node_id,
                "method": slot.method,
                "service": slot.service,
                "pickup_node": slot.pickup_node,
                "work_on": slot.work_on.isoformat(),
                "promise": msgspec.to_builtins(slot.promise),
                "units": {
                    line.line_id: most if line.together is None else line.quantity
                    for i, most in taken.items()
                    for line in instance.lines[i].members
                },
                "cost_alone": msgspec.to_builtins(alone.cost) if alone else None,
                "prices_alone": msgspec.to_builtins(alone.prices) if alone else None,
            }
        )
    return rows


def _fits(instance: Instance, taken: dict[int, int]) -> bool:
    """Whether no two lines of what is taken share a sku, so that it is all there at once."""
    skus = [sku for i in taken for sku, _ in instance.lines[i].parts]
    return len(set(skus)) == len(skus)


def _main_node(plan: Plan, but: AbstractSet[str] = frozenset()) -> str | None:
    """The node that fulfills most units of the plan, the first by id among equals."""
    units: dict[str, int] = {}
    for f in plan.fulfillments:
        if f.node_id not in but:
            units[f.node_id] = units.get(f.node_id, 0) + sum(part.quantity for part in f.lines)
    return min(units, key=lambda node_id: (-units[node_id], node_id), default=None)


def _runner_up(outlook: Outlook, main: str) -> Plan:
    instance = choose(outlook, without=frozenset((main,))).instance
    return assemble(instance, quick(instance), bound_minor=0, found_by="rules")


def _kept(instance: Instance, plan: Plan, priced: Bound) -> tuple[set[str], tuple[Verdict, ...]]:
    """Nodes to keep in full, and verdicts on the other candidates.

    A node is priced out when every plan that uses it costs at least as much as the chosen one.
    """
    objective = plan.objective_minor
    chosen = {f.node_id for f in plan.fulfillments}
    least: dict[str, int] = {}
    for slot, minor in zip(instance.slots, priced.least_minor, strict=True):
        node_id = slot.node.node_id
        least[node_id] = min(minor, least.get(node_id, minor))
    others = sorted((minor, node_id) for node_id, minor in least.items() if node_id not in chosen)
    room = max(0, NODES_MAX - len(chosen))
    opened = sum(1 for minor, _ in others if minor < objective)
    keep = min(room, max(opened, NODES_MIN - len(chosen)))
    rest = sorted((node_id, minor) for minor, node_id in others[keep:])
    found = []
    out = [(node_id, minor) for node_id, minor in rest if minor >= objective]
    if out:
        names, minors = zip(*out, strict=True)
        found.append(Verdict("priced_out", names, minor=minors))
    undecided = tuple(node_id for node_id, minor in rest if minor < objective)
    if undecided:
        found.append(Verdict("open", undecided))
    return chosen.union(node_id for _, node_id in others[:keep]), tuple(found)


def _cut_down(problem: Problem, kept: set[str]) -> Problem:
    """The problem with only these nodes and what they refer to."""
    skus = needs_of(problem.lines)
    sent_to = {lane.to_node for lane in problem.lanes if lane.node_id in kept}
    nodes = tuple(node for node in problem.nodes if node.node_id in kept | sent_to)
    lanes = tuple(lane for lane in problem.lanes if lane.node_id in kept)
    calendars = {node.calendar_id for node in nodes}.union(lane.calendar_id for lane in lanes)
    tariffs = {lane.tariff_id for lane in lanes}
    return msgspec.structs.replace(
        problem,
        nodes=nodes,
        lanes=lanes,
        stock=tuple(s for s in problem.stock if s.node_id in kept and s.sku in skus),
        calendars=tuple(c for c in problem.calendars if c.calendar_id in calendars),
        tariffs=tuple(t for t in problem.tariffs if t.tariff_id in tariffs),
    )


def _patient(problem: Problem) -> Problem:
    policy = msgspec.structs.replace(problem.policy, time_limit_ms=READING_LIMIT_MS)
    return msgspec.structs.replace(problem, policy=policy)


__all__ = ["Decision", "decision_on", "explain", "replay", "why_not"]
