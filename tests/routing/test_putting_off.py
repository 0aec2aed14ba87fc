"""Work that can wait leaves a scarce date to what cannot, and the record says so."""

from datetime import date, timedelta

import numpy as np

from routing.basket import Basket, held
from routing.check import check
from routing.destination import body, destination
from routing.explain import Decision, explain, replay
from routing.plan_basket import Planned, plan_basket
from routing.problem import Capacity, Policy
from routing.putting_off import can_wait, starts_of, waits_minor, waits_of
from routing.record import expand
from routing.terrain import Terrain, prepare
from tests.routing.small import ALWAYS, NOW, TODAY, lane, line, node
from tests.routing.test_hindsight import NUMBERS, terrain

TOMORROW = TODAY + timedelta(days=1)
NEAR = terrain({"north": 500, "south": 900})
POLICY = Policy(delay_minor=5, lateness_minor=150, split_minor=0)
KEPT = (Capacity(work_on=TODAY, remaining=0, kept=3),)


def planned(kept: dict[str, tuple[Capacity, ...]], **surcharges: int) -> Planned:
    """Return the plan of two lamps, one of which has to be there tomorrow."""
    lines = (line("1", "lamp"), line("2", "vase", requested_by=TOMORROW))
    both = np.array([0, 1]), np.array([9, 9])
    basket = Basket(
        now=NOW,
        lines=lines,
        policy=POLICY,
        held=held(lines, {"lamp": both, "vase": both}),
        capacity=kept,
        surcharges=surcharges,
    )
    return plan_basket(NEAR, basket, 5_000)


def decision(found: Planned) -> Decision:
    """Return the decision that its record tells of."""
    return expand(found.record, body(NEAR.destination))


def test_a_node_that_keeps_its_places_starts_on_the_next_date() -> None:
    """For 1.50 of lateness and twice 0.05 of waiting, instead of 4.00 more for a parcel."""
    at_once, later = planned({}), planned({"north": KEPT})
    (first,), (second,) = at_once.plan.fulfillments, later.plan.fulfillments
    assert (first.node_id, first.work_on) == ("north", TODAY)
    assert (second.node_id, second.work_on) == ("north", TOMORROW)
    assert later.plan.objective_minor - at_once.plan.objective_minor == 150 + 2 * 5
    assert later.plan.status == "optimal"


def test_the_record_tells_what_was_kept_and_replays() -> None:
    """A plan that starts later for no reason would be a worse plan; it is the same to the last bit."""
    found = planned({"north": KEPT}, north=120)
    told = decision(found)
    north = next(each for each in told.problem.nodes if each.node_id == "north")
    assert (north.capacity, north.surcharge_minor) == (KEPT, 120)
    assert told.plan == found.plan == replay(told)
    assert not check(told.problem, found.plan)


def test_the_explanation_says_which_date_weighs_what_and_which_is_kept() -> None:
    """A store manager sees why the parcel did not leave at once, though there were hands."""
    said = explain(decision(planned({"north": KEPT}, north=120)))["sentences"]
    assert "Work on Wednesday 13 May 2026 at north weighs 1.20, as places are scarce." in said
    assert "north keeps 3 places on Tuesday 12 May 2026 for orders that cannot wait." in said
    assert not any("more place" in each for each in said)


def test_a_record_without_kept_places_is_as_it_was() -> None:
    """Records of before places were kept are read, and others take no byte more."""
    full = (Capacity(work_on=TODAY, remaining=0),)
    short, long = planned({"north": full}), planned({"north": KEPT})
    assert len(short.record) < len(long.record)
    assert decision(short).problem.nodes[0].capacity == full


def starts(known: Terrain) -> list[date]:
    """Return the work dates that the first node offers."""
    return [each.work_on for each in starts_of(known, 0)]


def test_a_node_offers_the_dates_it_works() -> None:
    """The same as when it is full: the first, and ten more."""
    assert starts(NEAR) == [TODAY + timedelta(days=n) for n in range(11)]
    assert starts_of(NEAR, 0) is starts_of(NEAR, 1)


def test_an_order_waits_as_long_as_its_dearest_service() -> None:
    """Express would be there in time even if it left tomorrow; the standard service would not."""
    lanes = [lane("north", "north", 3), lane("north", "north", 1, service="express")]
    known = prepare(
        destination([node("north")], lanes, [ALWAYS], NEAR.destination.tariffs, "UTC"), NUMBERS, NOW
    )
    first, second, *_ = starts_of(known, 0)
    by = TODAY + timedelta(days=3)
    waits = waits_of(POLICY, [line("1", "lamp", requested_by=by)], known.ordered_on)
    assert waits_minor(waits, first, second) == 150 + 5


def test_what_was_promised_is_not_put_off() -> None:
    """No price is worth a promise that was made."""
    assert can_wait(NEAR, [line("1", "lamp")])
    assert not can_wait(NEAR, [line("1", "lamp", promised_by=TOMORROW)])
