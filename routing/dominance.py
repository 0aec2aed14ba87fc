"""Which nodes another node makes needless: the exact pruning proved in README.md."""

from functools import lru_cache

import msgspec
import numpy as np

from routing.cost import Steps, parcel_steps, saving_min
from routing.dates import Dates
from routing.grid import Ints
from routing.problem import Lane, Node, ProblemError, Tariff
from routing.survey import Bools, Survey

DOMINATORS_MAX = 64
"""How many of the best-stocked nodes are tried as dominators; fewer only prune less."""


class Dominated(msgspec.Struct, frozen=True):
    """A node whose shipments another node could always make for at least this much less."""

    node: int
    by: int
    saving_minor: int


class Offers(msgspec.Struct, frozen=True, kw_only=True):
    """The first shipment of each service of every node, as arrays over N nodes and L services."""

    tariff: Ints
    """`[N, L]`: index into `savings`, -1 where the node has no such service."""
    latest: Ints
    """`[N, L]`: latest promise as an ordinal."""
    savings: Ints
    """`[T, T]`: what tariff b saves over a at least, see `saving_min`."""
    prices: Ints
    """`[T]`: V of the whole order."""
    kept: tuple[tuple[Lane, ...], ...]
    """The lanes that ever deliver, by node."""
    closed: Bools
    """`[N]`: the node never works."""


def offers(surveyed: Survey, dates: Dates) -> Offers:
    """The first dates and tariffs of every node that may ship something."""
    ships = set(np.flatnonzero(surveyed.can_ship.any(axis=1)).tolist())
    closed = np.zeros(len(surveyed.nodes), np.bool_)
    kept: list[tuple[Lane, ...]] = []
    latest: list[list[int]] = []
    for n, node in enumerate(surveyed.nodes):
        lanes: list[Lane] = []
        days: list[int] = []
        start_on = dates.start(node)
        dispatched = dates.dispatch(node, start_on) if start_on else None
        closed[n] = dispatched is None
        if dispatched is not None and n in ships:
            for lane in surveyed.lanes.get(node.node_id, ()):
                promised = dates.delivery(lane, dispatched[1])
                if promised is not None:
                    lanes.append(lane)
                    days.append(promised.latest.toordinal())
        kept.append(tuple(lanes))
        latest.append(days)
    names = sorted({lane.tariff_id for lanes in kept for lane in lanes})
    index = {name: t for t, name in enumerate(names)}
    savings, prices = _savings(tuple(_tariff(surveyed, name) for name in names), _weight(surveyed))
    tariff = [[index[lane.tariff_id] for lane in lanes] for lanes in kept]
    return Offers(
        tariff=_padded(tariff, -1),
        latest=_padded(latest, 0),
        savings=savings,
        prices=prices,
        kept=tuple(kept),
        closed=closed,
    )


def _tariff(surveyed: Survey, tariff_id: str) -> Tariff:
    try:
        return surveyed.tariffs[tariff_id]
    except KeyError as error:
        raise ProblemError(f"a lane names tariff {tariff_id}, which is not given") from error


def _weight(surveyed: Survey) -> int:
    return max(1, sum(line.quantity * line.weight_grams for line in surveyed.lines))


def _padded(rows: list[list[int]], filler: int) -> Ints:
    width = max((len(row) for row in rows), default=0)
    return np.array([row + [filler] * (width - len(row)) for row in rows], np.int64).reshape(
        len(rows), width
    )


def _savings(tariffs: tuple[Tariff, ...], weight_grams: int) -> tuple[Ints, Ints]:
    if not tariffs:
        return np.zeros((0, 0), np.int64), np.zeros(0, np.int64)
    span = 1 << weight_grams.bit_length()
    steps, savings = _span_savings(tuple(tariff.brackets for tariff in tariffs), span)
    return savings, np.array([step.price_minor(weight_grams) for step in steps], np.int64)


@lru_cache(maxsize=1024)
def _span_savings(brackets: tuple[object, ...], span: int) -> tuple[tuple[Steps, ...], Ints]:
    """Remembered per set of tariffs and span, since the same destination asks for them again."""
    steps = tuple(parcel_steps(rows, span) for rows in brackets)  # type: ignore[arg-type]
    return steps, saving_min(steps, span)


