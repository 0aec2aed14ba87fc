"""The decision record as it is kept: small to write at checkout, expanded on reading.

It holds what was asked and seen and what was decided; nodes are rows of the destination's master
data, which is kept once per digest. Verdicts, prices and the runner-up are worked out on reading.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import numpy as np

from routing.basket import Basket, Seen, noted, problem_of, tabled
from routing.beyond import NOTHING, Bools, noted_beyond, read_beyond
from routing.bundles import needs_of, plain
from routing.destination import Destination, read_body
from routing.explain import PRICING_LIMIT_MS, Decision, decision_on, with_feeds
from routing.grid import Ints
from routing.placed import Parts
from routing.plan import Plan, Status
from routing.problem import (
    Capacity,
    CapacityUnit,
    Component,
    Line,
    Method,
    Policy,
    Problem,
    Supply,
)
from routing.terrain import Terrain
from routing.worth_terms import noted_terms, read_terms

_ENCODER = msgspec.msgpack.Encoder()
_astuple = msgspec.structs.astuple


class RecordError(ValueError):
    """A record that does not fit what it is read with; says which digests or figures differ."""


class _Line(msgspec.Struct, frozen=True, array_like=True):
    """The fields of `Line` in its order."""

    line_id: str
    sku: str
    quantity: int
    weight_grams: int
    methods: tuple[Method, ...]
    pickup_node: str | None
    requested_by: date | None
    requires: tuple[str, ...]
    dimensional_grams: int = 0
    components: tuple[Component, ...] = ()
    together: str | None = None
    promised_by: date | None = None


_PLAIN = _Line.__struct_fields__.index("components")
"""Fields of a line that is nothing special."""


class _Limit(msgspec.Struct, frozen=True, array_like=True):
    """The fields of `Capacity` in its order."""

    work_on: date
    remaining: int
    unit: CapacityUnit
    kept: int = 0


_FULL = _Limit.__struct_fields__.index("kept")
"""Fields of a limit of which nothing is kept back."""


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """A fulfillment: the row of its node, the service, the work date, units by line and source.

    Last the row of the node where it is collected.
    """

    row: int
    service: str | None
    work_on: date
    units: tuple[tuple[int, int], ...]
    collected_at: int = -1
    """Row of the node where it is collected; none for what is brought to the destination."""


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """What `write` writes, field by field in this order."""

    digest: bytes
    now: datetime
    lines: tuple[_Line, ...]
    policy: tuple[Any, ...]
    holds: bytes
    """A bit for each sku and row: whether the node has any."""
    units: bytes
    """How many, where that is not all that is ordered of a sku ordered once."""
    supply: tuple[tuple[int, int, tuple[tuple[str, date, int], ...]], ...]
    capacity: tuple[tuple[int, tuple[_Limit, ...]], ...]
    status: Status
    found_by: str
    objective_minor: int
    bound_minor: int
    parts: tuple[_Part, ...]
    beyond: bytes = b""
    """See `beyond.noted_beyond`; left out where there are no such prices."""
    stale: tuple[tuple[int, int], ...] = ()
    """Row and age in seconds of feeds that were too old; left out where none was."""
    terms: bytes = b""
    """See `worth_terms.noted_terms`; left out where there is nothing to tell apart."""


class Sight(NamedTuple):
    """What a plan was made from, beside the basket."""

    stock: bytes
    """See `basket.noted`."""
    supply: tuple[tuple[int, int, tuple[Supply, ...]], ...] = ()
    """As in `Seen`; so is the capacity."""
    capacity: tuple[tuple[int, tuple[Capacity, ...]], ...] = ()
    beyond: bytes = b""
    """See `beyond.noted_beyond`."""


def sight(there: Seen, nodes: int) -> Sight:
    """What is kept of what was seen of so many nodes."""
    table = tabled(there.counts, there.rows, there.units, nodes)
    stock = noted(table, np.array(there.needs, np.int64))
    return Sight(stock.tobytes(), there.supply, there.capacity, prices_seen(there, nodes))


def prices_seen(there: Seen, nodes: int) -> bytes:
    """What is kept of the prices beyond money that were seen, nothing where there are none."""
    if there.beyond is NOTHING:
        return b""
    skus, rows = np.repeat(np.arange(len(there.skus)), there.counts), there.rows
    some = (rows >= 0) & (there.units > 0)
    holds = np.zeros((len(there.skus), nodes), np.bool_)
    holds[skus[some], rows[some]] = True
    return noted_beyond(_with_supply(holds, there.supply), (skus, rows), there.beyond)


def _with_supply(holds: Bools, supply: Iterable[tuple[int, int, Any]]) -> Bools:
    """Which nodes have or expect any of each sku, of those that have."""
    there = holds.copy()
    for row, s, _ in supply:
        there[s, row] = True
    return there


def write(terrain: Terrain, basket: Basket, policy: Policy, seen: Sight, plan: Plan) -> bytes:
    """The record of a plan; `policy` is the basket's with the time limit it was given."""
    lines = {line.line_id: number for number, line in enumerate(basket.lines)}
    bits = len(basket.held.skus) * ((len(terrain.destination.nodes) + 7) // 8)
    return _ENCODER.encode(
        (
            terrain.digest,
            basket.now,
            [_astuple(line)[: _PLAIN if _short(line) else None] for line in basket.lines],
            _encoded(policy),
            seen.stock[:bits],
            seen.stock[bits:],
            [[row, s, [_astuple(each) for each in rows]] for row, s, rows in seen.supply],
            [
                [row, [_astuple(each)[: None if each.kept else _FULL] for each in rows]]
                for row, rows in seen.capacity
            ],
            plan.status,
            plan.found_by,
            plan.objective_minor,
            plan.bound_minor,
            [
                (
                    terrain.row_of[f.node_id],
                    f.service,
                    f.work_on,
                    [(lines[part.line_id], part.quantity) for part in f.lines],
                    terrain.row_of.get(f.pickup_node or "", -1),
                )
                for f in plan.fulfillments
            ],
            *([seen.beyond] if seen.beyond or basket.stale or basket.terms else []),
            *([_stale_rows(terrain, basket)] if basket.stale or basket.terms else []),
            *([noted_terms(terrain, basket)] if basket.terms else []),
        )
    )


def _short(line: Line) -> bool:
    """Whether a line is told by its first fields."""
    return plain(line) and line.promised_by is None


def _stale_rows(terrain: Terrain, basket: Basket) -> list[tuple[int, int]]:
    """Row and age of the feeds that were too old, of nodes that the terrain has."""
    rows = terrain.row_of
    return sorted((rows[name], age_s) for name, age_s in basket.stale.items() if name in rows)


@lru_cache(maxsize=1024)
def _encoded(policy: Policy) -> msgspec.Raw:
    return msgspec.Raw(_ENCODER.encode(_astuple(policy)))


def digest_of(record: bytes) -> bytes:
    """The digest of the master data that a record needs to be read."""
    return msgspec.msgpack.decode(record, type=_Record).digest


def lines_of(record: bytes) -> tuple[Line, ...]:
    """The lines that were asked, kits with their components."""
    read = msgspec.msgpack.decode(record, type=_Record)
    return tuple(Line(**msgspec.structs.asdict(line)) for line in read.lines)


def strategy_of(record: bytes) -> str:
    """The strategy whose prices and limits the plan followed, with its version: `fastest@3`."""
    policy = msgspec.msgpack.decode(record, type=_Record).policy
    return str(policy[Policy.__struct_fields__.index("strategy")])


def expand(
    record: bytes, body: bytes, also: str | None = None, pricing_ms: int = PRICING_LIMIT_MS
) -> Decision:
    """The whole decision: the problem, the plan, why each other node is not in it, a runner-up.

    `body` is what `terrain.body` wrote for the record's digest. A node named by `also` is in the
    problem even if it had nothing of the order, so that it can be asked what it lacked; for
    `pricing_ms` see `decision_on`. Raises `RecordError` where they do not belong together or the plan no longer costs what it did.
    """
    read = msgspec.msgpack.decode(record, type=_Record)
    found = blake2b(body, digest_size=len(read.digest)).digest()
    if found != read.digest:
        raise RecordError(f"the record needs {read.digest.hex()}, the master data is {found.hex()}")
    served = read_body(body)
    lines = tuple(Line(**msgspec.structs.asdict(line)) for line in read.lines)
    policy = _policy_of(read)
    problem = problem_of(served, _seen(read, lines, len(served.nodes)), read.now, lines, policy)
    problem = _with_node(problem, served, also)
    parts: Parts = {}
    for part in read.parts:
        # Records of before goods were sent to stores do not say where a pickup is: at its node.
        at = part.collected_at if part.collected_at >= 0 or part.service else part.row
        pickup_node = served.nodes[at].node_id if at >= 0 else None
        place = served.nodes[part.row].node_id, pickup_node, part.service, part.work_on
        taken = parts.setdefault(place, {})
        for number, units in part.units:
            line_id = lines[number].line_id
            taken[line_id] = taken.get(line_id, 0) + units
    decision = decision_on(
        problem, parts, (read.status, read.found_by, read.bound_minor), pricing_ms
    )
    if decision.plan.objective_minor != read.objective_minor:
        raise RecordError(
            f"the plan cost {read.objective_minor}, read again {decision.plan.objective_minor}"
        )
    named = {served.nodes[row].node_id: age_s for row, age_s in read.stale}
    terms = read_terms(read.terms, served, sorted(needs_of(lines)))
    return msgspec.structs.replace(with_feeds(decision, named), terms=terms)


def _policy_of(read: _Record) -> Policy:
    # Records of the time before a field was known end sooner.
    known = dict(zip(Policy.__struct_fields__, read.policy, strict=False))
    return msgspec.convert(known, type=Policy)


class Asked(NamedTuple):
    """What a record tells of an order without the master data being put together."""

    now: datetime
    lines: tuple[Line, ...]
    policy: Policy
    supply: dict[tuple[str, str], tuple[Supply, ...]]
    """By node and sku."""
    taken: dict[tuple[str, str], int]
    """Units of the plan by node and sku, from wherever they come."""
    objective_minor: int
    is_weighed: bool
    """Whether the objective counts prices of units and nodes, see `beyond`."""
    work: Mapping[tuple[str, date], tuple[int, int]] = {}
    """Fulfillments and units of the plan by node and work date."""


def asked_of(record: bytes, served: Destination) -> Asked:
    """What was asked and what the plan took; `served` is the master data of the record's digest."""
    read = msgspec.msgpack.decode(record, type=_Record)
    lines = tuple(Line(**msgspec.structs.asdict(line)) for line in read.lines)
    skus = sorted({line.sku for line in lines})
    taken: dict[tuple[str, str], int] = {}
    work: dict[tuple[str, date], tuple[int, int]] = {}
    for part in read.parts:
        place = served.nodes[part.row].node_id, part.work_on
        before = work.get(place, (0, 0))
        work[place] = before[0] + 1, before[1] + sum(units for _, units in part.units)
        for number, units in part.units:
            cell = served.nodes[part.row].node_id, lines[number].sku
            taken[cell] = taken.get(cell, 0) + units
    supply = {
        (served.nodes[row].node_id, skus[s]): tuple(
            Supply(supply_id=i, available_on=on, quantity=n) for i, on, n in rows
        )
        for row, s, rows in read.supply
    }
    policy = _policy_of(read)
    return Asked(
        read.now, lines, policy, supply, taken, read.objective_minor, bool(read.beyond), work
    )


def _with_node(problem: Problem, served: Destination, also: str | None) -> Problem:
    """The problem with a node that it left out, and the lanes of that node."""
    known = {node.node_id for node in problem.nodes}
    nodes = [node for node in served.nodes if node.node_id == also and also not in known]
    if not nodes:
        return problem
    reached = {None, *known}
    lanes = (e for e in served.lanes if e.node_id == also and e.to_node in reached)
    return msgspec.structs.replace(
        problem, nodes=(*problem.nodes, *nodes), lanes=(*problem.lanes, *lanes)
    )


def _unpacked(read: _Record, needs: list[int], nodes: int) -> tuple[Bools, Ints]:
    """`[S, nodes]`: what nodes have or expect any of, and the units of each such cell."""
    width = np.dtype("<u1" if max(needs) < 1 << 8 else "<u2" if max(needs) < 1 << 16 else "<u4")
    bits = np.frombuffer(read.holds, np.uint8).reshape(len(needs), (nodes + 7) // 8)
    holds = np.unpackbits(bits, axis=1, bitorder="little")[:, :nodes].astype(np.bool_)
    table = holds.astype(np.int64)
    skus, rows = holds.nonzero()
    several = np.array(needs)[skus] > 1
    table[skus[several], rows[several]] = np.frombuffer(read.units, width)
    there = _with_supply(holds, read.supply)
    return there, table[there]


def _seen(read: _Record, lines: tuple[Line, ...], nodes: int) -> Seen:
    needs = needs_of(lines)
    skus = tuple(needs)
    there, units = _unpacked(read, [needs[sku] for sku in skus], nodes)
    return Seen(
        skus=skus,
        needs=tuple(needs[sku] for sku in skus),
        counts=there.sum(axis=1, dtype=np.int64),
        rows=there.nonzero()[1].astype(np.int64),
        units=units,
        supply=tuple(
            (row, s, tuple(Supply(supply_id=i, available_on=on, quantity=n) for i, on, n in rows))
            for row, s, rows in read.supply
        ),
        capacity=tuple(
            (row, tuple(Capacity(**msgspec.structs.asdict(each)) for each in rows))
            for row, rows in read.capacity
        ),
        beyond=read_beyond(read.beyond, there),
    )
