"""Time limits, impossible input and sizes: always an answer, or a sentence that says why not."""

import threading
from collections.abc import Callable
from datetime import datetime, time, timedelta

import msgspec
import pytest

from routing.check import check
from routing.problem import (
    Bracket,
    Calendar,
    Component,
    Policy,
    Problem,
    ProblemError,
    Supply,
    Tariff,
)
from routing.solve import solve, validate
from tests.routing import small
from tests.routing.sparse_network import Network

replace = msgspec.structs.replace


@pytest.mark.parametrize("limit_ms", [0, 1, 5])
def test_an_order_without_time_still_gets_a_valid_plan_that_admits_it(limit_ms: int) -> None:
    """The checkout waits for an answer, not for a proof."""
    network = Network(2, stores=80, warehouses=4)
    unproven = 0
    for seed in range(6):
        problem = network.problem(seed, 20, Policy(time_limit_ms=limit_ms))

        plan = solve(problem)

        assert check(problem, plan) == []
        unproven += plan.status != "optimal"
        if plan.status == "greedy":
            assert plan.bound_minor < plan.objective_minor
    if limit_ms == 0:
        assert unproven > 0


def test_more_time_never_gives_a_worse_plan_or_bound() -> None:
    """The incumbent is kept; the solver may only improve on it."""
    network = Network(2, stores=80, warehouses=4)
    for seed in range(4):
        hasty = solve(network.problem(seed, 12, Policy(time_limit_ms=0)))
        patient = solve(network.problem(seed, 12, Policy(time_limit_ms=3_000)))

        assert patient.objective_minor <= hasty.objective_minor
        assert patient.bound_minor >= hasty.bound_minor


def test_an_order_nobody_can_fill_is_short_and_proven_so() -> None:
    """No stock anywhere is an answer, not an error."""
    problem = small.problem((small.line("a", "apple", 2),), (small.node("one"),), ())

    plan = solve(problem)

    assert check(problem, plan) == []
    assert plan.status == "optimal"
    assert plan.shortfalls[0].quantity == 2


def test_a_network_without_nodes_is_answered() -> None:
    """An empty network is valid, if sad."""
    problem = small.problem((small.line("a", "apple"),), (), (), lanes=())

    assert solve(problem).status == "optimal"


