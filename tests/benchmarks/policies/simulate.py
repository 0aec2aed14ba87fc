"""A period as it goes: people walk in, baskets are decided one by one, stock and capacity run out.

What a decision took is taken from the simulator's own stock, which refuses what is not there, and
its money is counted by the simulator's own table, so that no policy keeps its own books.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from tests.benchmarks.policies.exact import SHIFT_MAX, Asked, Table, compiled, money, table
from tests.benchmarks.policies.world import ONLINE, Events, Floats, Ints, Network, Period, online

GRAMS_MAX = 60_000
RELEASES = 4
"""How often a day orders are released, unless a world says otherwise."""
PAID, SPLIT, LATE, SHORT, LOST_MINOR, LOST, DONE, COUNTS = range(8)
"""What is counted during a period; `DONE` is how far its events have been gone through."""


class Running(NamedTuple):
    """A period under way; its arrays change."""

    network: Network
    table: Table
    days: int
    stock: Ints
    """`[S, N]`"""
    room: Ints
    """`[N, D]`: parcels that each node can still take on each day."""
    sold: Ints
    """`[S, N]`: units that walk-ins got."""
    gone_at: Floats
    """`[S, N]`: days since the beginning when the last unit went, else the length of the period."""


class Policy(Protocol):
    """Who decides which node sends which line."""

    def renew(self, running: Running, day: int) -> None:
        """A new day begins: time to work out prices anew."""

    def decide(self, running: Running, asked: Asked, at_days: float) -> tuple[Ints, Ints]:
        """The node and the day for each line, -1 where nobody sends it."""


@runtime_checkable
class Releasing(Protocol):
    """Who may also plan anew what was decided since the last release."""

    def release(self, running: Running) -> list[tuple[Ints, Ints] | None]:
        """The new plan of each order since the last release, in order; none where it stays."""


class Outcome(NamedTuple):
    """What a period came to. Money in minor units."""

    online_minor: int
    """Parcels, handling, splits and lateness."""
    shortage_minor: int
    lost_minor: int
    """What walk-ins who found nothing cost."""
    orders: int
    split: int
    """Orders in more than one parcel."""
    late: int
    """Lines."""
    short: int
    """Units of online orders that nobody sent."""
    walk_ins: int
    lost: int
    """Walk-ins who found nothing."""
    times_us: Floats
    """How long each decision took."""

    @property
    def total_minor(self) -> int:
        """All that is paid and lost."""
        return self.online_minor + self.shortage_minor + self.lost_minor


class Past(NamedTuple):
    """What the seller's books say of a period: sales that were made, and days with stock."""

    sold: Ints
    """`[S, N]`"""
    exposure_days: Floats
    """`[S, N]`"""


def begin(network: Network, period: Period, days: int) -> Running:
    """A period about to begin."""
    room = np.repeat(network.capacity[:, None], days + SHIFT_MAX + 1, axis=1)
    gone = np.where(period.stock > 0, float(days), 0.0)
    return Running(
        network,
        table(network, GRAMS_MAX),
        days,
        period.stock.copy(),
        room,
        np.zeros_like(period.stock),
        gone,
    )


def simulate(
    network: Network, period: Period, days: int, policy: Policy, a_day: int = RELEASES
) -> tuple[Outcome, Running]:
    """Run a policy through a period, orders being released so often `a_day`.

    Raises `ValueError` for a plan that takes what is not there.
    """
    running, events = begin(network, period, days), period.events
    tally = np.zeros(COUNTS, np.int64)
    made: list[tuple[Asked, tuple[Ints, Ints]]] = []
    orders = online(events)
    times = np.zeros(len(orders))
    today, releases = -1, 0
    for number, event in enumerate(orders.tolist()):
        at = float(events.at_days[event])
        if int(at * a_day) > releases:
            releases = int(at * a_day)
            serve(running, events, int(np.searchsorted(events.at_days, releases / a_day)), tally)
            release(running, policy, made, tally)
            made = []
        serve(running, events, event, tally)
        while today < int(at):
            today += 1
            policy.renew(running, today)
        asked = asked_for(events, event)
        start = time.perf_counter()
        sent = policy.decide(running, asked, at)
        times[number] = time.perf_counter() - start
        settle(running, asked, sent, tally, at)
        made.append((asked, sent))
    release(running, policy, made, tally)
    serve(running, events, len(events.node), tally)
    return _outcome(running, events, tally, times), running


