"""The ground of a large network is prepared beside the event loop, once for all who wait for it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta

import pytest

from inventory.view import StockView
from routing.problem import Node
from services.orders.ground import NODES_AT_ONCE_MAX, Grounds
from services.planning.network import Network, build
from services.planning.records import NetworkRows, NodeRow

NOW = datetime(2026, 5, 12, 9, tzinfo=UTC)


def network(count: int, version: int = 1) -> Network:
    """Return a network of so many nodes without lanes."""
    rows = [
        NodeRow(
            node=Node(
                node_id=f"node-{number:04}",
                kind="store",
                time_zone="UTC",
                calendar_id="daily",
                cut_off=time(14),
                handling_days=0,
                capabilities=("pickup",),
                handling_order_minor=0,
                handling_unit_minor=0,
            ),
            latitude=0,
            longitude=0,
            enabled=True,
            limited=False,
        )
        for number in range(count)
    ]
    return build(NetworkRows(version=version, nodes=tuple(rows)))


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Two threads."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def test_all_who_wait_for_a_ground_get_the_same_one(threads: ThreadPoolExecutor) -> None:
    """After a cut-off every order to a zone asks at once, and one preparation is enough."""
    grounds, view, known = Grounds(), StockView(), network(NODES_AT_ONCE_MAX + 1)
    waiting = [
        asyncio.create_task(grounds.make_ready(known, None, view, (NOW, ()), threads))
        for _ in range(3)
    ]
    await asyncio.sleep(0)
    assert len(grounds.making) == 1

    await asyncio.gather(*waiting)

    ground = grounds.ready(known, None, NOW, ())
    assert ground is grounds.find(known, None, view, NOW) is not None
    assert not grounds.making


async def test_who_gives_up_waiting_takes_no_ground_from_others(
    threads: ThreadPoolExecutor,
) -> None:
    """A caller hangs up; what it asked for is what others wait for."""
    grounds, view, known = Grounds(), StockView(), network(NODES_AT_ONCE_MAX + 1)
    first, second = (
        asyncio.create_task(grounds.make_ready(known, None, view, (NOW, ()), threads))
        for _ in range(2)
    )
    await asyncio.sleep(0)
    first.cancel()

    await second

    assert first.cancelled()
    assert grounds.ready(known, None, NOW, ()) is not None


async def test_a_ground_is_made_anew_after_its_dates_and_for_another_network(
    threads: ThreadPoolExecutor,
) -> None:
    """What was ready once must not promise dates of yesterday, nor by a calendar that is gone."""
    grounds, view, known = Grounds(), StockView(), network(NODES_AT_ONCE_MAX + 1)
    tomorrow, newer = NOW + timedelta(days=1), network(NODES_AT_ONCE_MAX + 1, version=2)
    for each, now in ((known, NOW), (known, tomorrow), (newer, tomorrow)):
        assert grounds.ready(each, None, now, ()) is None
        await grounds.make_ready(each, None, view, (now, ()), threads)
        assert grounds.ready(each, None, now, ()) is not None


async def test_master_data_is_put_in_order_once_for_all_dates_of_a_network() -> None:
    """Every cut-off makes all grounds anew, which may cost only what the cut-off changes."""
    grounds, view, known = Grounds(), StockView(), network(3)
    first = grounds.find(known, None, view, NOW)

    second = grounds.find(known, None, view, NOW + timedelta(days=1))
    other = grounds.find(network(3, version=2), None, view, NOW + timedelta(days=1))

    assert second is not first
    assert second.terrain.ordered_on == first.terrain.ordered_on + timedelta(days=1)
    assert second.terrain.destination is first.terrain.destination
    assert other.terrain.destination is not first.terrain.destination
    assert second.cut_offs is first.cut_offs is not other.cut_offs


async def test_a_small_ground_is_prepared_where_it_is_asked_for(
    threads: ThreadPoolExecutor,
) -> None:
    """To go to a thread and back would take longer."""
    grounds, view, known = Grounds(), StockView(), network(3)
    await grounds.make_ready(known, None, view, (NOW, ()), threads)
    assert grounds.ready(known, None, NOW, ()) is None
    assert grounds.find(known, None, view, NOW).network is known