def test_solving_in_threads_gives_the_same_plans() -> None:
    """The service solves in threads; nothing may leak from one order into another."""
    network = Network(4, stores=40, warehouses=3)
    problems = [network.problem(seed, 6, Policy(time_limit_ms=20_000)) for seed in range(8)]
    expected = [solve(problem) for problem in problems]
    found = dict.fromkeys(range(8), expected[0])

    def work(number: int) -> None:
        found[number] = solve(problems[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [found[number] for number in range(8)] == expected


def test_a_heavy_order_of_many_parcels_is_answered() -> None:
    """Hundreds of price steps must not make the model explode."""
    lines = (small.line("a", "apple", 900), small.line("b", "bread", 300))
    problem = small.problem(
        lines,
        (small.node("one"), small.node("two")),
        (
            small.stock("one", "apple", 700),
            small.stock("two", "apple", 700),
            small.stock("one", "bread", 300),
        ),
        policy=Policy(time_limit_ms=500),
    )
    validate(problem)

    plan = solve(problem)

    assert check(problem, plan) == []
    assert plan.shortfalls == ()


def base() -> Problem:
    """A valid problem."""
    return small.problem(
        (small.line("a", "apple"),), (small.node("one"),), (small.stock("one", "apple", 1),)
    )


def with_line(**changes: object) -> Problem:
    """The problem with its line changed."""
    problem = base()
    return replace(problem, lines=(replace(problem.lines[0], **changes),))


def with_policy(**changes: object) -> Problem:
    """The problem with its policy changed."""
    problem = base()
    return replace(problem, policy=replace(problem.policy, **changes))


def with_lane(**changes: object) -> Problem:
    """The problem with its lane changed."""
    problem = base()
    return replace(problem, lanes=(replace(problem.lanes[0], **changes),))


def with_node(**changes: object) -> Problem:
    """The problem with its node changed."""
    problem = base()
    return replace(problem, nodes=(replace(problem.nodes[0], **changes),))


def twice(field: str) -> Problem:
    """The problem with everything of a kind listed twice."""
    problem = base()
    return replace(problem, **{field: getattr(problem, field) * 2})


def with_stock(**changes: object) -> Problem:
    """The problem with its stock record changed."""
    problem = base()
    return replace(problem, stock=(replace(problem.stock[0], **changes),))


def with_supply(*supply: Supply) -> Problem:
    """The problem with expected supply."""
    return with_stock(supply=supply)


PO = Supply(supply_id="po", available_on=small.TODAY, quantity=1)
IMPOSSIBLE: dict[str, tuple[str, Callable[[], Problem]]] = {
    "no lines": ("no lines", lambda: replace(base(), lines=())),
    "line ids twice": ("line id a occurs twice", lambda: twice("lines")),
    "no units": ("asks for 0 units", lambda: with_line(quantity=0)),
    "fewer than no units": ("asks for -3 units", lambda: with_line(quantity=-3)),
    "too many units": ("more than 1000000", lambda: with_line(quantity=1_000_001)),
    "negative weight": ("weighs -1 g", lambda: with_line(weight_grams=-1)),
    "no method": ("allows no method", lambda: with_line(methods=())),
    "pickup nowhere": ("names no pickup_node", lambda: with_line(methods=("pickup",))),
    "a kit of less than one": (
        "has 0 units of bolt",
        lambda: with_line(components=(Component("bolt", 0),)),
    ),
    "a kit with a part twice": (
        "has bolt twice",
        lambda: with_line(components=(Component("bolt", 1), Component("bolt", 2))),
    ),
    "too many units in kits": (
        "more than 1000000",
        lambda: with_line(quantity=2, components=(Component("bolt", 600_000),)),
    ),
    "lines together that no method suits": (
        "no method and pickup node suits them all",
        lambda: replace(
            base(),
            lines=(
                replace(base().lines[0], together="set"),
                small.line("b", "bolt", together="set", methods=("pickup",), pickup_node="one"),
            ),
        ),
    ),
    "no nodes for a line": ("nodes_per_line_max is 0", lambda: with_policy(nodes_per_line_max=0)),
    "time without zone": (
        "instant in UTC",
        lambda: replace(base(), now=datetime(2026, 5, 12, 9)),  # noqa: DTZ001
    ),
    "unknown destination zone": (
        "Mars/Base is unknown",
        lambda: replace(base(), destination_time_zone="Mars/Base"),
    ),
    "negative price": ("outside 0 to", lambda: with_policy(split_minor=-1)),
    "negative shipments": ("shipments_max is -1", lambda: with_policy(shipments_max=-1)),
    "negative time": ("time_limit_ms is -1", lambda: with_policy(time_limit_ms=-1)),
    "nodes twice": ("node one is given twice", lambda: twice("nodes")),
    "calendars twice": ("calendar always is given twice", lambda: twice("calendars")),
    "tariffs twice": ("tariff near is given twice", lambda: twice("tariffs")),
    "lanes twice": ("is given twice", lambda: twice("lanes")),
    "stock twice": ("is given twice", lambda: twice("stock")),
    "weekday eight": (
        "use 1 to 7",
        lambda: replace(base(), calendars=(Calendar(calendar_id="always", weekdays=(8,)),)),
    ),
    "unknown node zone": ("Nowhere/Here", lambda: with_node(time_zone="Nowhere/Here")),
    "unknown calendar": (
        "calendar lost, which is not given",
        lambda: with_node(calendar_id="lost"),
    ),
    "negative handling days": ("handling days", lambda: with_node(handling_days=-1)),
    "negative handling": ("has handling", lambda: with_node(handling_unit_minor=-1)),
    "negative surcharge": ("has surcharge", lambda: with_node(surcharge_minor=-1)),
    "negative worth": ("has worth and risk", lambda: with_stock(worth_minor=-1)),
    "negative risk": ("has worth and risk", lambda: with_stock(risk_minor=-1)),
    "zoned cut-off": (
        "local time",
        lambda: with_node(cut_off=time(14, tzinfo=small.NOW.tzinfo)),
    ),
    "unknown tariff": ("tariff lost, which is not given", lambda: with_lane(tariff_id="lost")),
    "unknown carrier calendar": (
        "calendar lost, which is not given",
        lambda: with_lane(calendar_id="lost"),
    ),
    "transit backwards": ("min <= max", lambda: with_lane(transit_days_min=3)),
    "empty tariff": (
        "no brackets",
        lambda: replace(base(), tariffs=(Tariff(tariff_id="near", brackets=()), small.FAR)),
    ),
    "bracket of nothing": (
        "below 1 g",
        lambda: replace(
            base(),
            tariffs=(
                replace(small.NEAR, brackets=(Bracket(weight_grams_max=0, price_minor=1),)),
                small.FAR,
            ),
        ),
    ),
    "too many parcels": ("split it", lambda: with_line(quantity=999, weight_grams=31_000)),
    "too heavy": ("more than 67108864; split it", lambda: with_line(weight_grams=2**26 + 1)),
    "supply twice": ("po of apple at one is given twice", lambda: with_supply(PO, PO)),
    "negative supply": ("negative quantity", lambda: with_supply(replace(PO, quantity=-1))),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_problem_is_refused_with_a_sentence(name: str) -> None:
    """Each fault says what is wrong, with its value, and what to do."""
    words, make = IMPOSSIBLE[name]

    with pytest.raises(ProblemError, match=words.replace("(", r"\(")):
        validate(make())


def test_solving_meets_references_to_nothing_with_the_same_error() -> None:
    """Not every caller validates master data first; none may see a KeyError."""
    for problem in (
        with_node(calendar_id="lost"),
        with_lane(tariff_id="lost"),
        with_lane(calendar_id="lost"),
        twice("stock"),
    ):
        with pytest.raises(ProblemError):
            solve(problem)


def test_a_node_that_keeps_an_earlier_promise_is_not_left_out_for_a_cheaper_one() -> None:
    """Waiting costs nothing here, and still the later node does not do."""
    slow, fast = small.node("slow"), small.node("fast", handling_order_minor=300)
    lanes = small.lane("slow", days=5), small.lane("fast", days=1)
    problem = small.problem(
        (small.line("a", "apple", promised_by=small.TODAY + timedelta(days=2)),),
        (slow, fast),
        (small.stock("slow", "apple", 1), small.stock("fast", "apple", 1)),
        lanes=lanes,
        policy=Policy(delay_minor=0, time_limit_ms=5_000),
    )

    plan = solve(problem)

    assert [f.node_id for f in plan.fulfillments] == ["fast"]
    assert check(problem, plan) == []
