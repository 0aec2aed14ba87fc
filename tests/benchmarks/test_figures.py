from array import array

import numpy as np
import pytest

from tests.benchmarks.figures import answers, arrivals, percentiles_ms, sellout, spread
from tests.benchmarks.generator import Outcome


def outcome(
    due: list[float], answered: list[float], status: list[int], late: list[float] | None = None
) -> Outcome:
    """Return an outcome that begun at 100 s, with times counted from there."""
    return Outcome(
        begun_s=100.0,
        due_s=array("d", [100 + each for each in due]).tobytes(),
        late_s=array("d", late or [0.0] * len(due)).tobytes(),
        answered_s=array("d", [100 + each for each in answered]).tobytes(),
        status=array("q", status).tobytes(),
        request=array("q", [0] * len(due)).tobytes(),
        counts=[],
        kept=[],
        unanswered=0,
        received_bytes=0,
        cpu_s=0.0,
        wall_s=1.0,
    )


def test_a_spread_is_the_middle_and_the_ends() -> None:
    """One slow round of five must not move the figure, but must be seen."""
    found = spread([10.0, 2.0, 11.0, 9.0, 10.5])
    assert (found.median, found.low, found.high, found.rounds) == (10.0, 2.0, 11.0, 5)


def test_a_figure_without_a_round_is_refused() -> None:
    """A zero in its place would look like a measurement."""
    with pytest.raises(ValueError, match="at least one round"):
        spread([])


def test_percentiles_of_nothing_are_zero() -> None:
    """A cell in which everything was refused still has a row."""
    assert percentiles_ms(np.array([])) == (0.0, 0.0, 0.0, 0.0)


def test_arrivals_are_the_same_for_a_seed_and_about_as_many_as_asked_for() -> None:
    """Every system must be sent the same arrivals, and their number must be the rate's."""
    found = arrivals(1_000, 20, 7)
    assert found == arrivals(1_000, 20, 7)
    assert found != arrivals(1_000, 20, 8)
    assert found == sorted(found)
    assert 0 <= found[0] < found[-1] < 20
    # Five standard deviations of a Poisson count.
    assert abs(len(found) - 20_000) < 5 * 20_000**0.5


def test_arrivals_come_at_random_and_not_evenly() -> None:
    """Even arrivals flatter a queue: gaps of a Poisson process vary as much as they are long."""
    gaps = np.diff(arrivals(500, 40, 3))
    assert 0.9 < gaps.std() / gaps.mean() < 1.1


def test_a_rate_of_nothing_is_refused() -> None:
    """The run would wait for ever for its first arrival."""
    with pytest.raises(ValueError, match="above 0"):
        arrivals(0, 1, 1)


def test_latency_counts_from_the_instant_a_request_was_due() -> None:
    """A generator that waits for a stalled service would otherwise not notice the stall."""
    found = answers(
        outcome([0.2, 0.3, 0.4], [1.2, 1.2, 1.2], [201, 201, 201], [0.0, 0.9, 0.8]), 2.0, 0.1
    )
    assert found.longest_ms == pytest.approx(1_000)
    assert found.p50_ms == pytest.approx(900)
    assert found.late_p99_ms == pytest.approx(898)


def test_answers_after_the_end_are_latency_and_no_throughput() -> None:
    """An overloaded service must not be credited with what it answered once the load was gone."""
    found = answers(outcome([0.5, 0.9], [0.6, 4.9], [201, 201]), 1.0, 0.0)
    assert found.per_s == 1.0
    assert found.longest_ms == pytest.approx(4_000)


def test_refusals_are_counted_but_are_neither_throughput_nor_latency() -> None:
    """A 429 is quick, and would make an overloaded service look fast."""
    found = answers(outcome([0.1, 0.2, 0.3], [0.2, 0.201, 0.302], [201, 429, 429]), 1.0, 0.0)
    assert found.per_s == 1.0
    assert found.p99_ms == pytest.approx(100)
    assert found.statuses == {201: 1, 429: 2}


def test_the_warm_up_is_left_out() -> None:
    """The first requests open connections and fill caches."""
    found = answers(outcome([0.0, 0.5], [0.4, 0.51], [200, 200]), 1.0, 0.45)
    assert found.per_s == pytest.approx(1 / 0.55)
    assert found.longest_ms == pytest.approx(10)


def test_the_last_hundredth_of_a_sellout_is_told_apart() -> None:
    """That is where orders begin to fight for the same units."""
    due = [number / 1_000 for number in range(210)]
    answered = [at + (0.05 if 198 <= number < 200 else 0.01) for number, at in enumerate(due)]
    status = [201] * 200 + [409] * 10
    found = sellout(outcome(due, answered, status), 200)
    assert found.sold == 200
    assert found.median_before_ms == pytest.approx(10)
    assert found.p99_last_ms == pytest.approx(50)
    assert found.per_s == pytest.approx(200 / (0.199 + 0.05))
