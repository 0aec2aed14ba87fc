"""The two state machines of a fulfillment order as data, and what they allow.

`state` is the work, `request_state` the conversation with the node. Every event says from which
states of both it may come and what they become. How far the work has come stands in the counters of
its lines, so an event may leave the work's state as it is until nothing is left to do.
"""

from typing import Literal

import msgspec

from routing.problem import Method
from services.fulfillment.tables import LIVE_STATES
from services.problems import Refused

State = Literal[
    "open",
    "in_progress",
    "packed",
    "ready_for_pickup",
    "shipped",
    "at_store",
    "closed",
    "incomplete",
    "cancelled",
]
RequestState = Literal[
    "unsubmitted",
    "submitted",
    "accepted",
    "rejected",
    "cancellation_requested",
    "cancellation_accepted",
    "cancellation_rejected",
    "closed",
]
Action = Literal[
    "accept",
    "reject",
    "pick",
    "short-pick",
    "pack",
    "ready",
    "hand-over",
    "no-show",
    "ship",
    "deliver",
    "accept-cancellation",
    "reject-cancellation",
]
"""What a node may ask for, as in the last part of the call's address."""

SAME: dict[str, str] = {state: state for state in LIVE_STATES}
AT_WORK = {"accepted": "accepted", "cancellation_rejected": "cancellation_rejected"}
"""The node has said that it works on it."""
REPLIED = {"submitted": "accepted", **AT_WORK}
"""To begin is to accept."""
GONE = {**AT_WORK, "cancellation_requested": "cancellation_rejected"}
"""Goods that leave after all are a no to the cancellation."""
OVER = {
    "unsubmitted": "closed",
    "submitted": "closed",
    "accepted": "closed",
    "cancellation_requested": "closed",
    "cancellation_rejected": "closed",
}


ASKED = ("cancellation_requested", "cancellation_accepted")


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One event: which states it may come in, and what becomes of them."""

    event: str
    states: dict[str, str]
    """The work: from, to."""
    requests: dict[str, str]
    """The conversation: from, to."""
    methods: tuple[Method, ...] = ("ship", "pickup", "ship_to_store")
    """The methods it is for."""
    once_done: bool = False
    """Whether the work's state stays as it is while units are left."""


MOVES: dict[str, Move] = {
    move.event: move
    for move in (
        Move(event="submit", states={"open": "open"}, requests={"unsubmitted": "submitted"}),
        Move(event="accept", states={"open": "open"}, requests={"submitted": "accepted"}),
        Move(
            event="pick",
            states={"open": "in_progress", "in_progress": "in_progress"},
            requests=REPLIED,
        ),
        Move(
            event="short_pick",
            states={"open": "open", "in_progress": "in_progress", "packed": "packed"},
            requests={"submitted": "submitted", **AT_WORK},
        ),
        Move(
            event="reject",
            states={"open": "incomplete", "in_progress": "incomplete", "packed": "incomplete"},
            requests=dict.fromkeys(("submitted", *AT_WORK), "rejected"),
        ),
        Move(event="pack", states={"in_progress": "packed"}, requests=AT_WORK),
        Move(
            event="ready",
            methods=("pickup",),
            states=dict.fromkeys(("in_progress", "packed", "ready_for_pickup"), "ready_for_pickup"),
            requests=AT_WORK,
        ),
        Move(
            event="hand_over",
            methods=("pickup",),
            states={"ready_for_pickup": "closed"},
            requests=GONE,
            once_done=True,
        ),
        Move(
            event="no_show",
            methods=("pickup",),
            states={"ready_for_pickup": "cancelled"},
            requests={
                **dict.fromkeys(AT_WORK, "closed"),
                "cancellation_requested": "cancellation_accepted",
            },
        ),
        Move(
            event="ship",
            methods=("ship", "ship_to_store"),
            states={"in_progress": "shipped", "packed": "shipped"},
            requests=GONE,
            once_done=True,
        ),
        Move(
            event="deliver",
            methods=("ship",),
            states={"shipped": "closed"},
            requests={"cancellation_accepted": "cancellation_accepted", **OVER},
        ),
        Move(event="cancel", states=dict.fromkeys(LIVE_STATES, "cancelled"), requests=OVER),
        Move(
            event="request_cancellation",
            states=SAME,
            requests=dict.fromkeys(("submitted", "accepted"), "cancellation_requested"),
        ),
        Move(
            event="accept_cancellation",
            states=dict.fromkeys(LIVE_STATES, "cancelled"),
            requests={"cancellation_requested": "cancellation_accepted"},
        ),
        Move(
            event="reject_cancellation",
            states=SAME,
            requests={"cancellation_requested": "cancellation_rejected"},
        ),
    )
}
"""Every event of a fulfillment order. What is neither here nor below cannot happen."""

