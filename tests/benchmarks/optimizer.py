"""The optimizer alone: CPU time by nodes and lines, and its answers beside those of CP-SAT.

Orders are drawn by seed: quantities of one to three, stock of each sku at seven of ten warehouses
and three of ten stores, or at every node; parcels priced by weight and distance. The destination is
prepared once, as in the service, and only the planning of each order is timed, its record included.

Run as a module it reads `Ask`s from standard input and writes `Told`s to standard output: a process
of its own, so that nothing else is in its CPU time.
"""

import random
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from time import process_time

import msgspec
import numpy as np

from routing.basket import Basket, held
from routing.candidates import candidates
from routing.destination import destination
from routing.model import improve
from routing.plan_basket import plan_basket
from routing.problem import (
    Bracket,
    Calendar,
    Lane,
    Line,
    Node,
    Policy,
    Problem,
    Stock,
    Tariff,
)
from routing.terrain import Terrain, prepare
from tests.benchmarks.generator import read_frame, write_frame

NODES = (10, 50, 200, 500, 2_000, 5_000)
LINES = (1, 2, 4, 6, 10)
COMPARED_NODES, COMPARED_LINES = (10, 20, 50), (1, 2, 3, 4)
WAREHOUSES = 0.1
"""Share of nodes that are warehouses."""
STOCKED = {"warehouse": 0.7, "store": 0.3}
"""Share of nodes that hold a sku."""
EVERYWHERE = {"warehouse": 1.0, "store": 1.0}
FEW_NODES, MANY_NODES, SHORT_LINES = 500, 5_000, 6
"""Orders of up to so many lines are to take about as long among many nodes as among few."""
BANDS = ((400, 520), (1_000, 610), (2_000, 740), (10_000, 980))
"""Distance in km up to which a parcel of a kilogram costs so much."""
BRACKETS = ((1_000, 1.0), (2_000, 1.15), (5_000, 1.5), (10_000, 1.9), (31_500, 3.2))
LIMIT_MS = 1_000
CP_SAT_MS = 60_000
NOW = datetime(2026, 5, 12, 14, 30, tzinfo=UTC)
DAILY = Calendar(calendar_id="daily", weekdays=(1, 2, 3, 4, 5, 6, 7))
CALIBRATION_STEPS = 20_000


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure: so many orders of each size, and so many beside CP-SAT."""

    seed: int
    orders: int
    compared: int


WARM = Ask(seed=0, orders=1, compared=1)
"""To be asked first: what is compiled on first use must not be measured."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    timed: dict[str, float]
    """CPU milliseconds, median, by `nodes x lines`, the same where every node holds every sku; and of
    the calibration."""
    growth: float
    """The most that an order of up to six lines takes among 5,000 nodes for what it takes among 500;
    of the medians by number of lines."""
    growth_everywhere: float
    """The same where every node holds every sku."""
    proven: float
    """Share of the timed orders whose plan is proven optimal."""
    compared: int
    wrong: list[str]
    """Each order whose proven plan is not as cheap as CP-SAT's, in words."""
    cp_sat_ms: float
    """CPU milliseconds of CP-SAT on the compared orders, model included, median."""
    compared_ms: float
    """CPU milliseconds of the optimizer on the same orders, median."""


class Place(msgspec.Struct, frozen=True):
    """A network seen from one destination."""

    nodes: tuple[Node, ...]
    lanes: tuple[Lane, ...]
    tariffs: tuple[Tariff, ...]
    terrain: Terrain


def place(count: int, seed: int) -> Place:
    """Return `count` nodes strewn over a map of 4,000 by 2,000 km around a destination."""
    chance = random.Random(f"{seed}-{count}")
    warehouses = max(1, round(count * WAREHOUSES))
    nodes = tuple(node(number, number < warehouses) for number in range(count))
    home = (chance.uniform(0, 4_000), chance.uniform(0, 2_000))
    lanes = tuple(lane(each, home, chance) for each in nodes)
    tariffs = tuple(tariff(number) for number in range(len(BANDS)))
    served = destination(nodes, lanes, (DAILY,), tariffs, "America/Chicago")
    numbers = {each.node_id: number for number, each in enumerate(nodes)}
    return Place(nodes, lanes, tariffs, prepare(served, numbers, NOW))


