"""The master data that serves a destination, put in order: what stays of a terrain at any time."""

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from routing.problem import Calendar, Lane, Node, Tariff

__all__ = ["Destination", "body", "destination", "digest_of", "read_body"]


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """The master data that serves a destination, in canonical order, whatever the time."""

    time_zone: str
    """Of the destination."""
    nodes: tuple[Node, ...]
    """By id; without `capacity` and `surcharge_minor`, which change with every order."""
    lanes: tuple[Lane, ...]
    """By node, pickup node and service, those to the destination first."""
    calendars: tuple[Calendar, ...]
    tariffs: tuple[Tariff, ...]


def destination(
    nodes: Iterable[Node],
    lanes: Iterable[Lane],
    calendars: Iterable[Calendar],
    tariffs: Iterable[Tariff],
    time_zone: str,
) -> Destination:
    """Master data in canonical order. Nodes and lanes are those that can serve the destination."""
    return Destination(
        time_zone=time_zone,
        nodes=tuple(
            msgspec.structs.replace(node, capacity=(), surcharge_minor=0)
            if node.capacity or node.surcharge_minor
            else node
            for node in sorted(nodes, key=lambda node: node.node_id)
        ),
        lanes=tuple(sorted(lanes, key=_place_of)),
        calendars=tuple(sorted(calendars, key=lambda calendar: calendar.calendar_id)),
        tariffs=tuple(sorted(tariffs, key=lambda tariff: tariff.tariff_id)),
    )


def _place_of(lane: Lane) -> tuple[str, str, str]:
    """What lanes are ordered by: node, pickup node, service; the destination comes first."""
    return lane.node_id, lane.to_node or "", lane.service


def body(known: Destination) -> bytes:
    """The master data as bytes, to be kept once per digest; `read_body` reads them back."""
    return msgspec.msgpack.encode(known)


def digest_of(known: Destination) -> bytes:
    """What names the master data: 16 bytes, the same for the same data."""
    return blake2b(body(known), digest_size=16).digest()


def read_body(encoded: bytes) -> Destination:
    """The master data that `body` wrote. Raises `msgspec.DecodeError` for anything else."""
    return msgspec.msgpack.decode(encoded, type=Destination)
