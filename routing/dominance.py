"""Which nodes another node makes needless: the exact pruning proved in README.md."""

from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np

from routing import filters
from routing.compiled import compiled
from routing.cost import Steps, opening_minor, parcel_steps, saving_min, span_grams
from routing.dates import Dates
from routing.grid import Ints
from routing.problem import PRICE_MINOR_MAX, Lane, ProblemError, Tariff
from routing.survey import Bools, Survey

DOMINATORS_MAX = 64
"""How many of the best-stocked nodes are tried as dominators; fewer only prune less."""


WORD = 62
"""Lines kept as bits of one number."""


class Rivals(NamedTuple):
    """N nodes that could ship some of an order, as arrays for compiled stages."""

    holds: Ints
    """`[N, words]`: the lines of which the node may ship some units, as bits."""
    fills: Ints
    """`[N, words]`: those it may ship in full, even if it ships all others of the sku too."""
    lane_starts: Ints
    """`[N + 1]`: the lanes of node n are those from here on."""
    tariff: Ints
    """`[L]`"""
    latest: Ints
    """`[L]`: latest promise of the first parcel as an ordinal."""
    opening: Ints
    """`[L]`: price of a parcel beyond money, whatever it weighs."""
    rate: Ints
    """`[L]`: price of emissions for each gram, in millionths."""
    whole_minor: Ints
    """`[N]`: the least price of the whole order as one parcel, handling of it included."""
    order_minor: Ints
    """`[N]`: price of a fulfillment: handling and the surcharge."""
    unit_minor: Ints
    """`[N]`: handling of a unit."""
    beyond_minor: Ints
    """`[N, I]`: worth and risk of a unit, and handling of its further pieces; `[0, 0]` where no
    line has any."""
    slope_minor: Ints
    """`[N]`: most that one day later can cost over the lines the node may ship."""
    ample: Bools
    """`[N]`: whether every limit of the node has room for anything this order could ask of it."""
    both: Bools
    """`[N]`: whether a line that few nodes may share could leave the node in another way as well."""


class Dominated(msgspec.Struct, frozen=True):
    """A node whose shipments to one end another could always make for at least this much less."""

    node: int
    by: int
    saving_minor: int
    to_node: str | None = None
    """Where they end: a pickup node, or the destination."""


