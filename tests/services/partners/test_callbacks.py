"""Partners tell what happened: twice, in the wrong order, too late; it has its effect once."""

import asyncio
import itertools
import random
from typing import Any

import httpx
import pytest

from services import keys
from services.database import Database
from services.partners import callbacks
from services.partners.callbacks import apply_all_parked
from tests.services.caller import Caller, problem_type
from tests.services.fulfillment.work_calls import (
    assert_all_agrees,
    confirmed,
    counters,
    done,
    kinds_of,
    look,
    shipped,
    stock_of,
    work_id,
)
from tests.services.partners.receiver import listening
from tests.services.partners.sending import sending, spread
from tests.services.slot_calls import delivery, in_days, offer

PATH = "/v1/partner-events"
NODE = "WH-EAST"


@pytest.fixture
async def partner(caller: Caller, database: Database) -> Caller:
    """Return the caller, with the partner `carrier` working at WH-EAST and a key of another."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE node SET partner_id = 'carrier', kind = 'partner' WHERE node_id = $1", NODE
        )
    caller.keys = {**caller.keys, "rival": await keys.create(database, "partner", (), "rival")}
    return caller


async def tell(
    caller: Caller, work: str, kind: str, name: str | None = None, **more: object
) -> httpx.Response:
    """Tell of an event, under its own id and a new idempotency key."""
    body = {
        "partner_event_id": name or f"{kind}-{work}",
        "kind": kind,
        "fulfillment_order_id": work,
        **more,
    }
    role = str(body.pop("role", "partner"))
    return await caller.post(PATH, body, role=role)


async def outcome(caller: Caller, work: str, kind: str, **more: Any) -> str:
    """Tell of an event and return what came of it."""
    answer = await tell(caller, work, kind, **more)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["outcome"]
    return found


async def test_in_whatever_order_events_come_the_end_is_the_same(
    partner: Caller, database: Database
) -> None:
    """Networks reorder: the delivery is told before the parcel, the parcel before the acceptance."""
    for number, order in enumerate(itertools.permutations(("accept", "ship", "deliver"))):
        work = await work_id(partner, shipped(f"o-{number}", ("LAMP", 1)))
        for kind in order:
            await outcome(partner, work, kind, tracking="1Z999")
        stands = await look(partner, work)
        assert (stands["state"], counters(stands)) == ("closed", {"picked": 1, "shipped": 1}), order
        kinds = await kinds_of(database, f"o-{number}")
        for once in ("accepted", "picked", "delivered"):
            assert kinds.count(f"fulfillment_order.{once}") == 1, (order, kinds)
        assert kinds.count("shipment.created") == kinds.count("shipment.delivered") == 1
    assert await stock_of(database, "LAMP", NODE) == (4, 0)
    await assert_all_agrees(database)


async def test_events_repeated_and_shuffled_at_once_have_one_effect_each(
    partner: Caller, database: Database
) -> None:
    """A partner whose queue ran over sends everything three times, on several connections."""
    chance = random.Random(20_240_229)
    works = [await work_id(partner, shipped(f"o-{number}", ("LAMP", 1))) for number in range(5)]
    events = [(work, kind) for work in works for kind in ("accept", "ship", "deliver")] * 3
    chance.shuffle(events)
    answers = await asyncio.gather(*(tell(partner, work, kind) for work, kind in events))
    assert {answer.status_code for answer in answers} == {200}
    for work in works:
        stands = await look(partner, work)
        assert (stands["state"], counters(stands)) == ("closed", {"picked": 1, "shipped": 1})
        assert len(stands["shipments"]) == 1
    assert await stock_of(database, "LAMP", NODE) == (5, 0)
    await assert_all_agrees(database)


async def test_an_event_that_comes_again_is_answered_as_before_and_says_so(partner: Caller) -> None:
    """The first answer got lost on the way."""
    work = await work_id(partner, shipped("o-1", ("LAMP", 1)))
    first = (await tell(partner, work, "ship")).json()
    again = (await tell(partner, work, "ship")).json()
    assert (first["outcome"], first["repeated"]) == ("applied", False)
    assert (again["outcome"], again["repeated"]) == ("applied", True)
    other = await tell(partner, work, "deliver", name=f"ship-{work}")
    assert (other.status_code, problem_type(other)) == (409, "partner-event-reused")


async def test_a_delivery_waits_for_its_parcel_whoever_reports_that(
    partner: Caller, database: Database
) -> None:
    """The carrier tells of deliveries, the warehouse's own system of parcels."""
    work = await work_id(partner, shipped("o-1", ("LAMP", 1)))
    early = (await tell(partner, work, "deliver")).json()
    assert (early["outcome"], early["state"]) == ("parked", "open")
    assert await apply_all_parked(database) == 0
    await done(partner, work, "pick", role="partner")
    await done(partner, work, "ship", role="partner")
    assert await apply_all_parked(database) == 1
    assert (await look(partner, work))["state"] == "closed"
    again = (await tell(partner, work, "deliver")).json()
    assert (again["outcome"], again["repeated"]) == ("applied", True)


