"""Decision records: small, replayable, and true in every number they give."""

import msgspec
import pytest

from routing.assemble import objective_minor
from routing.candidates import candidates
from routing.check import check
from routing.explain import explain, least_using_minor, replay, why_not
from routing.model import improve
from routing.problem import Policy, Problem
from tests.routing.baskets import decided
from tests.routing.random_problems import random_problem
from tests.routing.sparse_network import Network


def least_using(problem: Problem, node_id: str) -> int | None:
    """The optimum among plans that use the node, over all nodes, pruned by nothing."""
    instance = candidates(problem, prune=False)
    slots = tuple(k for k, slot in enumerate(instance.slots) if slot.node.node_id == node_id)
    if not slots:
        return None
    answer = improve(instance, None, 10_000, slots)
    return None if answer.units is None else objective_minor(instance, answer.units)


@pytest.mark.parametrize("start", range(3_000, 3_300, 50))
def test_a_proven_plan_replays_bit_for_bit_from_its_encoded_record(start: int) -> None:
    """An auditor must get the plan that was made, not merely one as cheap."""
    for seed in range(start, start + 50):
        problem = random_problem(seed)
        decision = decided(problem)

        again = replay(decision)

        assert check(problem, decision.plan) == []
        assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(decision.plan), seed


def test_a_plan_proven_by_parting_is_proven_so_where_the_other_way_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many units of few lines can keep the search for minutes, and parting some milliseconds."""
    unproven = 0
    for seed in range(200):
        decision = decided(random_problem(seed))
        if decision.plan.found_by == "partition":
            with monkeypatch.context() as patched:
                patched.setattr("routing.explain.READING_LIMIT_MS", 0)
                assert replay(decision) == decision.plan
                patched.setattr("routing.explain._parted", lambda *_: False)
                unproven += replay(decision).status != "optimal"
    assert unproven > 5


def test_a_record_that_was_tampered_with_replays_to_another_plan() -> None:
    """The replay solves; it does not read the answer back."""
    changed = 0
    for seed in range(60):
        decision = decided(random_problem(seed))
        stock = tuple(
            msgspec.structs.replace(s, available=s.available + 5) for s in decision.problem.stock
        )
        tampered = msgspec.structs.replace(
            decision, problem=msgspec.structs.replace(decision.problem, stock=stock)
        )

        changed += replay(tampered).objective_minor < decision.plan.objective_minor

    assert changed > 10


def test_what_a_priced_out_node_costs_at_least_is_true() -> None:
    """A manager who is told "at least 14.20" must not find a plan for 14.10."""
    told = 0
    for seed in range(150):
        problem = random_problem(seed)
        decision = decided(problem)
        for verdict in decision.verdicts:
            if verdict.reason == "priced_out":
                for node_id, minor in zip(verdict.node_ids, verdict.minor, strict=True):
                    least = least_using(problem, node_id)
                    assert least is None or least >= minor, (seed, node_id)
                    told += 1

    network = Network(3, stores=40, warehouses=3)
    for seed in range(6):
        problem = network.problem(seed, 7, Policy(time_limit_ms=5_000))
        decision = decided(problem)
        for verdict in decision.verdicts:
            if verdict.reason == "priced_out":
                for node_id, minor in list(zip(verdict.node_ids, verdict.minor, strict=True))[:3]:
                    least = least_using(problem, node_id)
                    assert least is None or least >= minor, (seed, node_id)
                    told += 1
    assert told > 5


def test_every_node_gets_an_answer_and_candidates_get_the_exact_difference() -> None:
    """Why this node and not that one, for each node of the problem and one that is not in it."""
    for seed in range(40):
        problem = random_problem(seed)
        decision = decided(problem)

        for node in problem.nodes:
            sentence = why_not(decision, node.node_id)
            assert sentence.startswith(node.node_id), (seed, sentence)
            kept = any(n.node_id == node.node_id for n in decision.problem.nodes)
            if kept:
                assert least_using_minor(decision, node.node_id) == least_using(
                    problem, node.node_id
                ), (seed, node.node_id)
        assert "was not offered" in why_not(decision, "nowhere")


def test_the_runner_up_is_a_valid_plan_without_the_main_node() -> None:
    """The alternative a reader sees must be one that could have been made."""
    seen = 0
    for seed in range(150):
        problem = random_problem(seed)
        decision = decided(problem)
        if decision.runner_up is not None:
            seen += 1
            used = {f.node_id for f in decision.runner_up.fulfillments}
            assert decision.runner_up_without not in used
            assert check(problem, decision.runner_up) == [], seed
            assert decision.runner_up.objective_minor >= decision.plan.objective_minor
    assert seen > 50


def test_the_explanation_of_a_real_sized_order_names_costs_and_reasons() -> None:
    """One answer holds sentences, candidates with stock seen and cost, verdicts and runner-up."""
    problem = Network(1, stores=60, warehouses=3).problem(7, 5, Policy(time_limit_ms=5_000))
    decision = decided(problem)

    told = explain(decision, node_id="store-012")

    assert told["solver"]["status"] == "optimal"
    assert any("In all" in sentence for sentence in told["sentences"])
    assert any("No plan is cheaper" in sentence for sentence in told["sentences"])
    assert {row["node_id"] for row in told["candidates"]} >= {
        f.node_id for f in decision.plan.fulfillments
    }
    assert all(row["units"] and row["cost_alone"]["total_minor"] for row in told["candidates"])
    assert told["why_not"].startswith("store-012")
    assert told["runner_up"]["objective_minor"] >= told["solver"]["objective_minor"]
    assert msgspec.json.encode(told)
