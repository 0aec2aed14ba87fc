"""Calls of the planner for what is stocked: items and the buffers kept of them."""

from datetime import date
from typing import Annotated

import msgspec
from litestar import get, put
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta

from inventory import items
from inventory.buffers import Buffer
from inventory.items import Component, Item
from inventory.tables import ANY
from services.http.access import EVERYONE, allow
from services.http.answers import BODY, Written, raises
from services.http.fields import (
    ENTRIES_MAX,
    PAGE_DEFAULT,
    Cursor,
    Id,
    Ids,
    Limit,
    Minor,
    PathId,
    Text,
    Units,
    fields_of,
    verify_named,
)
from services.http.paging import after, cursor_of
from services.planning import masterdata, records
from services.planning.records import BufferRow
from services.runtime import Runtime

Grams = Annotated[int, Meta(ge=0, le=10_000_000)]
Millimeters = Annotated[int, Meta(ge=1, le=100_000)]


COMPONENTS_MAX = 50


class ComponentEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Units of a sku in one kit."""

    sku: Id
    quantity: Annotated[int, Meta(ge=1, le=1_000)]


class ItemBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is stocked; weight and sizes are those of one unit."""

    sku: Annotated[Id, Meta(description="If sent, the one in the address.")] | None = None
    name: Text = ""
    category: Text = ""
    weight_grams: Grams
    length_mm: Millimeters | None = None
    width_mm: Millimeters | None = None
    height_mm: Millimeters | None = None
    requires: Annotated[
        Ids, Meta(description="Capabilities that a node must have to handle it.")
    ] = msgspec.field(default_factory=list)
    unit_margin_minor: Annotated[
        Minor | None,
        Meta(description="Lost when a walk-in finds none; a share of the price without."),
    ] = None
    components: Annotated[
        list[ComponentEntry],
        Meta(
            max_length=COMPONENTS_MAX,
            description="What one of a kit is made up of. Orders for the kit take these from one"
            " node, in one parcel; the kit has no stock of its own.",
        ),
    ] = msgspec.field(default_factory=list)

    unit_price_minor: Annotated[
        Minor | None, Meta(description="What one is sold for, before any markdown.")
    ] = None
    markdown_on: Annotated[
        date | None, Meta(description="From when it is sold for less, or not at all.")
    ] = None
    markdown_price_minor: Annotated[
        Minor | None,
        Meta(description="What it is sold for then, 0 at the end of its life; with `markdown_on`."),
    ] = None
    style: Annotated[
        Id | None, Meta(description="What it is a size of; the same for all its sizes.")
    ] = None
    size: Annotated[Id | None, Meta(description="Which size of its style it is.")] = None

    def __post_init__(self) -> None:
        """Raise `ValueError` where a markdown is half told."""
        if (self.markdown_on is None) != (self.markdown_price_minor is None):
            raise ValueError("markdown_on and markdown_price_minor are only of use together")


class BufferEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units kept back from promises; a key left out matches everything, the most specific wins."""

    sku: Id = ANY
    node_id: Id = ANY
    channel: Id = ANY
    quantity: Annotated[Units | None, Meta(description="null takes the rule away.")]


class BuffersBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Buffer rules to set."""

    buffers: Annotated[list[BufferEntry], Meta(min_length=1, max_length=ENTRIES_MAX)]


class ItemsPage(msgspec.Struct, frozen=True):
    """Items by sku."""

    items: list[Item]
    next_cursor: str | None


class BuffersPage(msgspec.Struct, frozen=True):
    """Buffer rules by sku, node and channel."""

    buffers: list[BufferRow]
    next_cursor: str | None


@put(
    "/v1/items/{sku:str}",
    opt=allow("planner"),
    responses=raises(*BODY, "duplicate-entry", "unknown-sku"),
    tags=["planner"],
)
async def put_item(
    sku: PathId,
    data: JSONBody[ItemBody],
    state: State,
) -> Item:
    """Add or replace an item; what is left out has its default."""
    runtime: Runtime = state.runtime
    verify_named("sku", sku, data.sku)
    parts = tuple(Component(part.sku, part.quantity) for part in data.components)
    item = Item(sku=sku, components=parts, **fields_of(data, "sku", "components"))
    await masterdata.put_items(runtime.database, [item])
    return item


@get("/v1/items/{sku:str}", opt=allow(*EVERYONE), responses=raises("not-found"), tags=["planner"])
async def get_item(sku: PathId, state: State) -> Item:
    """Show an item."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await masterdata.get_item(connection, sku)


@get("/v1/items", opt=allow(*EVERYONE), responses=raises(), tags=["planner"])
async def list_items(state: State, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT) -> ItemsPage:
    """List items by sku."""
    runtime: Runtime = state.runtime
    (start,) = after(cursor)
    async with runtime.database.connect() as connection:
        page = await items.list_items(connection, after=start, limit=limit)
    return ItemsPage(page, cursor_of(page, limit, lambda item: (item.sku,)))


@put(
    "/v1/buffers",
    opt=allow("planner"),
    responses=raises(*BODY, "duplicate-entry", "unknown-sku", "unknown-node"),
    tags=["planner"],
)
async def put_buffers(data: JSONBody[BuffersBody], state: State) -> Written:
    """Set how many units are kept back from promises, by sku, node and channel."""
    runtime: Runtime = state.runtime
    kept = [
        Buffer(sku=rule.sku, node_id=rule.node_id, channel=rule.channel, quantity=rule.quantity)
        for rule in data.buffers
        if rule.quantity is not None
    ]
    dropped = [
        (rule.sku, rule.node_id, rule.channel) for rule in data.buffers if rule.quantity is None
    ]
    await masterdata.put_buffers(runtime.database, kept, dropped)
    return Written(len(data.buffers))


@get("/v1/buffers", opt=allow("planner", "operator", "store"), responses=raises(), tags=["planner"])
async def list_buffers(
    state: State, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT
) -> BuffersPage:
    """List buffer rules by sku, node and channel; `*` matches everything."""
    runtime: Runtime = state.runtime
    sku, node_id, channel = after(cursor, 3)
    async with runtime.database.connect() as connection:
        page = await records.list_buffers(connection, (sku, node_id, channel), limit)
    return BuffersPage(
        page, cursor_of(page, limit, lambda rule: (rule.sku, rule.node_id, rule.channel))
    )


handlers = [put_item, get_item, list_items, put_buffers, list_buffers]
