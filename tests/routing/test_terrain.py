"""A prepared destination holds the dates of its whole window, and says when the window ends."""

import random
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from routing.destination import body, destination, read_body
from routing.problem import ProblemError
from routing.terrain import Terrain, prepare, prepare_again
from tests.routing import small
from tests.routing.random_problems import random_problem

TICK = timedelta(microseconds=1)
replace = msgspec.structs.replace


def terrain_at(seed: int, now: datetime) -> Terrain:
    """The network of a random problem, prepared for another instant."""
    problem = random_problem(seed)
    served = destination(
        problem.nodes,
        problem.lanes,
        problem.calendars,
        problem.tariffs,
        problem.destination_time_zone,
    )
    return prepare(served, {node.node_id: n for n, node in enumerate(problem.nodes)}, now)


def dates(terrain: Terrain) -> tuple[object, ...]:
    """Everything in a terrain that the time can change."""
    return (
        terrain.ordered_on,
        terrain.todays,
        terrain.dispatches,
        terrain.promises,
        terrain.departures,
        terrain.rows.lane_latest.tolist(),
        terrain.rows.ready.tolist(),
    )


MOMENTS = (
    datetime(2026, 5, 13, 12, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC),
    datetime(2026, 3, 8, 9, 30, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    datetime(2026, 11, 1, 8, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC),
)


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_dates_hold_from_the_first_to_the_last_instant_of_a_window(moment: datetime) -> None:
    """An order planned on yesterday's dates would promise what nobody keeps."""
    for seed in range(40):
        now = moment + timedelta(minutes=random.Random(seed).randint(-600, 600))
        terrain = terrain_at(seed, now)
        assert terrain.covers(now)
        length = terrain.until_at - terrain.from_at

        for at in (
            terrain.from_at,
            terrain.from_at + length / 3,
            terrain.from_at + length * 2 / 3,
            terrain.until_at - TICK,
        ):
            assert dates(terrain_at(seed, at)) == dates(terrain), (seed, at)


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_a_window_ends_where_a_date_or_a_clock_changes(moment: datetime) -> None:
    """A window shorter than it need be would prepare the same destination over and over."""
    for seed in range(40):
        terrain = terrain_at(seed, moment)
        zones = {node.time_zone for node in terrain.destination.nodes}
        zones.add(terrain.destination.time_zone)
        for before, after in (
            (terrain.from_at - TICK, terrain.from_at),
            (terrain.until_at - TICK, terrain.until_at),
        ):
            today = [before.astimezone(ZoneInfo(zone)).date() for zone in sorted(zones)]
            then = [after.astimezone(ZoneInfo(zone)).date() for zone in sorted(zones)]
            second = timedelta(seconds=1)
            clocks = any(
                (before - second).astimezone(ZoneInfo(zone)).utcoffset()
                != (after + second).astimezone(ZoneInfo(zone)).utcoffset()
                for zone in zones
            )
            zone_of = {node.node_id: node.time_zone for node in terrain.destination.nodes}
            collected = [(lane.node_id, lane.cut_off) for lane in terrain.destination.lanes]
            collected += [(node.node_id, node.cut_off) for node in terrain.destination.nodes]
            cut_off = any(
                before.astimezone(ZoneInfo(zone_of[node_id])).time() == at
                for node_id, at in collected
            )
            assert today != then or clocks or cut_off, (seed, before)


def test_the_last_instant_of_a_cut_off_still_counts_today() -> None:
    """The rule of `start_date`, seen from the terrain."""
    node = small.node("one", cut_off=time(14))
    served = destination((node,), (small.lane("one"),), (small.ALWAYS,), (small.NEAR,), "UTC")
    cut_off = datetime(2026, 5, 12, 14, tzinfo=UTC)

    before = prepare(served, {"one": 0}, cut_off)
    after = prepare(served, {"one": 0}, cut_off + TICK)

    assert before.until_at == cut_off + TICK == after.from_at
    assert before.dispatches[0] is not None
    assert before.dispatches[0].work_on == small.TODAY
    assert after.dispatches[0] is not None
    assert after.dispatches[0].work_on == small.TODAY + timedelta(days=1)


def test_a_clock_set_back_over_midnight_shows_yesterday_again() -> None:
    """Havana goes from 1:00 back to 0:00, Santiago from 0:00 back to 23:00 of the day before."""
    for zone, now in (
        ("America/Havana", datetime(2026, 11, 1, 4, 30, tzinfo=UTC)),
        ("America/Santiago", datetime(2026, 4, 5, 2, 30, tzinfo=UTC)),
        ("America/Santiago", datetime(2026, 4, 5, 3, 30, tzinfo=UTC)),
    ):
        node = small.node("one", time_zone=zone, cut_off=time(12))
        served = destination((node,), (small.lane("one"),), (small.ALWAYS,), (small.NEAR,), zone)
        terrain = prepare(served, {"one": 0}, now)
        minutes = int((terrain.until_at - terrain.from_at) / timedelta(minutes=1))

        for minute in range(minutes):
            at = terrain.from_at + timedelta(minutes=minute)
            assert at.astimezone(ZoneInfo(zone)).date() == terrain.ordered_on, at


def test_the_digest_is_of_master_data_alone() -> None:
    """Records of a year name a handful of bodies, not one for each cut-off and process."""
    early, late = terrain_at(5, MOMENTS[0]), terrain_at(5, MOMENTS[2])
    problem = random_problem(5)
    backwards = {node.node_id: 9 - n for n, node in enumerate(problem.nodes)}
    renumbered = prepare(early.destination, backwards, MOMENTS[0])
    shuffled = destination(
        problem.nodes[::-1],
        problem.lanes[::-1],
        problem.calendars[::-1],
        problem.tariffs[::-1],
        problem.destination_time_zone,
    )

    assert early.digest == late.digest == renumbered.digest
    assert shuffled == early.destination
    assert terrain_at(6, MOMENTS[0]).digest != early.digest
    assert read_body(body(early.destination)) == early.destination


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_prepared_again_it_is_as_if_prepared_anew(moment: datetime) -> None:
    """After a cut-off only dates are worked out again, and nothing of the ones before stays."""
    for seed in range(20):
        before = terrain_at(seed, moment - timedelta(hours=random.Random(seed).randint(1, 60)))
        numbers = {node.node_id: n for n, node in enumerate(random_problem(seed).nodes)}

        again, anew = prepare_again(before, numbers, moment), terrain_at(seed, moment)

        assert dates(again) == dates(anew)
        assert (again.from_at, again.until_at) == (anew.from_at, anew.until_at)
        assert again.digest == anew.digest
        assert np.array_equal(again.packed, anew.packed)
        assert again.destination is before.destination


def test_a_node_without_a_number_is_never_asked() -> None:
    """The stock view may know fewer nodes than the network, for a moment."""
    problem = random_problem(5)
    terrain = prepare(terrain_at(5, MOMENTS[0]).destination, {}, problem.now)

    assert np.array_equal(terrain.rows.row_of, np.zeros(0, np.int64))


def test_a_lane_to_a_lost_tariff_or_calendar_is_refused() -> None:
    """With the name, as everywhere."""
    for lane in (small.lane("one", "lost"), small.lane("one", calendar_id="lost")):
        served = destination((small.node("one"),), (lane,), (small.ALWAYS,), (small.NEAR,), "UTC")
        with pytest.raises(ProblemError, match="lost"):
            prepare(served, {"one": 0}, small.NOW)