async def test_what_is_told_of_cancelled_work_is_ignored_and_known(
    partner: Caller, database: Database
) -> None:
    """The partner's truck had left: nothing is shipped twice, and somebody gets to know."""
    told = await confirmed(partner, shipped("o-1", ("LAMP", 1)))
    work = told["fulfillment_orders"][0]["fulfillment_order_id"]
    cancelled = await partner.post(f"/v1/allocations/{told['allocation_id']}/cancel")
    assert cancelled.status_code == 200, cancelled.text
    for kind in ("accept", "ship", "deliver", "reject", "accept_cancellation"):
        answer = (await tell(partner, work, kind)).json()
        assert answer["outcome"] == "ignored", answer
        assert "cancelled" in answer["why"]
    assert (await look(partner, work))["state"] == "cancelled"
    assert await stock_of(database, "LAMP", NODE) == (10, 0)
    assert (await kinds_of(database, "o-1")).count("fulfillment_order.answer_ignored") == 5
    await assert_all_agrees(database)


async def test_a_cancellation_is_answered_with_yes_or_no_or_by_a_parcel(
    partner: Caller, database: Database
) -> None:
    """Accepted work is the partner's to stop; what has left anyway is a no."""
    asked = {}
    for name in ("yes", "no", "parcel"):
        told = await confirmed(partner, shipped(f"o-{name}", ("LAMP", 1)))
        asked[name] = told["fulfillment_orders"][0]["fulfillment_order_id"]
        assert await outcome(partner, asked[name], "accept") == "applied"
        assert await outcome(partner, asked[name], "accept_cancellation", name=f"{name}-0") == (
            "ignored"
        )
        await partner.post(f"/v1/allocations/{told['allocation_id']}/cancel")
        assert (await look(partner, asked[name]))["request_state"] == "cancellation_requested"
    assert await outcome(partner, asked["yes"], "accept_cancellation") == "applied"
    assert await outcome(partner, asked["no"], "reject_cancellation", reason="packed") == "applied"
    assert await outcome(partner, asked["parcel"], "ship") == "applied"
    stands = [await look(partner, asked[name]) for name in ("yes", "no", "parcel")]
    assert [each["state"] for each in stands] == ["cancelled", "open", "shipped"]
    late = (await tell(partner, asked["parcel"], "accept_cancellation")).json()
    assert late["outcome"] == "ignored"
    assert await outcome(partner, asked["no"], "ship") == "applied"
    assert await stock_of(database, "LAMP", NODE) == (8, 0)
    await assert_all_agrees(database)


