"""The decision record as it is kept: small to write at checkout, expanded on reading.

It holds what was asked and seen and what was decided; nodes are rows of the destination's master
data, which is kept once per digest. Verdicts, prices and the runner-up are worked out on reading.
"""

from datetime import date, datetime
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from routing.basket import Basket, Seen, problem_of
from routing.compiled import compiled
from routing.explain import Decision, Parts, decision_on
from routing.grid import Ints
from routing.plan import Plan, Status
from routing.problem import Capacity, CapacityUnit, Line, Method, Policy, Supply
from routing.terrain import Terrain, read_body

_ENCODER = msgspec.msgpack.Encoder()


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


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """A fulfillment: the row of its node, the service, the work date, units by line and source."""

    row: int
    service: str | None
    work_on: date
    units: tuple[tuple[int, int], ...]


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
    capacity: tuple[tuple[int, tuple[tuple[date, int, CapacityUnit], ...]], ...]
    status: Status
    found_by: str
    objective_minor: int
    bound_minor: int
    parts: tuple[_Part, ...]


def write(terrain: Terrain, basket: Basket, policy: Policy, there: Seen, plan: Plan) -> bytes:
    """The record of a plan; `policy` is the basket's with the time limit it was given."""
    astuple = msgspec.structs.astuple
    lines = {line.line_id: number for number, line in enumerate(basket.lines)}
    return _ENCODER.encode(
        (
            terrain.digest,
            basket.now,
            [astuple(line) for line in basket.lines],
            astuple(policy),
            *_packed(there, len(terrain.destination.nodes)),
            [[row, s, [astuple(each) for each in rows]] for row, s, rows in there.supply],
            [[row, [astuple(each) for each in rows]] for row, rows in there.capacity],
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
                )
                for f in plan.fulfillments
            ],
        )
    )


def digest_of(record: bytes) -> bytes:
    """The digest of the master data that a record needs to be read."""
    return msgspec.msgpack.decode(record, type=_Record).digest


def expand(record: bytes, body: bytes) -> Decision:
    """The whole decision: the problem, the plan, why each other node is not in it, a runner-up.

    `body` is what `terrain.body` wrote for the record's digest. Raises `RecordError` where they do
    not belong together or the plan no longer costs what it did.
    """
    read = msgspec.msgpack.decode(record, type=_Record)
    found = blake2b(body, digest_size=len(read.digest)).digest()
    if found != read.digest:
        raise RecordError(f"the record needs {read.digest.hex()}, the master data is {found.hex()}")
    served = read_body(body)
    lines = tuple(Line(**msgspec.structs.asdict(line)) for line in read.lines)
    policy = Policy(**dict(zip(Policy.__struct_fields__, read.policy, strict=True)))
    problem = problem_of(served, _seen(read, lines, len(served.nodes)), read.now, lines, policy)
    parts: Parts = {}
    for part in read.parts:
        place = served.nodes[part.row].node_id, part.service, part.work_on
        taken = parts.setdefault(place, {})
        for number, units in part.units:
            line_id = lines[number].line_id
            taken[line_id] = taken.get(line_id, 0) + units
    decision = decision_on(problem, parts, (read.status, read.found_by, read.bound_minor))
    if decision.plan.objective_minor != read.objective_minor:
        raise RecordError(
            f"the plan cost {read.objective_minor}, read again {decision.plan.objective_minor}"
        )
    return decision


def _packed(there: Seen, nodes: int) -> tuple[bytes, bytes]:
    """Which nodes have any of each sku as bits, and how many where more than one is ordered."""
    needs = np.array(there.needs, np.int64)
    holds, units = _bits(np.array(there.counts, np.int64), there.rows, there.units, needs, nodes)
    largest = int(needs.max())
    width = "<u1" if largest < 1 << 8 else "<u2" if largest < 1 << 16 else "<u4"
    return holds.tobytes(), units.astype(width).tobytes()


@compiled
def _bits(
    counts: Ints, rows: Ints, units: Ints, needs: Ints, nodes: int
) -> tuple[NDArray[np.uint8], Ints]:
    """`[S, nodes / 8]`, and units of skus ordered more than once, both in order of sku and row."""
    table = np.zeros(nodes, np.int64)
    bits = np.zeros((len(counts), (nodes + 7) // 8), np.uint8)
    several = np.empty(len(rows), np.int64)
    cell = count = 0
    for sku in range(len(counts)):
        table[:] = 0
        for _ in range(counts[sku]):
            if rows[cell] >= 0:
                table[rows[cell]] = units[cell]
            cell += 1
        for row in range(nodes):
            if table[row] > 0:
                bits[sku, row // 8] |= np.uint8(1 << (row % 8))
                if needs[sku] > 1:
                    several[count] = table[row]
                    count += 1
    return bits, several[:count].copy()


def _unpacked(read: _Record, needs: list[int], nodes: int) -> tuple[list[int], Ints, Ints]:
    """Cells of each sku, and the row and the units of each cell."""
    width = np.dtype("<u1" if max(needs) < 1 << 8 else "<u2" if max(needs) < 1 << 16 else "<u4")
    bits = np.frombuffer(read.holds, np.uint8).reshape(len(needs), (nodes + 7) // 8)
    holds = np.unpackbits(bits, axis=1, bitorder="little")[:, :nodes]
    skus, rows = holds.nonzero()
    units = np.ones(len(rows), np.int64)
    units[np.array(needs)[skus] > 1] = np.frombuffer(read.units, width)
    return holds.sum(axis=1).tolist(), rows.astype(np.int64), units


def _seen(read: _Record, lines: tuple[Line, ...], nodes: int) -> Seen:
    needs: dict[str, int] = {}
    for line in lines:
        needs[line.sku] = needs.get(line.sku, 0) + line.quantity
    skus = tuple(sorted(needs))
    counts, rows, units = _unpacked(read, [needs[sku] for sku in skus], nodes)
    return Seen(
        skus=skus,
        needs=tuple(needs[sku] for sku in skus),
        counts=tuple(counts),
        rows=rows,
        units=units,
        supply=tuple(
            (row, s, tuple(Supply(supply_id=i, available_on=on, quantity=n) for i, on, n in rows))
            for row, s, rows in read.supply
        ),
        capacity=tuple(
            (row, tuple(Capacity(work_on=on, remaining=n, unit=unit) for on, n, unit in rows))
            for row, rows in read.capacity
        ),
    )
