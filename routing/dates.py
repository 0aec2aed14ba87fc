"""When each node of a network would start, dispatch and deliver an order."""

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import NamedTuple

from routing import promise
from routing.plan import Promise
from routing.problem import Calendar, Lane, Node, ProblemError


class First(NamedTuple):
    """The first work of a node that counts for an order."""

    start_on: date
    work_on: date
    ship_by: datetime


class Start(NamedTuple):
    """A date on which a node could do its work for an order."""

    work_on: date
    latest: tuple[date, ...]
    """By service, and last for who collects it there: when it would be promised, at the latest."""


class Dates:
    """Dates of nodes for one destination at one instant, each distinct rule computed once.

    Hundreds of nodes share a handful of calendars, cut-offs and zones, so remembering by those is
    what keeps dates out of the cost of an order.
    """

    def __init__(
        self,
        now: datetime,
        time_zone: str,
        calendars: Iterable[Calendar],
        nodes: Iterable[Node] = (),
    ) -> None:
        """`nodes` are those where goods may be collected that others send there."""
        self._now = now
        self._destination = time_zone
        self._collecting = {node.node_id: node for node in nodes}
        self._calendars = {calendar.calendar_id: calendar for calendar in calendars}
        self._starts: dict[tuple[object, ...], date | None] = {}
        self._dispatches: dict[tuple[object, ...], tuple[date, datetime] | None] = {}
        self._firsts: dict[tuple[object, ...], First | None] = {}
        self._deliveries: dict[tuple[object, ...], Promise | None] = {}
        self.starts: dict[tuple[object, ...], tuple[Start, ...]] = {}
        """What `putting_off.starts_of` has worked out, each distinct rule once."""

    def calendar(self, node: Node) -> Calendar:
        """The node's calendar. Raises `ProblemError` when the problem has no such calendar."""
        try:
            return self._calendars[node.calendar_id]
        except KeyError as error:
            message = f"node {node.node_id} names calendar {node.calendar_id}, which is not given"
            raise ProblemError(message) from error

    def start(self, node: Node, collected: time | None = None) -> date | None:
        """The first work date that counts for the order, none when the node never works.

        `collected` is when a carrier collects, where that has a time of its own.
        """
        key = (node.time_zone, node.calendar_id, node.cut_off, collected)
        if key not in self._starts:
            calendar = self.calendar(node)
            try:
                self._starts[key] = promise.start_date(node, calendar, self._now, collected)
            except promise.NeverError:
                self._starts[key] = None
        return self._starts[key]

    def dispatch(
        self, node: Node, start_on: date, collected: time | None = None
    ) -> tuple[date, datetime] | None:
        """The dispatch date and `ship_by` of work started on `start_on`, none when never."""
        at = collected or node.cut_off
        key = (node.time_zone, node.calendar_id, at, node.handling_days, start_on)
        if key not in self._dispatches:
            try:
                work_on = promise.dispatch_date(node, self.calendar(node), start_on)
                ship_by = promise.dispatch_instant(node, work_on, collected)
                self._dispatches[key] = work_on, ship_by
            except promise.NeverError:
                self._dispatches[key] = None
        return self._dispatches[key]

    def first(self, node: Node, collected: time | None = None) -> First | None:
        """The first start that counts for the order, none when the node never works."""
        key = (node.time_zone, node.calendar_id, node.cut_off, node.handling_days, collected)
        if key not in self._firsts:
            start_on = self.start(node, collected)
            dispatched = self.dispatch(node, start_on, collected) if start_on else None
            self._firsts[key] = First(start_on, *dispatched) if start_on and dispatched else None
        return self._firsts[key]

    def delivery(self, lane: Lane, ship_by: datetime) -> Promise | None:
        """The promise of a parcel handed over by `ship_by`, none when it never gets there.

        Raises `ProblemError` when the problem has no such calendar.
        """
        days = lane.transit_days_min, lane.transit_days_max
        key = (lane.calendar_id, *days, lane.to_node, ship_by)
        if key not in self._deliveries:
            try:
                self._deliveries[key] = self._arrival(lane, ship_by)
            except promise.NeverError:
                self._deliveries[key] = None
            except KeyError as error:
                message = f"lane {lane.node_id} {lane.service} names unknown calendar {error}"
                raise ProblemError(message) from error
        return self._deliveries[key]

    def receiver(self, lane: Lane) -> Node | None:
        """The node to which a lane leads, none for one to the destination."""
        return self._collecting.get(lane.to_node) if lane.to_node else None

    def _arrival(self, lane: Lane, ship_by: datetime) -> Promise | None:
        """The same, worked out anew."""
        if lane.to_node is None:
            return promise.delivery_promise(lane, self._calendars, ship_by, self._destination)
        node = self._collecting.get(lane.to_node)
        if node is None:
            return None
        arrival = promise.delivery_promise(lane, self._calendars, ship_by, node.time_zone)
        return promise.collection_promise(node, self.calendar(node), arrival)
