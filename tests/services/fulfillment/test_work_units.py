"""Which units a step is about, where a line is there twice and where a part has not come in."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from services.fulfillment.records import FulfillmentLine, FulfillmentOrder, Peg, Work
from services.fulfillment.units import LineUnits, chosen, counted, given_up, verify_there
from services.problems import Refused

NOW = datetime(2026, 3, 2, tzinfo=UTC)
HOLDER = UUID(int=1)


def work(*lines: FulfillmentLine, number: int = 2, node_id: str = "east") -> Work:
    """Return a fulfillment order of these lines."""
    order = FulfillmentOrder(
        order_id="o-1",
        fulfillment_order_id=UUID(int=number),
        allocation_id=HOLDER,
        node_id=node_id,
        method="ship",
        service="ground",
        work_on=NOW.date(),
        ship_by=NOW,
        promise_earliest=NOW.date(),
        promise_latest=NOW.date(),
        weight_grams=0,
        cost="{}",
        release_at=NOW,
        actor="test",
        created_at=NOW,
        changed_at=NOW,
    )
    return Work(order, lines)


def line(
    part: int, quantity: int, *, supply_id: str | None = None, sku: str = "SOFA", picked: int = 0
) -> FulfillmentLine:
    """Return units of line 1, of which some are picked."""
    return FulfillmentLine(
        part=part,
        line_id="1",
        sku=sku,
        supply_id=supply_id,
        quantity=quantity,
        unit_price_minor=None,
        picked=picked,
    )


def expected(quantity: int) -> list[Peg]:
    """Return what line 1 waits for in the east."""
    return [
        Peg(
            holder_id=HOLDER,
            line_id="1",
            sku="SOFA",
            node_id="east",
            quantity=quantity,
            supply_id="PO-1",
            expected_on=date(2026, 3, 9),
        )
    ]


def test_a_part_from_supply_does_not_overtake_the_part_from_stock() -> None:
    """Two sofas are here and two expected: the two that are here belong to the first parcel."""
    both = work(line(0, 2), line(1, 2, supply_id="PO-1"))
    there = {("1", "SOFA", "east"): 2}
    verify_there(both, {0: 2}, [], there, expected(2))
    with pytest.raises(Refused) as refused:
        verify_there(both, {1: 1}, [], there, expected(2))
    assert refused.value.kind == "waiting-for-supply"
    assert refused.value.extra["available"] == 0
    assert refused.value.extra["expected"] == [
        {"supply_id": "PO-1", "quantity": 2, "expected_on": "2026-03-09"}
    ]
    with pytest.raises(Refused):
        verify_there(both, {0: 2, 1: 1}, [], there, expected(2))
    verify_there(both, {0: 2, 1: 1}, [], {("1", "SOFA", "east"): 3}, expected(1))


def test_what_other_work_at_the_node_has_picked_is_not_picked_again() -> None:
    """Reservations are the allocation's: two fulfillment orders of one line share them."""
    mine = work(line(0, 2, supply_id="PO-1"))
    other = work(line(0, 3, picked=3), number=3)
    elsewhere = work(line(0, 3, picked=3), number=4, node_id="west")
    with pytest.raises(Refused) as refused:
        verify_there(mine, {0: 1}, [other], {("1", "SOFA", "east"): 3}, expected(2))
    assert refused.value.extra["available"] == 0
    verify_there(mine, {0: 1}, [other, elsewhere], {("1", "SOFA", "east"): 4}, expected(1))


def test_a_shortage_with_nothing_expected_says_so() -> None:
    """Waiting for nothing is not waiting: the node has to report what is missing."""
    with pytest.raises(Refused, match="nothing more is expected"):
        verify_there(work(line(0, 2)), {0: 2}, [], {("1", "SOFA", "east"): 1}, [])


def test_a_line_that_is_there_twice_is_told_apart_by_its_part() -> None:
    """A kit has one line and several things to pick; a guess would pick the wrong one."""
    kit = work(line(0, 2, sku="SOFA"), line(1, 4, sku="LEG"))
    with pytest.raises(Refused) as refused:
        chosen(kit.lines, [LineUnits(line_id="1", quantity=1)], lambda each: each.to_pick, "pick")
    assert refused.value.kind == "invalid-field"
    assert "0 (SOFA), 1 (LEG)" in refused.value.detail
    asked = [LineUnits(line_id="1", part=1, quantity=4)]
    assert chosen(kit.lines, asked, lambda each: each.to_pick, "pick") == {1: 4}
    assert chosen(kit.lines, None, lambda each: each.to_pick, "pick") == {0: 2, 1: 4}


def test_counting_and_giving_up_keep_what_has_left() -> None:
    """What was picked and is put back is no longer picked; what was shipped stays shipped."""
    picked = Work(work().order, counted(work(line(0, 5)), "picked", {0: 3}))
    sent = Work(picked.order, counted(picked, "shipped", {0: 2}))
    (ended,) = given_up(sent)
    assert (ended.picked, ended.shipped, ended.cancelled, ended.left) == (2, 2, 3, 0)
    assert given_up(Work(sent.order, (ended,))) == (ended,)
