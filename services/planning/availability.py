"""What can be sold, where and by when: stock judged record by record by rules and dates.

This is the way for rows that are read fresh and for skus of which supply is expected. Everything
else is answered from arrays (`availability_view.py`), with the same outcome.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from heapq import nsmallest
from operator import itemgetter

import msgspec

from inventory import items, nodes
from inventory.availability import Cell, read_cells
from inventory.items import Item
from routing import promise
from routing.plan import Promise
from routing.problem import Lane, Node
from services import records as shared_records
from services.database import Database
from services.planning.availability_answer import (
    AvailabilityAnswer,
    Columns,
    MatrixCell,
    NodeAvailability,
    SkuAvailability,
    SkuColumns,
    Total,
)
from services.planning.kits import kit_cells
from services.planning.masterdata import verify_known
from services.planning.network import Network, Zone, distance_km
from services.planning.prospects import LAST, ShipPromise
from services.planning.written import BEST_MAX
from services.problems import Refused

MATRIX_CELLS_MAX = 100_000

Rank = tuple[date, float, int, str]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked."""

    skus: Sequence[str]
    channel: str
    node_ids: Sequence[str] | None = None
    zone: Zone | None = None
    place: tuple[float, float] | None = None
    """Latitude and longitude of the destination."""
    on: date | None = None
    matrix: bool = False
    columns: bool = False
    stale: frozenset[str] = frozenset()
    """Nodes that are left out, because their feed is too old."""


async def availability(database: Database, network: Network, query: Query) -> AvailabilityAnswer:
    """Return what can be sold, from one snapshot of the stock.

    Dates follow from calendars, cut-offs and transit; how busy a node is that day, a quote knows.
    Raises `unknown-sku`, `unknown-node`, `date-in-past`, and `invalid-parameter` for a matrix with
    more than `MATRIX_CELLS_MAX` cells.
    """
    async with database.transaction(isolation="repeatable_read", readonly=True) as connection:
        found = {item.sku: item for item in await items.get_items(connection, query.skus)}
        verify_known("unknown-sku", "item", set(query.skus) - found.keys())
        missing = await nodes.missing_nodes(connection, query.node_ids or ())
        verify_known("unknown-node", "node", missing)
        now = await shared_records.database_now(connection)
        parts = {part.sku for item in found.values() for part in item.components}
        cells = await read_cells(
            connection,
            list({*query.skus, *parts}),
            channel=query.channel,
            node_ids=query.node_ids,
        )
    on = verified_date(query, now)
    verify_size(query, len(cells))
    # In a thread, because many skus at hundreds of nodes would keep orders waiting.
    return await asyncio.to_thread(judge, cells, found, network, query, on=on, now=now)


def verified_date(query: Query, now: datetime) -> date:
    """Return the date of `atp`, today unless asked for; raises `date-in-past`."""
    on = query.on or now.date()
    if (now.date() - on).days > 1:
        # A day's grace, since it may still be yesterday where the customer is.
        raise Refused("date-in-past", f"on is {on}; today is {now.date()}.")
    return on


def verify_size(query: Query, cells: int) -> None:
    """Raise `invalid-parameter` for a matrix with more than `MATRIX_CELLS_MAX` cells."""
    if (query.matrix or query.columns) and cells > MATRIX_CELLS_MAX:
        raise Refused(
            "invalid-parameter",
            f"The matrix would have {cells} cells, more than {MATRIX_CELLS_MAX}; "
            "ask for fewer skus or name nodes.",
        )


def judge(
    cells: Sequence[Cell],
    found: Mapping[str, Item],
    network: Network,
    query: Query,
    *,
    on: date,
    now: datetime,
) -> AvailabilityAnswer:
    """Return what the cells mean for the query; `found` are its items by sku."""
    dates = Dates(network, query, now)
    by_sku: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.node_id in network.nodes and cell.node_id not in query.stale:
            by_sku[cell.sku].append(cell)
    for sku, item in found.items():
        if item.components:
            kit = [(part.sku, part.quantity) for part in item.components]
            by_sku[sku] = kit_cells(sku, kit, by_sku)
    skus = list(dict.fromkeys(query.skus))
    matrix = [cell for sku in skus for cell in by_sku.get(sku, ())]
    return AvailabilityAnswer(
        age_ms=0,
        channel=query.channel,
        on=on,
        zone_id=query.zone.zone_id if query.zone else None,
        skus=[
            judge_sku(sku, found[sku].requires, by_sku.get(sku, ()), dates, on=on) for sku in skus
        ],
        matrix=[matrix_cell(cell, on) for cell in matrix] if query.matrix else None,
        columns=judged_columns(skus, by_sku, on) if query.columns else None,
    )


