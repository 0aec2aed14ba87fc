"""Every call by every role: what is not granted is refused, and others' ids look like nothing."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx

from services.database import Database
from services.keys import ROLES
from tests.services.caller import Caller, problem_type
from tests.services.people.access_table import (
    SAMPLES,
    Endpoint,
    endpoints,
    minimal,
    shown,
    table,
)
from tests.services.people.world import Ids, build, own_order

PRIVATE = frozenset(
    {
        "allocation_id",
        "amendment_id",
        "count_id",
        "customer_id",
        "endpoint_id",
        "from_node_id",
        "fulfillment_order_id",
        "node_id",
        "order_id",
        "reservation_id",
        "return_id",
        "supply_id",
        "transfer_id",
    }
)
"""Ids of what belongs to somebody."""
OF_ORDER = frozenset({"allocation_id", "amendment_id", "fulfillment_order_id", "order_id"})
IN_BODY = frozenset({"node_id", "from_node_id", "fulfillment_order_id"})
"""Of them, those by which a body says for whom the caller acts."""
FOR_ALL = frozenset(
    {
        "GET /v1/nodes/{node_id}",
        "GET /v1/nodes/{node_id}/capacity",
        "POST /v1/returns",
        "POST /v1/returns/{return_id}/receive",
    }
)
"""Calls about what everybody may see: places, and goods that may come back anywhere."""
CHOSEN: dict[str, dict[str, object]] = {
    "POST /v1/webhook-endpoints/{endpoint_id}/replay": {"after_position": 0},
}
"""Fields of which a call wants one or another."""
SLOW = frozenset({"GET /v1/events/stream"})
"""Calls whose good answer has no end."""
HIDDEN = frozenset({"x-request-id", "date"})


async def call(
    caller: Caller, each: Endpoint, role: str | None, ids: Mapping[str, object]
) -> httpx.Response:
    """Make a call with these ids in its address and body."""
    path = each.path.format(**{name: ids.get(name, "q") for name in each.parameters})
    headers = {} if role is None else caller.headers(role, str(uuid4()))
    content: dict[str, Any] = {}
    if each.body is not None:
        samples = {**SAMPLES, "supply_id": f"by-{role}"}
        samples |= {name: ids[name] for name in IN_BODY if name in ids}
        content = {"json": minimal(each.body, samples) | CHOSEN.get(each.name, {})}
    return await caller.client.request(each.method, path, headers=headers, **content)


def told(answer: httpx.Response, ids: Ids) -> tuple[int, dict[str, str], str]:
    """Return everything an answer says, but for ids."""
    text = answer.text
    # The longest first: one may be part of another.
    for name in sorted(ids, key=lambda name: (-len(ids[name]), name)):
        text = text.replace(ids[name], f"<{name}>")
    headers = {name: value for name, value in answer.headers.items() if name not in HIDDEN}
    headers.pop("content-length", None)
    return answer.status_code, headers, text


def names_of(each: Endpoint) -> frozenset[str]:
    """Return the private ids that a call names."""
    if each.name in FOR_ALL:
        return frozenset()
    named = set(each.parameters)
    if each.body is not None:
        sample = minimal(each.body, {**SAMPLES, **dict.fromkeys(IN_BODY, "<id>")})
        named |= {name for name in IN_BODY if f"'{name}': '<id>'" in str(sample)}
    return PRIVATE & named


async def test_what_is_not_granted_is_refused(caller: Caller) -> None:
    """Whatever the id, so that the refusal says nothing about it either."""
    for each in endpoints():
        if not each.roles:
            continue
        ids = {name: str(uuid4()) for name in each.parameters} | {"version": "1"}
        answer = await call(caller, each, None, ids)
        assert (answer.status_code, problem_type(answer)) == (401, "unauthenticated"), each.name
        for role in ROLES:
            if role in each.roles:
                continue
            answer = await call(caller, each, role, ids)
            assert (answer.status_code, problem_type(answer)) == (403, "forbidden"), (
                each.name,
                role,
            )


async def test_what_belongs_to_others_looks_like_what_does_not_exist(
    caller: Caller, database: Database
) -> None:
    """Byte for byte but for the id, so that nobody can try ids until one answers differently."""
    own, others, missing = await build(caller, database)
    seen, wrong = 0, []
    for each in endpoints():
        for role in ("store", "partner"):
            named = names_of(each)
            if role not in each.roles or not named or each.name in SLOW:
                continue
            # What a body says beside: that the caller acts for a node of its own.
            mine = {name: own[role][name] for name in IN_BODY - named if name in own[role]}
            foreign = await call(caller, each, role, {**mine, **others})
            nothing = await call(caller, each, role, {**mine, **missing})
            seen += 1
            if told(foreign, others) != told(nothing, missing) or foreign.status_code != 404:
                wrong.append(f"{each.name} by {role}: {foreign.text} / {nothing.text}")
    assert not wrong, "\n".join(wrong)
    assert seen > 50
    await assert_own_is_found(caller, own)


async def assert_own_is_found(caller: Caller, own: Mapping[str, dict[str, str]]) -> None:
    """See that a caller's own is not refused as well, or the test above would prove little."""
    for each in sorted(endpoints(), key=harm):
        for role, ids in own.items():
            named = names_of(each)
            if role not in each.roles or not named or not named <= ids.keys():
                continue
            if each.method == "POST" and not harm(each)[1]:
                # Each in the state in which an order is confirmed, whatever came before.
                ids.update(await own_order(caller, role, f"o-{uuid4().hex[:8]}"))
            answer = await call(caller, each, role, ids)
            # A node may be the wrong one for a step of something that is its own.
            refused = answer.status_code in (401, 404) or "key may not make" in answer.text
            assert not refused, (each.name, role, answer.text)
            assert answer.status_code < 500, (each.name, role, answer.text)


def harm(each: Endpoint) -> tuple[bool, bool, bool]:
    """Return what sorts calls so that those come late after which there is less to be found."""
    return (
        each.method != "GET",
        each.path.endswith(("/reject", "/short-pick")) or OF_ORDER.isdisjoint(each.parameters),
        each.method == "DELETE",
    )


def test_the_readme_shows_who_may_make_which_call() -> None:
    """Whoever gives out a key wants to see what it opens."""
    assert shown() == table(endpoints()), "run python -m tests.services.people.access_table"