AT_STORE: dict[str, Move] = {
    event: Move(
        event=event,
        methods=("ship_to_store",),
        states=states,
        # It has left already, so what the sender was asked or told makes no difference.
        requests={state: state for state in (*AT_WORK, *ASKED)},
    )
    for event, states in (
        ("deliver", {"shipped": "at_store"}),
        ("ready", {"shipped": "at_store", "at_store": "at_store"}),
        ("hand_over", {"at_store": "closed"}),
    )
}
"""What the store says of goods that were sent there: they have left stock, so all of them at once."""

ACTIONS: dict[str, Action] = {
    "accept": "accept",
    "reject": "reject",
    "pick": "pick",
    "short_pick": "short-pick",
    "pack": "pack",
    "ready": "ready",
    "hand_over": "hand-over",
    "no_show": "no-show",
    "ship": "ship",
    "deliver": "deliver",
    "accept_cancellation": "accept-cancellation",
    "reject_cancellation": "reject-cancellation",
}
"""The events that a node asks for, with the call of each; the others are ours."""

PART_DONE = {"ship": "shipped", "ship_to_store": "shipped", "pickup": "closed"}
"""How work ends of which a part has left: what came of it counts, not how the rest was ended."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a fulfillment order stands, as far as its next event is concerned."""

    method: str
    state: str
    request_state: str


def is_legal(event: str, now: Standing) -> bool:
    """Tell whether an event may come as things stand."""
    move = move_of(event, now)
    return (
        now.method in move.methods
        and now.state in move.states
        and now.request_state in move.requests
    )


def move_of(event: str, now: Standing) -> Move:
    """Return what an event means for work of this method."""
    if now.method == "ship_to_store" and event in AT_STORE:
        return AT_STORE[event]
    return MOVES[event]


def allowed(now: Standing) -> tuple[Action, ...]:
    """Return what the node may ask for as things stand."""
    return tuple(action for event, action in ACTIONS.items() if is_legal(event, now))


def verify(event: str, now: Standing) -> None:
    """Raise `illegal-state` with what is allowed unless the event may come as things stand."""
    if is_legal(event, now):
        return
    possible = allowed(now)
    raise Refused(
        "illegal-state",
        f"The work ({now.method}) is {now.state} and its request {now.request_state}; "
        f"{ACTIONS.get(event, event)} is not possible then. "
        f"Possible: {', '.join(possible) or 'nothing'}.",
        state=now.state,
        request_state=now.request_state,
        allowed=possible,
    )


def after(event: str, now: Standing, *, left: int, dispatched: int) -> Standing:
    """Return how things stand after an event, its units counted.

    `left` are the units still to be dispatched, `dispatched` those that have left so far. Work of
    which a part has left never ends as if nothing had. Raises `illegal-state`.
    """
    verify(event, now)
    move = move_of(event, now)
    state, request_state = move.states[now.state], move.requests[now.request_state]
    if move.once_done and left:
        state = now.state
    if state in ("cancelled", "incomplete") and dispatched:
        state = PART_DONE[now.method]
        if request_state in ("rejected", "closed"):
            request_state = now.request_state
    if state == "closed":
        request_state = OVER.get(request_state, request_state)
    return Standing(method=now.method, state=state, request_state=request_state)