class Offers(msgspec.Struct, frozen=True, kw_only=True):
    """The first shipment of each service of every node, as arrays over N nodes and L services."""

    tariff: Ints
    """`[N, L]`: index into `savings`, -1 where the node has no such service."""
    latest: Ints
    """`[N, L]`: latest promise as an ordinal."""
    end: Ints
    """`[N, L]`: index into `ends`."""
    ends: tuple[str | None, ...]
    """Where lanes lead: pickup nodes, and none for the destination."""
    opening: Ints
    """`[N, L]`: price of a parcel beyond money, whatever it weighs."""
    rate: Ints
    """`[N, L]`: price of emissions for each gram, in millionths."""
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
    policy, able = surveyed.problem.policy, surveyed.can_ship | surveyed.can_send
    ships = set(np.flatnonzero(able.any(axis=1)).tolist())
    closed = np.zeros(len(surveyed.nodes), np.bool_)
    kept: list[tuple[Lane, ...]] = []
    latest: list[list[int]] = []
    for n, node in enumerate(surveyed.nodes):
        lanes: list[Lane] = []
        days: list[int] = []
        closed[n] = dates.first(node) is None
        for lane in surveyed.lanes.get(node.node_id, ()) if n in ships else ():
            first = dates.first(node, lane.cut_off)
            promised = dates.delivery(lane, first.ship_by) if first else None
            if promised is not None:
                lanes.append(lane)
                days.append(promised.latest.toordinal())
        kept.append(tuple(lanes))
        latest.append(days)
    names = sorted({lane.tariff_id for lanes in kept for lane in lanes})
    index = {name: t for t, name in enumerate(names)}
    ends = sorted({lane.to_node for lanes in kept for lane in lanes}, key=lambda end: end or "")
    savings, prices = _savings(tuple(_tariff(surveyed, name) for name in names), _weight(surveyed))
    tariff = [[index[lane.tariff_id] for lane in lanes] for lanes in kept]
    return Offers(
        tariff=_padded(tariff, -1),
        latest=_padded(latest, 0),
        end=_padded([[ends.index(lane.to_node) for lane in lanes] for lanes in kept], -1),
        ends=tuple(ends),
        opening=_padded(
            [
                [filters.opening_minor(policy, node, lane) for lane in lanes]
                for node, lanes in zip(surveyed.nodes, kept, strict=True)
            ],
            0,
        ),
        rate=_padded([[filters.emissions_rate(policy, e) for e in lanes] for lanes in kept], 0),
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
    return max(1, sum(line.quantity * line.priced_grams for line in surveyed.lines))


def _padded(rows: list[list[int]], filler: int) -> Ints:
    width = max((len(row) for row in rows), default=0)
    return np.array([row + [filler] * (width - len(row)) for row in rows], np.int64).reshape(
        len(rows), width
    )


def _savings(tariffs: tuple[Tariff, ...], weight_grams: int) -> tuple[Ints, Ints]:
    if not tariffs:
        return np.zeros((0, 0), np.int64), np.zeros(0, np.int64)
    steps, savings = _span_savings(
        tuple(tariff.brackets for tariff in tariffs), span_grams(weight_grams)
    )
    return savings, np.array([step.price_minor(weight_grams) for step in steps], np.int64)


@lru_cache(maxsize=1024)
def _span_savings(brackets: tuple[object, ...], span: int) -> tuple[tuple[Steps, ...], Ints]:
    """Remembered per set of tariffs and span, since the same destination asks for them again."""
    steps = tuple(parcel_steps(rows, span - 1) for rows in brackets)  # type: ignore[arg-type]
    return steps, saving_min(steps, span)


def dominated(surveyed: Survey, offered: Offers, usable: Bools) -> list[Dominated]:
    """Nodes whose shipments need not be considered, each with one usable node that replaces it."""
    if not offered.prices.size:
        return []
    enough = surveyed.on_hand >= surveyed.needs
    full = np.array(
        [enough[:, [s for s, _ in takes]].all(axis=1) for takes in surveyed.parts], np.bool_
    ).T
    given = [offered.end == end for end in range(len(offered.ends))]
    holds = [
        brings(surveyed, to_node) & (usable & lanes.any(axis=1))[:, None]
        for to_node, lanes in zip(offered.ends, given, strict=True)
    ]
    few = surveyed.problem.policy.nodes_per_line_max is not None
    several = (np.sum([*holds, surveyed.can_pickup], axis=0) > 1) & few
    found: list[Dominated] = []
    for end, to_node in enumerate(offered.ends):
        held = holds[end], holds[end] & full, several
        rivals = _rivals(surveyed, offered, given[end], held)
        by, saving = needless(rivals, offered.savings)
        found += [
            Dominated(n, int(by[n]), int(saving[n]), to_node)
            for n in np.flatnonzero(by >= 0).tolist()
        ]
    return found


def brings(surveyed: Survey, to_node: str | None) -> Bools:
    """`[N, I]`: the node may bring some of the line there."""
    if to_node is None:
        return surveyed.can_ship
    there = np.array([line.pickup_node == to_node for line in surveyed.lines], np.bool_)
    return surveyed.can_send & there


def _rivals(
    surveyed: Survey, offered: Offers, given: Bools, held: tuple[Bools, Bools, Bools]
) -> Rivals:
    """What pruning reads of the lanes to one end, `given`.

    `held` are `holds`, `fills`, and lines that few nodes may share and that could leave a node in
    several ways.
    """
    holds, full, several = held
    policy = surveyed.problem.policy
    per_line = [
        policy.delay_minor * len(bundle.members)
        + policy.lateness_minor * len(bundle.requested)
        # What was promised before may not come a day later for any saving.
        + PRICE_MINOR_MAX * (bundle.promised_by is not None)
        for bundle in surveyed.lines
    ]
    whole = offered.prices[offered.tariff] + offered.opening
    price = np.where(given, whole, 2**61).min(axis=1, initial=2**61)
    order_minor = _ints([opening_minor(node) for node in surveyed.nodes])
    unit_minor = _ints([node.handling_unit_minor for node in surveyed.nodes])
    beyond_minor = _beyond_minor(surveyed, unit_minor)
    return Rivals(
        holds=_words(holds),
        fills=_words(full),
        lane_starts=np.concatenate([[0], np.cumsum(given.sum(axis=1))]).astype(np.int64),
        tariff=offered.tariff[given],
        latest=offered.latest[given],
        opening=offered.opening[given],
        rate=offered.rate[given],
        whole_minor=price + order_minor,
        order_minor=order_minor,
        unit_minor=unit_minor,
        beyond_minor=beyond_minor if beyond_minor.any() else np.zeros((0, 0), np.int64),
        slope_minor=holds.astype(np.int64) @ _ints(per_line),
        ample=np.array([_ample(surveyed, offered, m) for m in range(len(surveyed.nodes))]),
        both=(holds & several).sum(axis=1) > 0,
    )


def _beyond_minor(surveyed: Survey, unit_minor: Ints) -> Ints:
    """`[N, I]`: what a unit costs above the handling of one piece."""
    found = np.zeros((len(unit_minor), len(surveyed.lines)), np.int64)
    for i, (bundle, takes) in enumerate(zip(surveyed.lines, surveyed.parts, strict=True)):
        found[:, i] = (bundle.pieces - 1) * unit_minor
        for s, count in takes:
            found[:, i] += count * surveyed.beyond_minor[:, s]
    return found


def _ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)


