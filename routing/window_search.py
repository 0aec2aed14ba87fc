"""The steps of a window in order: prices by columns, all plans worth it, a choice, its moves."""

import math
import time
from collections.abc import Sequence

import msgspec

from routing.leaning import leaned
from routing.window import Move, Rearranged, Rules, Window
from routing.window_choice import take
from routing.window_dates import dated
from routing.window_forward import forward
from routing.window_ground import Column, Ground, ground
from routing.window_moves import grouped
from routing.window_orders import Order, asked, planned
from routing.window_prices import Clock, Search
from routing.window_settle import settle

__all__ = ["rearrange"]


def rearrange(window: Window, rules: Rules | None = None) -> Rearranged:
    """Find plans for the orders of a window that cost less together, none with a worse promise.

    What is chosen depends on the window and the rules alone unless the time limit ends it. Orders
    out of the ordinary keep their plans.
    """
    rules = rules or Rules()
    clock = Clock(time.perf_counter(), rules.time_limit_ms / 1000)
    window = leaning(window)
    at = ground(window)
    orders = _asked(at, dated(window, at), rules)
    search = Search(at, orders, rules)
    search.set_prices(clock)
    picked, bound = settle(search, clock)
    return _told(search, picked, max(search.bound, bound))


def _asked(at: Ground, window: Window, rules: Rules) -> list[Order]:
    """The orders with all they could do; beyond the most of them, those not ordinary are kept."""
    found: list[Order] = []
    wholes = 0
    for each in window.orders:
        found.append(asked(at, each, wholes=wholes < rules.wholes_max))
        wholes += found[-1].whole is not None
    return found


def leaning(window: Window) -> Window:
    """The window with each order's terrain as its strategy sees it."""
    return msgspec.structs.replace(
        window,
        orders=tuple(
            msgspec.structs.replace(each, terrain=leaned(each.terrain, each.policy))
            for each in window.orders
        ),
    )


def _told(search: Search, picked: Sequence[Column], bound: float) -> Rearranged:
    """The answer: plans made of columns, and groups in which orders can get them."""
    at, orders = search.at, search.orders
    picked = forward(orders, picked, search.have[1])
    moving = [n for n, each in enumerate(picked) if len(each.slots)]
    free = search.have[0].copy(), search.have[1].copy()
    for order in orders:
        take(free, order.present, 1)
    groups = grouped([(orders[n].present, picked[n]) for n in moving], free)
    made = [
        Move(
            order_id=orders[n].waiting.order_id,
            plan=planned(at, orders[n], picked[n]),
            saving_minor=orders[n].present.minor - picked[n].minor,
        )
        for n in moving
    ]
    after = sum(each.minor for each in picked)
    charged = search.charge * len(moving)
    return Rearranged(
        groups=tuple(tuple(made[n] for n in group) for group in groups),
        before_minor=sum(each.present.minor for each in orders),
        after_minor=after,
        charged_minor=charged,
        bound_minor=min(after + charged, math.ceil(bound - 1e-6)),
        kept=sum(each.is_kept for each in orders),
        rounds=search.rounds,
        columns=sum(len(own) for own in search.master.columns),
    )
