"""How many units of which lines a step is about, and what it leaves of their counters. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from services.fulfillment.events import Units
from services.fulfillment.records import FulfillmentLine, Peg, Work
from services.orders.request import Id
from services.problems import Refused

UNITS_MAX = 1_000_000_000
PARTS_MAX = 10_000


class LineUnits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one line, as a caller names them."""

    line_id: Id
    quantity: Annotated[int, Meta(ge=1, le=UNITS_MAX)]
    part: (
        Annotated[
            int,
            Meta(
                ge=0, le=PARTS_MAX, description="Needed where a `line_id` is there more than once."
            ),
        ]
        | None
    ) = None


def chosen(
    lines: Sequence[FulfillmentLine],
    asked: Sequence[LineUnits] | None,
    room: Callable[[FulfillmentLine], int],
    left_to: str,
) -> Units:
    """Return the units of a step by part: those asked for, or else all that there is room for.

    Raises `invalid-field` for a line that is not there or is not told apart, `duplicate-entry` for
    one that is named twice, `too-many-units` beyond its room, which `left_to` names.
    """
    if asked is None:
        return {line.part: room(line) for line in lines if room(line)}
    units: dict[int, int] = {}
    for each in asked:
        line = named(lines, each)
        if line.part in units:
            raise Refused(
                "duplicate-entry", f"Line {each.line_id} is named twice; send its units together."
            )
        if each.quantity > room(line):
            raise Refused(
                "too-many-units",
                f"Line {each.line_id} has {room(line)} left to {left_to}, and {each.quantity} were "
                f"named; {f'send at most {room(line)}' if room(line) else 'leave the line out'}.",
                line_id=line.line_id,
                part=line.part,
                left=room(line),
            )
        units[line.part] = each.quantity
    return units


def named(lines: Sequence[FulfillmentLine], asked: LineUnits) -> FulfillmentLine:
    """Return the line that is meant; raises `invalid-field` unless there is just one."""
    found = [
        line for line in lines if line.line_id == asked.line_id and asked.part in (None, line.part)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        there = ", ".join(dict.fromkeys(line.line_id for line in lines))
        raise Refused(
            "invalid-field",
            f"The fulfillment order has no line {asked.line_id}"
            f"{'' if asked.part is None else f' with part {asked.part}'}; it has {there}.",
            field="lines",
        )
    parts = ", ".join(f"{line.part} ({line.sku})" for line in found)
    raise Refused(
        "invalid-field",
        f"Line {asked.line_id} is there {len(found)} times; name its part: {parts}.",
        field="lines",
    )


def counted(work: Work, counter: str, units: Units) -> tuple[FulfillmentLine, ...]:
    """Return the lines with `units` added to one of their counters."""
    return tuple(
        msgspec.structs.replace(line, **{counter: getattr(line, counter) + units.get(line.part, 0)})
        for line in work.lines
    )


def given_up(work: Work) -> tuple[FulfillmentLine, ...]:
    """Return the lines with all that has not left cancelled; what was picked is put back."""
    return tuple(
        msgspec.structs.replace(line, cancelled=line.cancelled + line.left, picked=line.dispatched)
        for line in work.lines
    )


def left_units(work: Work) -> Units:
    """Return the units that have not left, by part."""
    return {line.part: line.left for line in work.lines if line.left}


def verify_there(
    work: Work,
    units: Units,
    others: Sequence[Work],
    reserved: Mapping[tuple[str, str, str], int],
    pegs: Sequence[Peg],
) -> None:
    """Raise `waiting-for-supply` unless the units to be picked are there for the order.

    `reserved` are the units on hand that are confirmed for the order, by line, sku and node;
    `others` its other fulfillment orders. What a part planned from stock still has to pick is left
    to it: a part that was planned from supply does not overtake it.
    """
    at_node = [
        line
        for each in (work, *others)
        if each.order.node_id == work.order.node_id
        for line in each.lines
    ]
    at_node.sort(key=lambda line: line.supply_id is not None)
    now = {id(line): units.get(line.part, 0) for line in work.lines}
    for line in work.lines:
        if line.part not in units:
            continue
        twins = [twin for twin in at_node if (twin.line_id, twin.sku) == (line.line_id, line.sku)]
        before = twins[: next(at for at, twin in enumerate(twins) if twin is line)]
        spoken_for = sum(twin.in_hand for twin in twins) + sum(
            taken_before(twin, line, now.get(id(twin), 0)) for twin in before
        )
        there = reserved.get((line.line_id, line.sku, work.order.node_id), 0) - spoken_for
        if units[line.part] > there:
            raise waiting(line, max(there, 0), work, pegs)


def taken_before(twin: FulfillmentLine, line: FulfillmentLine, picked_now: int) -> int:
    """Return the units that a part whose turn is earlier leaves to nobody else."""
    before_it = twin.supply_id is None and line.supply_id is not None
    return twin.to_pick if before_it else picked_now


def waiting(line: FulfillmentLine, there: int, work: Work, pegs: Sequence[Peg]) -> Refused:
    """Return the refusal for units that have not come in, with what is expected when."""
    expected = [
        peg
        for peg in pegs
        if (peg.line_id, peg.sku, peg.node_id) == (line.line_id, line.sku, work.order.node_id)
    ]
    told = "; ".join(
        f"{peg.quantity} are expected on {peg.expected_on} ({peg.supply_id})" for peg in expected
    )
    return Refused(
        "waiting-for-supply",
        f"Line {line.line_id}: {there} of {line.sku} are received and not picked yet; "
        f"{told or 'nothing more is expected'}. "
        + ("Receive them first." if told else "Report what is missing as short."),
        line_id=line.line_id,
        part=line.part,
        available=there,
        expected=[
            {
                "supply_id": peg.supply_id,
                "quantity": peg.quantity,
                "expected_on": peg.expected_on.isoformat(),
            }
            for peg in expected
        ],
    )
