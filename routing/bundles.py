"""Lines as the solver takes them: a line, a kit of one, or all lines that go together, as one.

A bundle is taken in whole units from one slot, so that what belongs together leaves together. Its
unit is one unit of a plain line, one kit with all its components, or the whole group.
"""

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from routing.problem import Line, Method

__all__ = ["Bundle", "as_units", "bundles", "needs_of", "plain"]

Parts = tuple[tuple[str, int], ...]
"""Skus in order of their names, and units of each."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """What is fulfilled as one; everything is of one unit unless told."""

    line_id: str
    """Of its first line."""
    members: tuple[Line, ...]
    """In order of their ids."""
    drawn: tuple[Parts, ...]
    """By member: what it takes of each sku."""
    parts: Parts
    """What all members take of each sku."""
    quantity: int
    """Units ordered."""
    weight_grams: int
    priced_grams: int
    """What it counts for in parcels."""
    pieces: int
    """Units of skus, which are handled and count against capacities."""
    short: int
    """Units of lines that are short where this one is."""
    methods: tuple[Method, ...]
    pickup_node: str | None
    requires: tuple[str, ...]

    @property
    def counted(self) -> tuple[tuple[Line, int], ...]:
        """Its lines, and units of each."""
        alone = self.members[0].together is None
        return tuple((line, 1 if alone else line.quantity) for line in self.members)

    @property
    def requested(self) -> tuple[date, ...]:
        """When its lines are wanted, of those that say so."""
        return tuple(line.requested_by for line in self.members if line.requested_by)

    @property
    def promised_by(self) -> date | None:
        """The date after which none of its units may be promised, if there is one."""
        dates = [line.promised_by for line in self.members if line.promised_by]
        return min(dates) if dates else None


def plain(line: Line) -> bool:
    """Whether a line is a bundle of its own, each unit of it one of its sku."""
    return line.together is None and not line.components


def bundles(lines: Iterable[Line]) -> tuple[Bundle, ...]:
    """The bundles of an order, in order of their first lines' ids."""
    groups: dict[tuple[str, bool], list[Line]] = {}
    for line in sorted(lines, key=lambda line: line.line_id):
        alone = line.together is None
        groups.setdefault((line.line_id if alone else line.together or "", alone), []).append(line)
    return tuple(
        _alone(members[0]) if alone else _together(tuple(members))
        for (_, alone), members in groups.items()
    )


def _alone(line: Line) -> Bundle:
    parts = parts_of(line)
    return Bundle(
        line_id=line.line_id,
        members=(line,),
        drawn=(parts,),
        parts=parts,
        quantity=line.quantity,
        weight_grams=line.weight_grams,
        priced_grams=line.priced_grams,
        pieces=sum(count for _, count in parts),
        short=1,
        methods=line.methods,
        pickup_node=line.pickup_node,
        requires=line.requires,
    )


def _together(lines: tuple[Line, ...]) -> Bundle:
    drawn = tuple(
        tuple((sku, count * line.quantity) for sku, count in parts_of(line)) for line in lines
    )
    parts: dict[str, int] = {}
    for sku, count in (part for each in drawn for part in each):
        parts[sku] = parts.get(sku, 0) + count
    nodes = {line.pickup_node for line in lines}
    return Bundle(
        line_id=lines[0].line_id,
        members=lines,
        drawn=drawn,
        parts=tuple(sorted(parts.items())),
        quantity=1,
        weight_grams=sum(line.quantity * line.weight_grams for line in lines),
        priced_grams=sum(line.quantity * line.priced_grams for line in lines),
        pieces=sum(parts.values()),
        short=sum(line.quantity for line in lines),
        methods=methods_of(lines),
        pickup_node=lines[0].pickup_node if len(nodes) == 1 else None,
        requires=tuple(sorted({name for line in lines for name in line.requires})),
    )


def methods_of(lines: tuple[Line, ...]) -> tuple[Method, ...]:
    """By which methods all of these lines may go together."""
    nodes = {line.pickup_node for line in lines}
    return tuple(
        method
        for method in lines[0].methods
        if all(method in line.methods for line in lines) and (method == "ship" or len(nodes) == 1)
    )


def parts_of(line: Line) -> Parts:
    """What one unit of a line takes of each sku."""
    if not line.components:
        return ((line.sku, 1),)
    return tuple(sorted((each.sku, each.quantity) for each in line.components))


def needs_of(lines: Iterable[Line]) -> dict[str, int]:
    """Units of each sku that an order takes in all, in order of the skus' names."""
    needs: dict[str, int] = {}
    for line in lines:
        if line.components:
            for each in line.components:
                needs[each.sku] = needs.get(each.sku, 0) + each.quantity * line.quantity
        else:
            needs[line.sku] = needs.get(line.sku, 0) + line.quantity
    return dict(sorted(needs.items()))


def as_units(bundle: Bundle, taken: Mapping[str, int]) -> int:
    """Units of a bundle of which so many units of skus were taken, given by line id."""
    first = sum(count for _, count in bundle.drawn[0])
    return taken.get(bundle.line_id, 0) // first