def node(number: int, is_warehouse: bool) -> Node:
    """Return a node; a store's work costs more than a warehouse's."""
    return Node(
        node_id=f"node-{number:04}",
        kind="warehouse" if is_warehouse else "store",
        time_zone="America/Chicago",
        calendar_id=DAILY.calendar_id,
        cut_off=time(18),
        handling_days=0 if is_warehouse else 1,
        capabilities=("ship", "pickup"),
        handling_order_minor=60 if is_warehouse else 150,
        handling_unit_minor=15 if is_warehouse else 40,
    )


def lane(start: Node, home: tuple[float, float], chance: random.Random) -> Lane:
    """Return the lane from a node, put somewhere on the map, to the destination."""
    distance = np.hypot(chance.uniform(0, 4_000) - home[0], chance.uniform(0, 2_000) - home[1])
    band = next(number for number, (km, _) in enumerate(BANDS) if distance <= km)
    return Lane(
        node_id=start.node_id,
        service="ground",
        tariff_id=f"band-{band}",
        transit_days_min=1 + band // 2,
        transit_days_max=1 + band,
    )


def tariff(band: int) -> Tariff:
    """Return the prices of parcels over a distance."""
    base = BANDS[band][1]
    return Tariff(
        tariff_id=f"band-{band}",
        brackets=tuple(
            Bracket(weight_grams_max=grams, price_minor=round(base * factor))
            for grams, factor in BRACKETS
        ),
    )


def problem(
    at: Place, lines: int, chance: random.Random, stocked: Mapping[str, float] = STOCKED
) -> Problem:
    """Return a random order of so many lines as a problem of its own."""
    asked = tuple(
        Line(
            line_id=str(number),
            sku=f"sku-{number}",
            quantity=chance.randint(1, 3),
            weight_grams=chance.randint(150, 2_500),
        )
        for number in range(lines)
    )
    return Problem(
        now=NOW,
        destination_time_zone="America/Chicago",
        lines=asked,
        nodes=at.nodes,
        stock=tuple(
            Stock(node_id=each.node_id, sku=line.sku, available=chance.randint(1, 5))
            for line in asked
            for each in at.nodes
            if chance.random() < stocked[each.kind]
        ),
        lanes=at.lanes,
        calendars=(DAILY,),
        tariffs=at.tariffs,
        policy=Policy(time_limit_ms=LIMIT_MS),
    )


def basket(at: Place, asked: Problem) -> Basket:
    """Return the order of a problem as the service would ask it."""
    number_of = {each.node_id: number for number, each in enumerate(at.nodes)}
    cells: dict[str, list[tuple[int, int]]] = {line.sku: [] for line in asked.lines}
    for row in asked.stock:
        cells[row.sku].append((number_of[row.node_id], row.available))
    return Basket(
        now=asked.now,
        lines=asked.lines,
        policy=asked.policy,
        held=held(
            asked.lines,
            {
                sku: (
                    np.array([number for number, _ in rows], np.int32),
                    np.array([units for _, units in rows], np.int64),
                )
                for sku, rows in cells.items()
            },
        ),
    )