async def test_a_rejection_has_its_effect_once_and_sends_the_units_elsewhere(
    partner: Caller, database: Database
) -> None:
    """The other warehouse has lamps too."""
    work = await work_id(partner, shipped("o-1", ("LAMP", 1)))
    answers = [(await tell(partner, work, "reject", reason="damaged")).json() for _ in range(3)]
    assert [each["outcome"] for each in answers] == ["applied"] * 3
    assert [each["repeated"] for each in answers] == [False, True, True]
    assert (await look(partner, work))["state"] == "incomplete"
    kinds = await kinds_of(database, "o-1")
    assert kinds.count("fulfillment_order.rejected") == 1
    late = (await tell(partner, work, "ship")).json()
    assert (late["outcome"], late["state"]) == ("ignored", "incomplete")
    nonsense = await tell(partner, work, "reject", name="other", reason="no_such_reason")
    assert nonsense.json()["outcome"] == "ignored"
    await assert_all_agrees(database)


async def test_two_partial_parcels_and_their_one_delivery(
    partner: Caller, database: Database
) -> None:
    """Half today, half tomorrow; the delivery of all came first."""
    work = await work_id(partner, shipped("o-1", ("LAMP", 3)))
    assert await outcome(partner, work, "deliver") == "parked"
    one = [{"line_id": "1", "quantity": 1}]
    assert await outcome(partner, work, "ship", name="parcel-1", lines=one) == "applied"
    assert (await look(partner, work))["state"] == "in_progress"
    too_many = [{"line_id": "1", "quantity": 3}]
    refused = await tell(partner, work, "ship", name="parcel-2", lines=too_many)
    assert (refused.status_code, problem_type(refused)) == (409, "too-many-units")
    two = [{"line_id": "1", "quantity": 2}]
    last = (await tell(partner, work, "ship", name="parcel-2", lines=two)).json()
    assert (last["outcome"], last["state"]) == ("applied", "closed")
    assert await outcome(partner, work, "ship", name="parcel-3") == "ignored"
    assert await stock_of(database, "LAMP", NODE) == (7, 0)
    await assert_all_agrees(database)