def dominated(surveyed: Survey, offered: Offers, usable: Bools) -> list[Dominated]:
    """Nodes whose shipments need not be considered, each with one usable node that replaces it.

    A dropped node is compared with nodes not dropped before it, so the last of a chain of
    equals survives and the optimum over what is left is the optimum over all.
    """
    if not offered.prices.size:
        return []
    ships = usable & np.array([bool(lanes) for lanes in offered.kept], np.bool_)
    holds = surveyed.can_ship & ships[:, None]
    full = holds & (surveyed.on_hand >= surveyed.needs)[:, surveyed.sku_of]
    slopes = _slopes(surveyed, holds)
    handling = _handling(surveyed.nodes)
    alive = np.flatnonzero(holds.any(axis=1))
    dropped: list[Dominated] = []
    gone: set[int] = set()
    for m in _dominators(surveyed, offered, full):
        if m in gone or not _ample(surveyed, offered, m):
            continue
        margin = _margins(offered, alive, m, slopes, handling)
        covered = ~(holds[alive] & ~full[m]).any(axis=1)
        out = covered & (margin >= 0) & (alive != m)
        dropped.extend(
            Dominated(int(n), m, int(saving))
            for n, saving in zip(alive[out], margin[out], strict=True)
        )
        gone.update(alive[out].tolist())
        alive = alive[~out]
        if len(alive) == 1:
            break
    return dropped


def _slopes(surveyed: Survey, holds: Bools) -> Ints:
    """`[N]`: most that one day later can cost over the lines a node may ship."""
    policy = surveyed.problem.policy
    per_line = [
        policy.delay_minor + (policy.lateness_minor if line.requested_by else 0)
        for line in surveyed.lines
    ]
    slopes: Ints = holds.astype(np.int64) @ np.array(per_line, np.int64)
    return slopes


def _dominators(surveyed: Survey, offered: Offers, full: Bools) -> list[int]:
    """Nodes worth trying: most lines held in full first, then cheapest, then in order."""
    lines = full.sum(axis=1)
    able = np.flatnonzero(lines)
    price = np.where(offered.tariff[able] >= 0, offered.prices[offered.tariff[able]], 2**62)
    handling = [surveyed.nodes[n].handling_order_minor for n in able]
    order = np.lexsort((able, price.min(axis=1) + handling, -lines[able]))
    return [int(n) for n in able[order][:DOMINATORS_MAX]]


def _ample(surveyed: Survey, offered: Offers, m: int) -> bool:
    """Whether every limit of the node has room for anything this order could ask of it."""
    node = surveyed.nodes[m]
    if not node.capacity:
        return True
    units = int(surveyed.needs.sum())
    orders = len(offered.kept[m]) + int(surveyed.can_pickup[m].any())
    return all(
        limit.remaining >= (orders if limit.unit == "orders" else units) for limit in node.capacity
    )


def _margins(offered: Offers, alive: Ints, m: int, slopes: Ints, handling: Ints) -> Ints:
    """`[alive]`: the least any shipment of each node saves by moving to `m`, over its services."""
    mine = offered.tariff[m]
    mine = mine[mine >= 0]
    theirs = offered.tariff[alive]
    saving = offered.savings[:, mine][theirs]
    later = offered.latest[m][: len(mine)] - offered.latest[alive][:, :, None]
    saving = (saving - np.maximum(later, 0) * slopes[alive][:, None, None]).max(axis=2)
    saving[theirs < 0] = 2**61
    lowest = saving.min(axis=1) + handling[alive, 0] - handling[m, 0]
    return np.where(handling[alive, 1] >= handling[m, 1], lowest, -1)


def _handling(nodes: tuple[Node, ...]) -> Ints:
    """`[N, 2]`: handling per order and per unit."""
    pairs = [(node.handling_order_minor, node.handling_unit_minor) for node in nodes]
    return np.array(pairs, np.int64).reshape(-1, 2)
