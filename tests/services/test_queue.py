"""When a refused caller is told to come again."""

from services.orders.queue import RETRY_AFTER_MAX_S, Pace


def answered(pace: Pace, start_s: float, *, per_s: int, others_wait: bool) -> None:
    """Answer orders for two seconds from `start_s` on."""
    for number in range(1, 2 * per_s + 1):
        pace.count(start_s + number / per_s, others_wait=others_wait)


def test_a_refused_caller_comes_again_when_the_queue_has_been_worked_off() -> None:
    """Sooner it is refused again; much later it has waited for nothing."""
    pace = Pace(0.0)
    answered(pace, 0.0, per_s=100, others_wait=True)
    assert [pace.seconds_for(orders) for orders in (0, 100, 101, 500)] == [1, 1, 2, 5]
    assert pace.seconds_for(1_000_000) == RETRY_AFTER_MAX_S


def test_how_little_an_idle_worker_answered_says_nothing_about_its_pace() -> None:
    """After a quiet night the first rush would be sent away for half a minute."""
    pace = Pace(0.0)
    answered(pace, 0.0, per_s=1, others_wait=False)
    assert pace.seconds_for(500) == 1
    answered(pace, 10.0, per_s=250, others_wait=True)
    answered(pace, 20.0, per_s=1, others_wait=False)
    assert pace.seconds_for(500) == 2
