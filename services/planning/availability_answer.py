"""What a question about availability is answered with; the API document shows these."""

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from services.planning.prospects import ShipPromise


class Total(msgspec.Struct, frozen=True):
    """Units of a sku over the nodes that can give it by one method."""

    available: Annotated[int, Meta(description="On hand and free to promise now.")]
    atp: Annotated[int, Meta(description="The same and expected supply, by the date asked for.")]
    nodes: Annotated[int, Meta(description="How many nodes have some by that date.")]


class NodeAvailability(msgspec.Struct, frozen=True, kw_only=True):
    """One sku at one node."""

    node_id: str
    available: int
    atp: int
    distance_km: Annotated[float | None, Meta(description="To the destination.")]
    ship: Annotated[
        ShipPromise | None, Meta(description="If ordered now; null where it cannot be shipped.")
    ]
    pickup_on: Annotated[
        date | None, Meta(description="Ready for pickup, local date; null where it cannot be.")
    ]


class SkuAvailability(msgspec.Struct, frozen=True, kw_only=True):
    """One sku over the whole network."""

    sku: str
    ship: Total
    pickup: Total
    best: Annotated[
        list[NodeAvailability],
        Meta(description="At most ten: soonest first, then nearest, then most units."),
    ]


class MatrixCell(msgspec.Struct, frozen=True, kw_only=True):
    """One sku at one node, with what it is reckoned from."""

    sku: str
    node_id: str
    on_hand: int
    reserved: int
    unavailable: int
    buffer: int
    buffer_rule: Annotated[str | None, Meta(description="The rule that set the buffer.")]
    protected: Annotated[int, Meta(description="Kept for pools of other channels.")]
    available: int
    atp: int


class SkuColumns(msgspec.Struct, frozen=True, kw_only=True):
    """One sku at every node that has a record of it: lists of equal length."""

    sku: str
    nodes: Annotated[list[int], Meta(description="Places in `node_ids`, from 0.")]
    on_hand: list[int]
    reserved: list[int]
    unavailable: list[int]
    buffer: list[int]
    available: Annotated[
        list[int], Meta(description="Also without what pools of other channels have a right to.")
    ]
    atp: list[int]


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The matrix in a sixth of the bytes."""

    node_ids: list[str]
    skus: list[SkuColumns]


class AvailabilityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What can be sold of each sku."""

    age_ms: Annotated[
        int,
        Meta(description="The figures hold all that was committed this long ago; 0 when read now."),
    ]
    channel: str
    on: Annotated[date, Meta(description="The date of `atp`.")]
    zone_id: Annotated[str | None, Meta(description="Zone of the destination.")]
    skus: list[SkuAvailability]
    matrix: list[MatrixCell] | None = None
    columns: Columns | None = None