def judge_sku(
    sku: str, requires: Sequence[str], cells: Sequence[Cell], dates: "Dates", *, on: date
) -> SkuAvailability:
    """Return one sku's totals by method and its best nodes; `cells` are its own."""
    ship: list[Cell] = []
    pickup: list[Cell] = []
    rated: list[tuple[Rank, Cell]] = []
    for cell in cells:
        capabilities = dates.network.nodes[cell.node_id].capabilities
        if not all(each in capabilities for each in requires) or not atp(cell, on):
            continue
        outlook = dates.outlook(cell)
        if not outlook.works:
            continue
        ships = outlook.ship is not None or (dates.zone is None and "ship" in capabilities)
        collects = outlook.pickup_on is not None
        if ships:
            ship.append(cell)
        if collects:
            pickup.append(cell)
        if ships or collects:
            rated.append((rank(cell, dates), cell))
    return SkuAvailability(
        sku=sku,
        ship=total(ship, on),
        pickup=total(pickup, on),
        best=[
            node_availability(cell, dates, on)
            for _, cell in nsmallest(BEST_MAX, rated, key=itemgetter(0))
        ],
    )


def total(cells: Sequence[Cell], on: date) -> Total:
    """Return the units in cells that can give some by `on`."""
    return Total(
        available=sum(cell.available for cell in cells),
        atp=sum(atp(cell, on) for cell in cells),
        nodes=len(cells),
    )


def atp(cell: Cell, on: date) -> int:
    """Return the units of a cell that can be promised by `on`."""
    if not cell.supply:
        return cell.available
    expected = (each.quantity_promisable for each in cell.supply if each.expected_on <= on)
    return cell.available + sum(expected)


def matrix_cell(cell: Cell, on: date) -> MatrixCell:
    """Return a cell as the matrix shows it."""
    return MatrixCell(
        sku=cell.sku,
        node_id=cell.node_id,
        on_hand=cell.on_hand,
        reserved=cell.reserved,
        unavailable=cell.unavailable,
        buffer=cell.buffer,
        buffer_rule=cell.buffer_rule,
        protected=cell.protected,
        available=cell.available,
        atp=atp(cell, on),
    )


def judged_columns(skus: Sequence[str], by_sku: Mapping[str, Sequence[Cell]], on: date) -> Columns:
    """Return cells as columns, over the nodes that have any."""
    node_ids = sorted({cell.node_id for cells in by_sku.values() for cell in cells})
    places = {node_id: place for place, node_id in enumerate(node_ids)}
    return Columns(
        node_ids=node_ids,
        skus=[sku_columns(sku, by_sku.get(sku, ()), places, on) for sku in skus],
    )


def sku_columns(sku: str, cells: Sequence[Cell], places: Mapping[str, int], on: date) -> SkuColumns:
    """Return the cells of one sku as columns; `places` are those of the nodes."""
    return SkuColumns(
        sku=sku,
        nodes=[places[cell.node_id] for cell in cells],
        on_hand=[cell.on_hand for cell in cells],
        reserved=[cell.reserved for cell in cells],
        unavailable=[cell.unavailable for cell in cells],
        buffer=[cell.buffer for cell in cells],
        available=[cell.available for cell in cells],
        atp=[atp(cell, on) for cell in cells],
    )


def node_availability(cell: Cell, dates: "Dates", on: date) -> NodeAvailability:
    """Return a cell with its dates and distance."""
    outlook = dates.outlook(cell)
    return NodeAvailability(
        node_id=cell.node_id,
        available=cell.available,
        atp=atp(cell, on),
        distance_km=outlook.distance_km,
        ship=outlook.ship,
        pickup_on=outlook.pickup_on,
    )


def rank(cell: Cell, dates: "Dates") -> Rank:
    """Return the sort key of best nodes: soonest, nearest, most units, then by id.

    With a destination it is delivery that counts, without one pickup.
    """
    outlook = dates.outlook(cell)
    soonest = outlook.pickup_on if dates.zone is None else outlook.ship and outlook.ship.latest
    return soonest or LAST, outlook.distance_km or 0.0, -cell.available, cell.node_id