@compiled
def _words(lines: Bools) -> Ints:
    """`[N, I]` as bits of `[N, words]`."""
    count, width = lines.shape
    words = np.zeros((count, (width + WORD - 1) // WORD), np.int64)
    for n in range(count):
        for i in range(width):
            if lines[n, i]:
                words[n, i // WORD] |= np.int64(1) << (i % WORD)
    return words


@compiled
def needless(rivals: Rivals, savings: Ints) -> tuple[Ints, Ints]:
    """`[N]`: the node that replaces each, -1 for none, and what it saves per shipment at least.

    A dropped node is compared with nodes not dropped before it, so the last of a chain of
    equals survives and the optimum over what is left is the optimum over all.
    """
    count, words = rivals.holds.shape
    by = np.full(count, -1, np.int64)
    saving = np.zeros(count, np.int64)
    fills = np.zeros(count, np.int64)
    alive = np.empty(count, np.int64)
    left = 0
    for n in range(count):
        if rivals.holds[n].any():
            alive[left] = n
            left += 1
        for word in range(words if rivals.ample[n] else 0):
            fills[n] += _ones(rivals.fills[n, word])
    for _ in range(DOMINATORS_MAX):
        m = _strongest(alive[:left], fills, rivals.whole_minor)
        if m < 0 or left < 2:
            break
        fills[m] = 0
        margins = _margins(rivals, savings, m, alive[:left])
        kept = 0
        for place in range(left):
            n, margin = alive[place], margins[place]
            if margin >= 0:
                by[n], saving[n] = m, margin
            else:
                alive[kept] = n
                kept += 1
        left = kept
    return by, saving


@compiled
def _ones(word: int) -> int:
    """How many bits of a word are set."""
    count = 0
    while word:
        word &= word - 1
        count += 1
    return count


@compiled
def _strongest(alive: Ints, fills: Ints, whole_minor: Ints) -> int:
    """The node to try next: most lines held in full, then cheapest, then in order; -1 for none."""
    best = -1
    for n in alive:
        if fills[n] and (
            best < 0
            or fills[n] > fills[best]
            or (fills[n] == fills[best] and whole_minor[n] < whole_minor[best])
        ):
            best = n
    return best


@compiled
def _margins(rivals: Rivals, savings: Ints, m: int, alive: Ints) -> Ints:
    """The least any shipment of each node saves by moving to `m`, over its services.

    It is -1 for those that cannot. In one function, as a call for each pair would carry all the
    arrays along, which took longer than the comparison.
    """
    found = np.full(len(alive), -1, np.int64)
    priced = len(rivals.beyond_minor) > 0
    for place in range(len(alive)):
        n = alive[place]
        cheap = n != m and not rivals.both[n]
        cheap &= priced or rivals.unit_minor[m] <= rivals.unit_minor[n]
        for word in range(rivals.holds.shape[1]):
            cheap &= not rivals.holds[n, word] & ~rivals.fills[m, word]
        if not cheap or (priced and not _units_as_cheap(rivals, m, n)):
            continue
        lowest = 2**61
        for one in range(rivals.lane_starts[n], rivals.lane_starts[n + 1]):
            best = -(2**61)
            for other in range(rivals.lane_starts[m], rivals.lane_starts[m + 1]):
                later = max(0, rivals.latest[other] - rivals.latest[one])
                saved = savings[rivals.tariff[one], rivals.tariff[other]]
                saved += rivals.opening[one] - rivals.opening[other] - later * rivals.slope_minor[n]
                if rivals.rate[other] <= rivals.rate[one]:
                    best = max(best, saved)
            lowest = min(lowest, best)
        found[place] = max(-1, lowest + rivals.order_minor[n] - rivals.order_minor[m])
    return found


@compiled
def _units_as_cheap(rivals: Rivals, m: int, n: int) -> bool:
    """Whether no unit that `n` may ship costs more at `m`."""
    less = rivals.unit_minor[n] - rivals.unit_minor[m]
    for i in range(rivals.beyond_minor.shape[1]):
        ships = rivals.holds[n, i // WORD] >> (i % WORD) & 1
        if ships and less + rivals.beyond_minor[n, i] < rivals.beyond_minor[m, i]:
            return False
    return True


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
