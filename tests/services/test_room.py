"""Which nodes get a closer look at their capacity before an order is planned."""

from datetime import UTC, date, datetime, time

import msgspec

from inventory.view import DailyDefault, StockView
from routing.problem import Node
from services.orders.room import KINDS_MAX, Room
from services.planning.network import Network, build
from services.planning.records import NetworkRows, NodeRow

NOW = datetime(2026, 5, 12, 15, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 5, 12), date(2026, 5, 11)


def network(unit: str, maximum: int, time_zone: str = "UTC") -> Network:
    """Return a network of a limited node and one without limit."""
    limited = Node(
        node_id="limited",
        kind="store",
        time_zone=time_zone,
        calendar_id="daily",
        cut_off=time(14),
        handling_days=0,
        capabilities=("ship",),
        handling_order_minor=0,
        handling_unit_minor=0,
    )
    free = msgspec.structs.replace(limited, node_id="free")
    rows = [
        NodeRow(
            node=limited,
            latitude=0,
            longitude=0,
            enabled=True,
            limited=True,
            daily=DailyDefault(unit, None, maximum),
        ),
        NodeRow(node=free, latitude=0, longitude=0, enabled=True, limited=False),
    ]
    return build(NetworkRows(version=1, nodes=tuple(rows)))


def used(view: StockView, day: date, unit: str, maximum: int, count: int, version: int = 1) -> None:
    """Let the view hear how much of a day is used."""
    view.apply_capacity([("limited", day, "day", unit, None, maximum, count, version)])


def test_a_node_with_room_for_all_an_order_could_ask_is_not_looked_at() -> None:
    """Capacity is generous nearly always, and reading sixty days of it costs more than a plan."""
    room, place = Room(StockView()), network("units", 10)
    assert room.tight(place, 10, NOW) == {}
    assert room.tight(place, 11, NOW).keys() == {"limited"}


def test_a_node_that_fills_up_and_empties_is_followed() -> None:
    """What others have taken counts, by the newest that was heard."""
    view = StockView()
    room, place = Room(view), network("units", 10)
    assert room.tight(place, 5, NOW) == {}
    used(view, TODAY, "units", 10, 8)
    assert {each.remaining for each in room.tight(place, 5, NOW)["limited"]} == {10, 2}
    used(view, TODAY, "units", 10, 3, version=2)
    assert room.tight(place, 5, NOW) == {}


def test_a_plan_under_way_fills_a_node_until_it_is_given_up() -> None:
    """Two orders of one batch must not both count on the last place."""
    view = StockView()
    room, place = Room(view), network("units", 10)
    taking = view.take([], [], [("limited", TODAY, "day", 1, 7)])
    assert room.tight(place, 5, NOW).keys() == {"limited"}
    view.give_back(taking)
    assert room.tight(place, 5, NOW) == {}


def test_where_orders_are_counted_any_order_may_open_a_few() -> None:
    """One order can be several pieces of work at a node, whatever its units."""
    view = StockView()
    room, place = Room(view), network("orders", KINDS_MAX)
    assert room.tight(place, 500, NOW) == {}
    used(view, TODAY, "orders", KINDS_MAX, 1)
    assert room.tight(place, 1, NOW).keys() == {"limited"}


def test_yesterday_is_over_at_the_nodes_own_midnight() -> None:
    """A day that was sold out must not cost every order of the next one."""
    view = StockView()
    used(view, YESTERDAY, "units", 10, 10)
    assert Room(view).tight(network("units", 10), 5, NOW) == {}
    early = datetime(2026, 5, 12, 3, tzinfo=UTC)
    room, place = Room(view), network("units", 10, "America/Los_Angeles")
    assert room.tight(place, 5, early).keys() == {"limited"}
    assert room.tight(place, 5, NOW) == {}
