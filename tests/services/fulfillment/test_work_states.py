"""The two state machines as data: every event in every state, and what is documented of them."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import services
from routing.problem import Method
from services.fulfillment.states import (
    ACTIONS,
    AT_STORE,
    MOVES,
    Action,
    Move,
    RequestState,
    Standing,
    State,
    after,
    allowed,
    is_legal,
)
from services.fulfillment.tables import LIVE_STATES, REQUEST_STATES, STATES
from services.problems import Refused

README = Path(services.__file__).parent / "README.md"
STANDINGS = [
    Standing(method=method, state=state, request_state=request_state)
    for method, state, request_state in itertools.product(get_args(Method), STATES, REQUEST_STATES)
]

# What may come when, written out a second time by hand: event, method, work, conversation.
LEGAL = """
submit   any     open                                 unsubmitted
accept   any     open                                 submitted
pick     any     open,in_progress                     submitted,accepted,cancellation_rejected
short_pick any   open,in_progress,packed              submitted,accepted,cancellation_rejected
reject   any     open,in_progress,packed              submitted,accepted,cancellation_rejected
pack     any     in_progress                          accepted,cancellation_rejected
ready    pickup  in_progress,packed,ready_for_pickup  accepted,cancellation_rejected
hand_over pickup ready_for_pickup    accepted,cancellation_rejected,cancellation_requested
no_show  pickup  ready_for_pickup    accepted,cancellation_rejected,cancellation_requested
ship     ship,ship_to_store in_progress,packed  accepted,cancellation_rejected,cancellation_requested
deliver  ship_to_store shipped           accepted,cancellation_rejected,cancellation_requested,cancellation_accepted
ready    ship_to_store shipped,at_store  accepted,cancellation_rejected,cancellation_requested,cancellation_accepted
hand_over ship_to_store at_store         accepted,cancellation_rejected,cancellation_requested,cancellation_accepted
deliver  ship    shipped  unsubmitted,submitted,accepted,cancellation_requested,cancellation_rejected,cancellation_accepted
cancel   any     live     unsubmitted,submitted,accepted,cancellation_requested,cancellation_rejected
request_cancellation any live  submitted,accepted
accept_cancellation  any live  cancellation_requested
reject_cancellation  any live  cancellation_requested
"""


def legal_by_hand() -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]]:
    """Return methods, states and request states by event, as often as it is there."""
    found: dict[str, list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {}
    for row in LEGAL.strip().splitlines():
        event, method, states, requests = row.split()
        legal = (
            get_args(Method) if method == "any" else tuple(method.split(",")),
            LIVE_STATES if states == "live" else tuple(states.split(",")),
            tuple(requests.split(",")),
        )
        found.setdefault(event, []).append(legal)
    return found


def cases() -> Iterator[tuple[str, Standing]]:
    """Yield every event in every state."""
    yield from itertools.product(MOVES, STANDINGS)


def test_every_event_comes_only_where_the_table_says() -> None:
    """All 3,240 pairs of an event and a state, so that none is legal by accident."""
    by_hand = legal_by_hand()
    assert by_hand.keys() == MOVES.keys()
    for event, now in cases():
        expected = any(
            now.method in methods and now.state in states and now.request_state in requests
            for methods, states, requests in by_hand[event]
        )
        assert is_legal(event, now) == expected, (event, now)


def test_an_illegal_event_is_refused_with_what_is_possible() -> None:
    """A tablet in a store must be able to show the right buttons after a refusal."""
    for event, now in cases():
        if is_legal(event, now):
            continue
        with pytest.raises(Refused) as refused:
            after(event, now, left=1, dispatched=0)
        assert refused.value.kind == "illegal-state"
        assert refused.value.extra == {
            "state": now.state,
            "request_state": now.request_state,
            "allowed": allowed(now),
        }


def test_every_legal_event_leads_to_states_that_exist() -> None:
    """A typo in the table would otherwise be found by the CHECK of a busy database."""
    for event, now in cases():
        for left, dispatched in ((0, 0), (0, 3), (2, 0), (2, 3)):
            if is_legal(event, now):
                then = after(event, now, left=left, dispatched=dispatched)
                assert then.state in STATES
                assert then.request_state in REQUEST_STATES
                assert then.method == now.method


def test_work_that_is_over_never_lives_again() -> None:
    """What has ended once has given its stock back or away; nothing may be picked from it."""
    for event, now in cases():
        if now.state not in LIVE_STATES and is_legal(event, now):
            assert after(event, now, left=0, dispatched=1).state not in LIVE_STATES


def test_from_every_live_state_there_is_a_way_out() -> None:
    """Work that can neither go on nor end would hold its stock for ever."""
    for now in STANDINGS:
        if now.state not in LIVE_STATES:
            continue
        exits = [
            event
            for event in MOVES
            if is_legal(event, now) and after(event, now, left=0, dispatched=0).state != now.state
        ]
        over = now.request_state in ("rejected", "cancellation_accepted", "closed")
        assert exits or over, now


def test_work_of_which_a_part_has_left_does_not_end_as_if_nothing_had() -> None:
    """Cancelling the rest of a parcel that is under way must not cancel the parcel."""
    for event in ("cancel", "reject", "accept_cancellation"):
        request = "cancellation_requested" if event == "accept_cancellation" else "accepted"
        for method, state in (("ship", "shipped"), ("pickup", "closed")):
            now = Standing(method=method, state="in_progress", request_state=request)
            assert after(event, now, left=0, dispatched=1).state == state
            assert after(event, now, left=0, dispatched=0).state in ("cancelled", "incomplete")


def test_goods_that_leave_after_all_are_a_no_to_the_cancellation() -> None:
    """The parcel was on the truck when the cancellation came."""
    now = Standing(method="ship", state="packed", request_state="cancellation_requested")
    assert after("ship", now, left=1, dispatched=1).request_state == "cancellation_rejected"
    assert after("ship", now, left=1, dispatched=1).state == "packed"
    assert after("ship", now, left=0, dispatched=2).state == "shipped"


def test_the_names_of_states_are_the_same_everywhere() -> None:
    """The table's CHECK, the API's schema and the machines are three places to forget one."""
    assert get_args(State) == STATES
    assert get_args(RequestState) == REQUEST_STATES
    assert tuple(ACTIONS.values()) == get_args(Action)
    assert set(ACTIONS) <= set(MOVES)
    for move in MOVES.values():
        assert {*move.states, *move.states.values()} <= set(STATES)
        assert {*move.requests, *move.requests.values()} <= set(REQUEST_STATES)


def test_the_documented_tables_are_the_machines() -> None:
    """A table that is written by hand is wrong after the next change."""
    assert tables() in README.read_text(encoding="utf-8")


def tables() -> str:
    """Return both machines as they stand in the README."""
    work = ["| event | for | work: from | to |", "|---|---|---|---|"]
    talk = ["| event | request: from | to |", "|---|---|---|"]
    for move in (*MOVES.values(), *AT_STORE.values()):
        if any(was != to for was, to in move.states.items()) or move.event == "pick":
            work += [
                f"| {move.event} | {said(move.methods)} | {was} | {to} |"
                for was, to in grouped(move.states, move)
            ]
        if any(was != to for was, to in move.requests.items()):
            talk += [
                f"| {move.event} | {was} | {to} |"
                for was, to in grouped({a: b for a, b in move.requests.items() if a != b})
            ]
    return "\n".join([*work, "", *talk])


def said(methods: tuple[Method, ...]) -> str:
    """Return for which methods an event is."""
    return "all" if methods == get_args(Method) else ", ".join(methods)


def grouped(pairs: dict[str, str], move: Move | None = None) -> Iterator[tuple[str, str]]:
    """Yield from-states that lead to the same state together."""
    for to in dict.fromkeys(pairs.values()):
        was = ", ".join(f"`{a}`" for a, b in pairs.items() if b == to)
        yield was, f"`{to}`" + (" once nothing is left" if move and move.once_done else "")


if __name__ == "__main__":
    print(tables())
