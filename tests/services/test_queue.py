"""The queue as a value: order, limits, deadlines, and time for the optimizer."""

import asyncio
from uuid import UUID

import pytest
from msgspec.structs import replace

from services.keys import Principal
from services.orders.idempotency import Answer, Claim
from services.orders.queue import Order, Queue
from services.orders.request import AllocationRequest, RequestLine
from services.problems import Refused
from services.settings import Settings

SETTINGS = Settings(
    queue_orders_max=6, batch_orders_max=4, batch_lines_max=10, decision_ms=50, queue_ms=100
)
PRINCIPAL = Principal(key_id="k", role="checkout", node_ids=(), partner_id=None)
DONE = Answer(201, b"{}")


def order(number: int, *, order_id: str | None = None, lines: int = 1, due: float = 5.0) -> Order:
    """Return an order with as many lines, due after so many seconds."""
    return Order(
        request=AllocationRequest(
            order_id=order_id or f"o-{number}",
            lines=tuple(
                RequestLine(line_id=str(line), sku="MUG", quantity=1) for line in range(lines)
            ),
        ),
        claim=Claim(scope=b"%032d" % number, request_hash=b""),
        principal=PRINCIPAL,
        zone=None,
        allocation_id=UUID(int=number),
        hold_s=60,
        arrived_at=0.0,
        deadline_at=due,
        waiters=[asyncio.get_running_loop().create_future()],
    )


def numbers(orders: list[Order]) -> list[int]:
    """Return which orders these are."""
    return [each.allocation_id.int for each in orders]


async def test_first_come_is_first_served() -> None:
    """Whoever waits longer has the better claim to the last unit."""
    queue = Queue(SETTINGS)
    for number in range(6):
        queue.put(order(number))
    assert numbers(await queue.next_batch()) == [0, 1, 2, 3]
    assert numbers(await queue.next_batch()) == [4, 5]


async def test_orders_that_are_decided_again_come_before_those_that_came_later() -> None:
    """Losing a race must not cost an order its place."""
    queue = Queue(SETTINGS)
    for number in range(5):
        queue.put(order(number))
    batch = await queue.next_batch()
    queue.put_back([batch[1], batch[3]])
    assert numbers(await queue.next_batch()) == [1, 3, 4]


async def test_a_batch_is_bounded_in_lines_and_one_long_order_always_goes() -> None:
    """Short baskets must not wait for many long ones, nor a very long one for ever."""
    queue = Queue(SETTINGS)
    for number, lines in enumerate((6, 4, 1, 30)):
        queue.put(order(number, lines=lines))
    assert numbers(queue.take()) == [0, 1]
    assert numbers(queue.take()) == [2]
    assert numbers(queue.take()) == [3]


async def test_two_requests_for_one_order_are_never_in_one_batch() -> None:
    """The second has to see what the first was given."""
    queue = Queue(SETTINGS)
    queue.put(order(0, order_id="same"))
    queue.put(order(1, order_id="same"))
    queue.put(order(2))
    assert numbers(queue.take()) == [0, 2]
    assert numbers(queue.take()) == [1]


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    """An order that cannot be answered in time is better refused at once."""
    queue = Queue(SETTINGS)
    for number in range(6):
        assert not queue.full
        queue.put(order(number))
    assert queue.full
    with pytest.raises(Refused) as refused:
        queue.put(order(6))
    assert (refused.value.kind, refused.value.retry_after_s) == ("too-many-requests", 1)
    assert numbers([*queue.under_way.values()]) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("per_s", "room"), [(0.0, 1_000), (2_000.0, 200), (50.0, 20), (90_000.0, 1_000)]
)
async def test_as_many_orders_may_wait_as_are_answered_in_time(per_s: float, room: int) -> None:
    """How long a queue is says nothing; how long it takes does, and that depends on the baskets.

    A slow worker keeps enough of them waiting that the optimizer's time goes down to its least.
    """
    settings = replace(
        SETTINGS, queue_orders_max=1_000, queue_wait_ms=100, queue_ms=100, decision_min_ms=5
    )
    queue = Queue(settings)
    queue.pace.per_s = per_s
    for number in range(room):
        assert not queue.full
        assert queue.busy == (number * 2 > room)
        queue.put(order(number))
    assert queue.full


async def test_a_closed_queue_gives_out_what_waits_and_then_ends() -> None:
    """A worker that stops answers those it has let in."""
    queue = Queue(SETTINGS)
    queue.put(order(0))
    queue.close()
    assert queue.full
    assert numbers(await queue.next_batch()) == [0]
    assert await queue.next_batch() == []


async def test_whoever_waits_past_the_deadline_is_told_and_later_ones_are_not() -> None:
    """The order itself goes on, and its key tells what became of it."""
    queue = Queue(SETTINGS)
    first, second = order(0, due=1.0), order(1, due=2.0)
    queue.put(first)
    queue.put(second)
    queue.give_up(1.0)
    with pytest.raises(Refused) as refused:
        await first.waiters[0]
    assert refused.value.kind == "deadline-exceeded"
    assert not second.waiters[0].done()
    queue.answer(first, DONE)
    queue.answer(second, DONE)
    assert await second.waiters[0] == DONE
    assert not queue.under_way


async def test_everybody_who_repeated_a_request_gets_its_answer_even_when_one_has_gone() -> None:
    """One caller that hangs up must not take the answer from the others."""
    queue = Queue(SETTINGS)
    asked = order(0)
    asked.waiters += [asyncio.get_running_loop().create_future() for _ in range(2)]
    queue.put(asked)
    asked.waiters[0].cancel()
    queue.answer(asked, DONE)
    assert [await each for each in asked.waiters[1:]] == [DONE, DONE]


async def test_the_optimizer_gets_less_time_the_more_orders_wait_but_never_none() -> None:
    """Proofs of long baskets are what can be saved on when a queue forms."""
    settings = replace(SETTINGS, queue_orders_max=100)
    queue = Queue(settings)
    asked = order(0)
    budgets = []
    for number in range(40):
        budgets.append(queue.budget_ms(asked, 0.0))
        queue.put(order(number))
    assert budgets[:3] == [50, 50, 50]
    assert budgets[5] == 20
    assert budgets[30] == settings.decision_min_ms
    assert queue.budget_ms(asked, 4.997) == 3
    assert queue.budget_ms(asked, 6.0) == 1
