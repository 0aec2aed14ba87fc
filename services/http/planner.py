"""Calls of the planner: nodes, their switch and capacity; with those of `items` and `network`."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from litestar import get, put
from litestar.datastructures import State
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from inventory import nodes
from inventory.nodes import Capacity, CapacityLeft, Node
from routing.promise import local_date
from services.http import items, network, pools
from services.http.access import EVERYONE, allow
from services.http.answers import BODY, raises
from services.http.fields import (
    ENTRIES_MAX,
    PAGE_DEFAULT,
    Country,
    Cursor,
    Days,
    Id,
    Ids,
    Latitude,
    Limit,
    LocalTime,
    Longitude,
    Minor,
    PathId,
    Text,
    TimeZone,
    Units,
    check_planned,
    check_time_zone,
    fields_of,
    utc_now,
    verify_named,
)
from services.http.paging import after, cursor_of
from services.keys import Role
from services.planning import masterdata
from services.planning.masterdata import DefaultCapacity
from services.planning.records import DAILY
from services.runtime import Runtime

READERS: tuple[Role, ...] = ("planner", "operator")
CapacityUnit = Literal["orders", "units"]


def verify_limits(unit: str | None, planned: int | None, maximum: int | None) -> None:
    """Raise `ValueError` unless unit and maximum come together and what is planned fits."""
    if (unit is None) != (maximum is None):
        raise ValueError("a capacity needs its unit and its maximum, or neither")
    if planned is not None and (maximum is None or planned > maximum):
        raise ValueError(f"planned {planned} must fit into the maximum, {maximum}")


class NodeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place that can supply or hand over goods."""

    node_id: Annotated[Id, Meta(description="If sent, the one in the address.")] | None = None
    kind: Literal["warehouse", "store", "supplier", "partner"]
    name: Text = ""
    country: Country = "US"
    latitude: Latitude
    longitude: Longitude
    time_zone: TimeZone
    calendar_id: Annotated[
        Id, Meta(description="When it works; `daily` is every date and always exists.")
    ] = DAILY.calendar_id
    cut_off: LocalTime = msgspec.field(
        default_factory=lambda: msgspec.convert("16:00:00", LocalTime)
    )
    handling_days: Days = 0
    capabilities: Annotated[
        Ids,
        Meta(
            description="`ship`, `pickup`, `ship_to_store` (it sends to stores where customers "
            "collect), `curbside`, and what items may require, such as `hazmat`."
        ),
    ] = msgspec.field(default_factory=lambda: ["ship"])
    groups: Annotated[
        Ids, Meta(description="Names by which strategies take nodes together, such as `outlet`.")
    ] = msgspec.field(default_factory=list)
    handling_order_minor: Minor = 0
    handling_unit_minor: Minor = 0
    enabled: Annotated[bool | None, Meta(description="Left out: as it is; a new node is on.")] = (
        None
    )
    capacity_unit: CapacityUnit | None = None
    capacity_planned: Units | None = None
    capacity_maximum: Annotated[
        Units | None, Meta(description="Per day unless a day has its own; unlimited without.")
    ] = None
    partner_id: Annotated[
        Id | None,
        Meta(description="The company that works there, and sees its work; our own without."),
    ] = None
    overload_minor: Annotated[
        Minor | None,
        Meta(
            description="Price of a fulfillment beyond `capacity_planned`; the strategy's without."
        ),
    ] = None

    def __post_init__(self) -> None:
        """Raise `ValueError` when fields do not go together."""
        check_time_zone(self.time_zone)
        verify_limits(self.capacity_unit, self.capacity_planned, self.capacity_maximum)


class Switch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a node takes new work."""

    enabled: bool


class CapacityDefault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node can do on any day that has no figures of its own."""

    unit: CapacityUnit
    planned: Units | None = None
    maximum: Units

    def __post_init__(self) -> None:
        """Raise `ValueError` when what is planned exceeds the maximum."""
        verify_limits(self.unit, self.planned, self.maximum)