class Outlook(msgspec.Struct, frozen=True):
    """What an order at a node could expect, whatever the sku."""

    works: bool
    """Whether the node ever works."""
    ship: ShipPromise | None
    pickup_on: date | None
    distance_km: float | None


class Dates:
    """First dates of nodes for orders placed now, each distinct rule computed once."""

    def __init__(self, network: Network, query: Query, now: datetime) -> None:
        """Promise to the query's zone, when there is one, for an order at `now`."""
        self.network = network
        self.zone = query.zone
        self.place = query.place
        self.now = now
        self.outlooks: dict[tuple[str, date | None], Outlook] = {}
        self.dispatches: dict[tuple[object, ...], tuple[date, datetime] | None] = {}
        self.deliveries: dict[tuple[object, ...], Promise | None] = {}

    def outlook(self, cell: Cell) -> Outlook:
        """Return what to expect of a cell's node once its goods are there."""
        there_on = None if cell.available else cell.supply[0].expected_on
        found = self.outlooks.get((cell.node_id, there_on))
        if found is None:
            node = self.network.nodes[cell.node_id]
            distance = None
            if self.place is not None:
                distance = round(distance_km(self.place, self.network.places[cell.node_id]), 1)
            found = Outlook(
                works=self.dispatch(node, there_on) is not None,
                ship=self.ship(node, there_on) if "ship" in node.capabilities else None,
                pickup_on=self.pickup(node, there_on) if "pickup" in node.capabilities else None,
                distance_km=distance,
            )
            self.outlooks[cell.node_id, there_on] = found
        return found

    def dispatch(
        self, node: Node, there_on: date | None, collected: time | None = None
    ) -> tuple[date, datetime] | None:
        """Return the work date and instant by which a node is done; none when it never is.

        Goods are there on `there_on`, or now. A carrier may collect them at a time of its own.
        """
        own = (node.time_zone, node.calendar_id, node.cut_off, node.handling_days)
        rule = (*own, there_on, collected)
        if rule not in self.dispatches:
            calendar = self.network.calendars[node.calendar_id]
            try:
                start_on = promise.start_date(node, calendar, self.now, collected)
                if there_on is not None and there_on > start_on:
                    start_on = promise.worked_date(calendar, there_on, time_zone=node.time_zone)
                work_on = promise.dispatch_date(node, calendar, start_on)
                ship_by = promise.dispatch_instant(node, work_on, collected)
                self.dispatches[rule] = work_on, ship_by
            except promise.NeverError:
                self.dispatches[rule] = None
        return self.dispatches[rule]

    def pickup(self, node: Node, there_on: date | None) -> date | None:
        """Return the local date from which goods can be collected at a node."""
        dispatched = self.dispatch(node, there_on)
        return promise.pickup_promise(dispatched[0]).earliest if dispatched else None

    def ship(self, node: Node, there_on: date | None) -> ShipPromise | None:
        """Return the promise of the quickest service to the zone; none when nothing goes there."""
        if self.zone is None:
            return None
        lanes = self.network.lanes.get(self.zone.zone_id, {}).get(node.node_id, ())
        promises = [
            ShipPromise(
                service=lane.service,
                ship_by=dispatched[1],
                earliest=delivery.earliest,
                latest=delivery.latest,
            )
            for lane in lanes
            if (dispatched := self.dispatch(node, there_on, lane.cut_off)) is not None
            and (delivery := self.delivery(lane, self.zone, dispatched[1])) is not None
        ]
        return min(
            promises, key=lambda each: (each.latest, each.earliest, each.service), default=None
        )

    def delivery(self, lane: Lane, zone: Zone, ship_by: datetime) -> Promise | None:
        """Return the promise of a parcel handed over by `ship_by`; none when it never moves."""
        rule = (lane.calendar_id, lane.transit_days_min, lane.transit_days_max, ship_by)
        if rule not in self.deliveries:
            try:
                self.deliveries[rule] = promise.delivery_promise(
                    lane, self.network.calendars, ship_by, zone.time_zone
                )
            except promise.NeverError:
                self.deliveries[rule] = None
        return self.deliveries[rule]