def measure(ask: Ask) -> Told:
    """Time orders of every size, and compare smaller ones with CP-SAT."""
    timed = {"calibration_ms": calibration_ms()}
    proven: list[bool] = []
    for count in NODES:
        at = place(count, ask.seed)
        for lines in LINES:
            timed[f"{count}x{lines}_ms"], statuses = sized(ask, at, lines, STOCKED)
            proven += statuses
            if count in {FEW_NODES, MANY_NODES} and lines <= SHORT_LINES:
                timed[f"everywhere_{count}x{lines}_ms"], _ = sized(ask, at, lines, EVERYWHERE)
    beside = list(compared(ask))
    return Told(
        timed=timed,
        growth=growth(timed, ""),
        growth_everywhere=growth(timed, "everywhere_"),
        proven=float(np.mean(proven)),
        compared=len(beside),
        wrong=[wrong for _, _, wrong in beside if wrong],
        compared_ms=float(np.median([ms for ms, _, _ in beside] or [0])),
        cp_sat_ms=float(np.median([ms for _, ms, _ in beside] or [0])),
    )


def sized(
    ask: Ask, at: Place, lines: int, stocked: Mapping[str, float]
) -> tuple[float, list[bool]]:
    """Return the median CPU milliseconds of orders of one size, and which were proven."""
    chance = random.Random(f"{ask.seed}-{len(at.nodes)}-{lines}")
    # All are made before the first is timed, as what makes them is no part of planning.
    asked = [basket(at, problem(at, lines, chance, stocked)) for _ in range(ask.orders + 1)]
    found = [planned(at, each) for each in asked]
    # The first one meets staircases that nobody has prepared.
    ms = float(np.median([ms for ms, _, _ in found[1:]]))
    return ms, [status == "optimal" for _, status, _ in found]


def growth(timed: Mapping[str, float], where: str) -> float:
    """Return the largest ratio between many and few nodes over the sizes of short orders."""
    return max(
        timed[f"{where}{MANY_NODES}x{lines}_ms"] / timed[f"{where}{FEW_NODES}x{lines}_ms"]
        for lines in LINES
        if lines <= SHORT_LINES
    )


def planned(at: Place, asked: Basket) -> tuple[float, str, int]:
    """Return the CPU milliseconds, the status and the objective of an order's plan."""
    begun = process_time()
    plan = plan_basket(at.terrain, asked, LIMIT_MS).plan
    return (process_time() - begun) * 1000, plan.status, plan.objective_minor


def compared(ask: Ask) -> Iterator[tuple[float, float, str]]:
    """Yield for each small order the CPU milliseconds here and in CP-SAT, and what is wrong."""
    sizes = [(count, lines) for count in COMPARED_NODES for lines in COMPARED_LINES]
    places = {count: place(count, ask.seed) for count in COMPARED_NODES}
    for number in range(ask.compared):
        count, lines = sizes[number % len(sizes)]
        chance = random.Random(f"{ask.seed}-beside-{number}")
        asked = problem(places[count], lines, chance)
        ms, status, objective = planned(places[count], basket(places[count], asked))
        begun = process_time()
        answer = improve(candidates(asked, prune=False), None, CP_SAT_MS)
        theirs_ms = (process_time() - begun) * 1000
        wrong = ""
        if status != "optimal" or objective != answer.bound_minor:
            wrong = (
                f"order {number} of seed {ask.seed}, {count} nodes and {lines} lines: {status} at "
                f"{objective}, CP-SAT at {answer.bound_minor}"
            )
        yield ms, theirs_ms, wrong


def calibration_ms() -> float:
    """Return the CPU milliseconds of a fixed piece of work, the smallest of five."""
    return min(calibrated() for _ in range(5))


def calibrated() -> float:
    """Return the CPU milliseconds of a loop such as Python programs have, and a little numpy."""
    begun = process_time()
    found: dict[int, int] = {}
    state = 12_345
    for step in range(CALIBRATION_STEPS):
        state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
        found[state % 1_024] = found.get(state % 1_024, 0) + step
    values = np.arange(CALIBRATION_STEPS, dtype=np.int64)
    for _ in range(20):
        values = np.sort((values * 31 + len(found)) % 65_521)
    return (process_time() - begun) * 1000


def main() -> None:
    """Answer until standard input ends."""
    while (ask := read_frame(sys.stdin.buffer, Ask)) is not None:
        write_frame(sys.stdout.buffer, measure(ask))


if __name__ == "__main__":
    main()