class CapacityDay(CapacityDefault, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node can do on one local work date."""

    work_on: date
    slot: Id = "day"


class CapacityBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node can work off: more than `planned` costs, more than `maximum` is refused."""

    default: Annotated[
        CapacityDefault | UnsetType | None,
        Meta(description="For days without their own; null is unlimited, left out: as it is."),
    ] = UNSET
    days: Annotated[list[CapacityDay], Meta(max_length=ENTRIES_MAX)] = msgspec.field(
        default_factory=list
    )


class CapacityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a node can do by default and what it has left by date."""

    node_id: str
    default: DefaultCapacity
    days: list[CapacityLeft]


class NodesPage(msgspec.Struct, frozen=True):
    """Nodes by id."""

    nodes: list[Node]
    next_cursor: str | None


@put(
    "/v1/nodes/{node_id:str}",
    opt=allow("planner"),
    responses=raises(*BODY, "impossible-coordinates", "unknown-reference"),
    tags=["planner"],
)
async def put_node(
    node_id: PathId,
    data: JSONBody[NodeBody],
    state: State,
) -> Node:
    """Add or replace a node.

    Routing knows it within seconds, in every worker. What is left out has its default, except
    `enabled`, which stays as it is.
    """
    runtime: Runtime = state.runtime
    verify_named("node_id", node_id, data.node_id)
    node = Node(node_id=node_id, **fields_of(data, "node_id", "enabled"))
    return await masterdata.put_node(runtime.database, node, enabled=data.enabled)


@get(
    "/v1/nodes/{node_id:str}", opt=allow(*EVERYONE), responses=raises("not-found"), tags=["planner"]
)
async def get_node(node_id: PathId, state: State) -> Node:
    """Show a node."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await masterdata.get_node(connection, node_id)


@get("/v1/nodes", opt=allow(*EVERYONE), responses=raises(), tags=["planner"])
async def list_nodes(state: State, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT) -> NodesPage:
    """List nodes by id."""
    runtime: Runtime = state.runtime
    (start,) = after(cursor)
    async with runtime.database.connect() as connection:
        page = await nodes.list_nodes(connection, after=start, limit=limit)
    return NodesPage(page, cursor_of(page, limit, lambda node: (node.node_id,)))


@put(
    "/v1/nodes/{node_id:str}/enabled",
    opt=allow("planner", "operator"),
    responses=raises(*BODY, "not-found"),
    tags=["planner"],
)
async def put_enabled(node_id: PathId, data: JSONBody[Switch], state: State) -> Switch:
    """Switch a node on or off for new work.

    Within five seconds no worker plans with a node that is off. What it has promised stays.
    """
    runtime: Runtime = state.runtime
    await masterdata.switch_node(runtime.database, node_id, enabled=data.enabled)
    return data


@put(
    "/v1/nodes/{node_id:str}/capacity",
    opt=allow("planner"),
    responses=raises(*BODY, "not-found", "duplicate-entry", "illegal-state"),
    tags=["planner"],
)
async def put_capacity(
    node_id: PathId, data: JSONBody[CapacityBody], state: State
) -> CapacityAnswer:
    """Set how many orders or units a node can work off in a day.

    A maximum below what is already taken is lawful: nothing more is taken until it fits.
    """
    runtime: Runtime = state.runtime
    for day in data.days:
        check_planned("work_on", day.work_on, utc_now())
    default = None
    if data.default is not UNSET:
        default = DefaultCapacity(**fields_of(data.default)) if data.default else DefaultCapacity()
    days = [Capacity(node_id=node_id, **fields_of(day)) for day in data.days]
    await masterdata.put_capacity(runtime.database, node_id, default, days)
    first_on = min((day.work_on for day in days), default=None)
    return await read_capacity(runtime, node_id, first_on, 14)


@get(
    "/v1/nodes/{node_id:str}/capacity",
    opt=allow(*READERS, "store"),
    responses=raises("not-found"),
    tags=["planner"],
)
async def get_capacity(
    node_id: PathId,
    state: State,
    from_on: Annotated[
        date | None, QueryParameter(description="Today at the node without.")
    ] = None,
    days: Annotated[int, QueryParameter(ge=1, le=366)] = 14,
) -> CapacityAnswer:
    """Show what a node can do by default and has left by date; days without a limit are left out."""
    if from_on is not None:
        check_planned("from_on", from_on, utc_now(), "invalid-parameter")
    return await read_capacity(state.runtime, node_id, from_on, days)


async def read_capacity(
    runtime: Runtime, node_id: str, from_on: date | None, days: int
) -> CapacityAnswer:
    """Return a node's default and what it has left; raises `not-found`."""
    async with runtime.database.connect() as connection:
        node = await masterdata.get_node(connection, node_id)
        start = from_on or local_date(utc_now(), node.time_zone)
        left = await nodes.read_capacity(connection, [node_id], start, days)
    default = DefaultCapacity(
        unit=node.capacity_unit, planned=node.capacity_planned, maximum=node.capacity_maximum
    )
    return CapacityAnswer(node_id=node_id, default=default, days=left)


handlers = [
    put_node,
    get_node,
    list_nodes,
    put_enabled,
    put_capacity,
    get_capacity,
    *items.handlers,
    *pools.handlers,
    *network.handlers,
]