def _outcome(running: Running, events: Events, tally: Ints, times: Floats) -> Outcome:
    """What the counts come to."""
    known = tally.tolist()
    return Outcome(
        online_minor=known[PAID],
        shortage_minor=known[SHORT] * running.network.shortage_minor,
        lost_minor=known[LOST_MINOR],
        orders=len(times),
        split=known[SPLIT],
        late=known[LATE],
        short=known[SHORT],
        walk_ins=int((events.node != ONLINE).sum()),
        lost=known[LOST],
        times_us=times * 1e6,
    )


def release(
    running: Running, policy: Policy, made: Sequence[tuple[Asked, tuple[Ints, Ints]]], tally: Ints
) -> None:
    """Let a policy plan anew what it decided since the last release; all moves at once."""
    if not isinstance(policy, Releasing):
        return
    moves = [
        (asked, sent, other)
        for (asked, sent), other in zip(made, policy.release(running), strict=True)
        if other is not None
    ]
    for asked, sent, _ in moves:
        give_back(running, asked, sent, tally)
    for asked, _, other in moves:
        settle(running, asked, other, tally, float(asked.day))


def give_back(running: Running, asked: Asked, sent: tuple[Ints, Ints], tally: Ints) -> None:
    """Undo what `settle` took and counted."""
    nodes, days = sent
    there = nodes >= 0
    np.add.at(running.stock, (asked.skus[there], nodes[there]), 1)
    for n, d in {(n, d) for n, d in zip(nodes.tolist(), days.tolist(), strict=True) if n >= 0}:
        running.room[n, d] += 1
    paid, parcels, late = money(running.table, asked, nodes, days)
    tally[[PAID, SPLIT, LATE, SHORT]] -= [paid, int(parcels > 1), late, int((~there).sum())]


def asked_for(events: Events, event: int) -> Asked:
    """An online order as it is asked."""
    return Asked(
        events.skus[events.starts[event] : events.starts[event + 1]],
        int(events.zone[event]),
        int(events.at_days[event]),
        int(events.wish[event]),
    )


def settle(
    running: Running, asked: Asked, made: tuple[Ints, Ints], tally: Ints, at_days: float
) -> None:
    """Take what a plan takes, and count it. Raises `ValueError` where it is not there."""
    nodes, days = made
    for n, d, s in zip(nodes.tolist(), days.tolist(), asked.skus.tolist(), strict=True):
        if n >= 0:
            if running.stock[s, n] < 1 or d < asked.day:
                raise ValueError(f"node {n} has {running.stock[s, n]} of {s} on day {d}")
            running.stock[s, n] -= 1
            if running.stock[s, n] == 0:
                running.gone_at[s, n] = at_days
    for n, d in {(n, d) for n, d in zip(nodes.tolist(), days.tolist(), strict=True) if n >= 0}:
        if running.room[n, d] < 1:
            raise ValueError(f"node {n} has no room on day {d}")
        running.room[n, d] -= 1
    paid, parcels, late = money(running.table, asked, nodes, days)
    tally[[PAID, SPLIT, LATE, SHORT]] += [paid, int(parcels > 1), late, int((nodes < 0).sum())]


def serve(running: Running, events: Events, until: int, tally: Ints) -> None:
    """Serve those who walk in up to an event, and count who finds nothing."""
    minor, lost = _walk_ins(
        (running.stock, running.sold, running.gone_at, running.network.value_minor),
        (events.at_days, events.node, events.starts, events.skus),
        int(tally[DONE]),
        until,
    )
    tally[[LOST_MINOR, LOST]] += [minor, lost]
    tally[DONE] = until


@compiled
def _walk_ins(
    shop: tuple[Ints, Ints, Floats, Ints],
    events: tuple[Floats, Ints, Ints, Ints],
    first: int,
    last: int,
) -> tuple[int, int]:
    stock, sold, gone_at, value_minor = shop
    at_days, node, starts, skus = events
    minor, lost = 0, 0
    for e in range(first, last):
        if node[e] < 0:
            continue
        n, s = node[e], skus[starts[e]]
        if stock[s, n] > 0:
            stock[s, n] -= 1
            sold[s, n] += 1
            if stock[s, n] == 0:
                gone_at[s, n] = at_days[e]
        else:
            lost += 1
            minor += value_minor[s]
    return minor, lost


def books(running: Running) -> Past:
    """What the seller knows of a period that has ended."""
    return Past(running.sold, running.gone_at)