async def test_only_so_much_is_parked_for_one_order(
    partner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything has a limit, and the answer says what to send first."""
    monkeypatch.setattr(callbacks, "PARKED_MAX", 2)
    work = await work_id(partner, shipped("o-1", ("LAMP", 1)))
    for number in range(2):
        assert await outcome(partner, work, "deliver", name=f"d-{number}") == "parked"
    refused = await tell(partner, work, "deliver", name="d-2")
    assert (refused.status_code, problem_type(refused)) == (409, "illegal-state")
    assert await outcome(partner, work, "ship") == "applied"
    assert (await look(partner, work))["state"] == "closed"


async def test_another_partners_work_looks_like_work_that_does_not_exist(partner: Caller) -> None:
    """Neither can it be changed, nor can it be found out that it is there."""
    work = await work_id(partner, shipped("o-1", ("LAMP", 1)))
    never = "0199a3b0-0000-7000-8000-00000000000f"
    for kind in ("accept", "reject", "ship", "deliver"):
        theirs = await tell(partner, work, kind, role="rival")
        nobodys = await tell(partner, never, kind, role="rival")
        assert (theirs.status_code, problem_type(theirs)) == (404, "not-found")
        assert theirs.json()["detail"].replace(work, never) == nobodys.json()["detail"]
    assert (await look(partner, work))["request_state"] == "submitted"


async def test_a_partner_can_fetch_its_work_with_all_that_is_on_the_label(
    partner: Caller, database: Database
) -> None:
    """Who cannot be called polls, and gets the same as a webhook would tell."""
    work = await work_id(partner, shipped("o-1", ("LAMP", 2)))
    address = {
        "name": "Ada Lovelace",
        "address_lines": ["12 Analytical Way"],
        "city": "New York",
        "region": "NY",
        "postal_code": "10001",
        "country": "US",
        "customer_id": "c-1",
        "packing_slip": "Happy birthday",
    }
    put = await partner.put("/v1/orders/o-1/contact", address, role="checkout")
    assert put.status_code == 200, put.text
    (entry,) = (await partner.get("/v1/partner/work", role="partner")).json()["work"]
    assert entry["fulfillment_order_id"] == work
    assert entry["ship_to"]["address_lines"] == ["12 Analytical Way"]
    assert "customer_id" not in entry["ship_to"]
    assert entry["packing_slip"]["text"] == "Happy birthday"
    assert (entry["service"], entry["slot"]) == ("ground", None)
    assert entry["lines"] == [
        {
            "line_id": "1",
            "part": 0,
            "sku": "LAMP",
            "quantity": 2,
            "name": "Lamp",
            "weight_grams": 2_000,
            "length_mm": None,
            "width_mm": None,
            "height_mm": None,
            "requires": [],
        }
    ]
    assert (await partner.get("/v1/partner/work", role="rival")).json()["work"] == []
    await outcome(partner, work, "ship")
    assert (await partner.get("/v1/partner/work", role="partner")).json()["work"] == []


async def test_a_webhook_brings_all_that_is_needed_to_send_the_goods_and_no_more(
    partner: Caller, database: Database
) -> None:
    """A thin message needs a second call, and a fat one tells a carrier what a customer paid."""
    async with listening() as receiver:
        made = await partner.post(
            "/v1/webhook-endpoints",
            {"url": receiver.url, "kinds": ["fulfillment_order.submitted"]},
            role="partner",
        )
        await offer(partner, delivery())
        slot = {"slot_id": "evening", "on": in_days(8).isoformat()}
        work = await work_id(partner, shipped("o-1", ("LAMP", 2)) | {"slots": [slot]})
        address = {
            "name": "Ada Lovelace",
            "address_lines": ["12 Analytical Way"],
            "city": "New York",
            "postal_code": "10001",
            "country": "US",
        }
        await partner.put("/v1/orders/o-1/contact", address, role="checkout")
        await spread(database)
        async with sending(database, partner.runtime.settings):
            (seen,) = await receiver.until_seen(1)
    assert seen.is_signed_with(made.json()["secret"])
    assert seen.message["type"] == "fulfillment_order.submitted"
    dispatch = seen.data["dispatch"]
    assert dispatch["fulfillment_order_id"] == work
    assert dispatch["ship_to"]["name"] == "Ada Lovelace"
    assert dispatch["lines"][0]["weight_grams"] == 2_000
    told = await look(partner, work)
    assert (dispatch["ship_by"], dispatch["promise"]) == (told["ship_by"], told["promise"])
    assert dispatch["slot"] == slot | {"from": "17:00:00", "until": "20:00:00"}
    assert "minor" not in seen.body.decode()
    assert "allocation_id" not in seen.data


async def test_a_message_sent_again_after_the_work_has_ended_names_nobody(
    partner: Caller, database: Database
) -> None:
    """Another partner may have the node by then; whom the order was for is not its business."""
    address = {
        "name": "Ada Lovelace",
        "address_lines": ["12 Analytical Way"],
        "city": "New York",
        "postal_code": "10001",
        "country": "US",
        "packing_slip": "For Ada",
    }
    async with listening() as receiver:
        body = {"url": receiver.url, "kinds": ["fulfillment_order.submitted"]}
        await partner.post("/v1/webhook-endpoints", body, role="partner")
        order = await confirmed(partner, shipped("o-1", ("LAMP", 2)))
        await partner.put("/v1/orders/o-1/contact", address, role="checkout")
        ended = await partner.post(f"/v1/allocations/{order['allocation_id']}/cancel")
        assert ended.json()["fulfillment_orders"][0]["state"] == "cancelled"
        await spread(database)
        async with sending(database, partner.runtime.settings):
            (seen,) = await receiver.until_seen(1)
    assert seen.data["dispatch"]["ship_to"] is None
    assert "Ada" not in seen.body.decode()
