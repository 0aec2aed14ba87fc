"""What endpoints are owed reaches them: signed, in order, again and again until it does."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime

import pytest
from aiohttp import web

from services.database import Database
from services.partners import records, schedule
from services.partners.records import AttemptRow
from services.settings import Settings
from tests.services.partners.receiver import Seen, agree, listening, say
from tests.services.partners.sending import (
    add_endpoint,
    count_messages,
    endpoint_now,
    happen,
    happening,
    quick,
    sending,
    until_ended,
)


def by_lane(seen: list[Seen]) -> dict[str, list[int]]:
    """Return the numbers that came for each fulfillment order, in the order they came."""
    found: dict[str, list[int]] = defaultdict(list)
    for each in seen:
        found[each.data["fulfillment_order_id"]].append(each.data["number"])
    return dict(found)


async def test_a_message_is_signed_as_the_standard_says(
    database: Database, settings: Settings
) -> None:
    """The receiver verifies with the standard's own library, which shares nothing with ours."""
    async with listening() as receiver:
        _, secret = await add_endpoint(database, receiver.url)
        await happen(database, [happening("fo-1", 1)])
        async with sending(database, quick(settings)):
            (seen,) = await receiver.until_seen(1)
    assert seen.is_signed_with(secret)
    assert not seen.is_signed_with("whsec_" + "A" * 44)
    assert seen.headers["content-type"] == "application/json"
    assert set(seen.message) == {"type", "timestamp", "data"}
    assert seen.message["type"] == "fulfillment_order.picked"
    assert seen.data["number"] == 1


async def test_what_happens_to_one_order_arrives_in_order_and_orders_do_not_wait_for_each_other(
    database: Database, settings: Settings
) -> None:
    """A shipment that arrives before its acceptance is refused by most receivers."""
    events = [happening(f"fo-{lane}", number) for number in range(25) for lane in range(8)]
    async with listening() as receiver:
        endpoint, _ = await add_endpoint(database, receiver.url)
        await happen(database, events)
        async with sending(database, quick(settings)):
            await until_ended(database, endpoint.endpoint_id, "delivered", len(events))
    assert by_lane(receiver.seen) == {f"fo-{lane}": list(range(25)) for lane in range(8)}


async def test_a_failing_message_holds_back_its_own_order_alone(
    database: Database, settings: Settings
) -> None:
    """One order the partner cannot read must not stop the thousands it can."""
    stuck = True

    async def answer(_request: web.Request, seen: Seen) -> web.Response:
        is_bad = seen.data["fulfillment_order_id"] == "fo-bad" and stuck
        return web.Response(status=500 if is_bad else 204)

    events = [happening(lane, number) for number in range(3) for lane in ("fo-bad", "fo-good")]
    async with listening() as receiver:
        receiver.answer = answer
        endpoint, _ = await add_endpoint(database, receiver.url)
        await happen(database, events)
        async with sending(database, quick(settings, webhook_retry_ms=20)):
            await until_ended(database, endpoint.endpoint_id, "delivered", 3)
            assert by_lane(receiver.seen)["fo-good"] == [0, 1, 2]
            assert set(by_lane(receiver.seen)["fo-bad"]) == {0}
            stuck = False
            await until_ended(database, endpoint.endpoint_id, "delivered", 6)
    bad = [number for number in by_lane(receiver.seen)["fo-bad"] if number > 0]
    assert bad == [1, 2]


async def test_a_message_that_fails_comes_again_under_its_id_with_a_new_time(
    database: Database, settings: Settings
) -> None:
    """The receiver tells a repetition from news by the id, and a replay from either by the time."""
    async with listening() as receiver:
        receiver.answer = say(503)
        _, secret = await add_endpoint(database, receiver.url)
        await happen(database, [happening("fo-1", 1)])
        async with sending(database, quick(settings)):
            await receiver.until_seen(3)
            receiver.answer = agree
            count = len(receiver.seen)
            await receiver.until_seen(count + 1)
    assert len({each.message_id for each in receiver.seen}) == 1
    assert all(each.is_signed_with(secret) for each in receiver.seen)


async def test_after_the_last_attempt_a_message_is_dead_and_the_next_one_goes_out(
    database: Database, settings: Settings
) -> None:
    """Three days of trying are enough; what comes after is not to be lost with it."""

    async def answer(_request: web.Request, seen: Seen) -> web.Response:
        return web.Response(status=400 if seen.data["number"] == 0 else 204)

    async with listening() as receiver:
        receiver.answer = answer
        endpoint, _ = await add_endpoint(database, receiver.url)
        await happen(database, [happening("fo-1", 0), happening("fo-1", 1)])
        # With pauses of up to 17,280 times this the tenth attempt would come after a while.
        async with sending(database, quick(settings)):
            async with asyncio.timeout(60):
                while await count_messages(database, endpoint.endpoint_id, "dead") == 0:
                    await hurry(database)
            await until_ended(database, endpoint.endpoint_id, "delivered", 1)
    assert by_lane(receiver.seen)["fo-1"] == [0] * 10 + [1]


async def hurry(database: Database) -> None:
    """Let what waits for its next attempt be due now, as if its pause were over."""
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM endpoint FOR UPDATE")
        await connection.execute("UPDATE message SET due_at = now() WHERE due_at > now()")
        await connection.execute("UPDATE endpoint SET resume_at = NULL")
    await asyncio.sleep(0.01)


async def test_410_disables_the_endpoint_and_keeps_what_it_is_owed(
    database: Database, settings: Settings
) -> None:
    """The receiver says that it is gone; whoever enables it again gets everything."""
    async with listening() as receiver:
        receiver.answer = say(410)
        endpoint, _ = await add_endpoint(database, receiver.url)
        await happen(database, [happening("fo-1", number) for number in range(3)])
        async with sending(database, quick(settings)):
            async with asyncio.timeout(30):
                while (await endpoint_now(database, endpoint.endpoint_id)).state == "enabled":
                    await asyncio.sleep(0.01)
    after = await endpoint_now(database, endpoint.endpoint_id)
    assert after.reason == "gone"
    assert len(receiver.seen) == 1
    assert await count_messages(database, endpoint.endpoint_id, "pending") == 3


async def test_an_endpoint_that_only_fails_is_given_up_with_an_event(
    database: Database, settings: Settings
) -> None:
    """Somebody must be told, and it cannot be by the webhook that fails."""
    async with listening() as receiver, listening() as company:
        receiver.answer = say(500)
        endpoint, _ = await add_endpoint(database, receiver.url, partner_id="carrier")
        await add_endpoint(database, company.url, "webhook_endpoint.*")
        async with database.transaction() as connection:
            await connection.execute("UPDATE node SET partner_id = 'carrier'")
            await connection.execute(
                "UPDATE endpoint SET failing_since = now() - interval '6 days' WHERE endpoint_id = $1",
                endpoint.endpoint_id,
            )
        await at_a_node_of(database, "carrier")
        await happen(database, [happening("fo-1", 1)])
        async with sending(database, quick(settings)):
            async with asyncio.timeout(30):
                while (await endpoint_now(database, endpoint.endpoint_id)).state == "enabled":
                    await asyncio.sleep(0.01)
            await happen(database, [])
            (told,) = await company.until_seen(1)
    assert told.message["type"] == "webhook_endpoint.disabled"
    assert told.data["endpoint_id"] == str(endpoint.endpoint_id)
    assert told.data["reason"] == "failing"
    async with database.connect() as connection:
        opened = await connection.fetch("SELECT kind, cause, partner_id FROM exception")
    assert [tuple(each) for each in opened] == [
        ("endpoint_disabled", str(endpoint.endpoint_id), "carrier")
    ]


async def at_a_node_of(database: Database, partner_id: str) -> None:
    """Let WH-EAST be a node at which a partner works."""
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO node (node_id, kind, country, latitude, longitude, time_zone, calendar_id,"
            " cut_off, partner_id) VALUES ('WH-EAST', 'warehouse', 'US', 40, -74,"
            " 'America/New_York', 'daily', '16:00', $1)",
            partner_id,
        )


async def test_a_partner_gets_what_happens_at_its_nodes_without_what_the_customer_pays(
    database: Database, settings: Settings
) -> None:
    """Prices are between the company and its customer."""
    await at_a_node_of(database, "carrier")
    async with listening() as carrier, listening() as rival, listening() as company:
        await add_endpoint(database, carrier.url, partner_id="carrier")
        other, _ = await add_endpoint(database, rival.url, partner_id="rival")
        await add_endpoint(database, company.url)
        await happen(database, [happening("fo-1", 1), happening("fo-2", 2, node_id="ST-WEST")])
        async with sending(database, quick(settings)):
            await company.until_seen(2)
            (seen,) = await carrier.until_seen(1)
            assert await count_messages(database, other.endpoint_id, "pending") == 0
    assert "paid_minor" not in seen.data
    assert all(each.data["paid_minor"] == 995 for each in company.seen)
    assert rival.seen == []


async def test_retry_after_is_honored_for_the_whole_endpoint(
    database: Database, settings: Settings
) -> None:
    """A receiver that is overwhelmed must not get the other orders instead."""
    async with listening() as receiver:
        receiver.answer = say(429, {"Retry-After": "3600"})
        endpoint, _ = await add_endpoint(database, receiver.url)
        await happen(database, [happening("fo-1", 1)])
        async with sending(database, quick(settings)):
            await receiver.until_seen(1)
            async with asyncio.timeout(30):
                while (await endpoint_now(database, endpoint.endpoint_id)).resume_at is None:
                    await asyncio.sleep(0.01)
            await happen(database, [happening("fo-2", 1)])
            await asyncio.sleep(0.2)
    after = await endpoint_now(database, endpoint.endpoint_id)
    assert after.resume_at is not None
    assert 3_590 < (after.resume_at - after.changed_at).total_seconds() < 3_610
    assert len(receiver.seen) == 1


async def test_two_senders_share_the_endpoints_and_send_nothing_twice(
    database: Database, settings: Settings
) -> None:
    """Any number may run; the lease of an endpoint is with one of them."""
    events = [happening(f"fo-{lane}", number) for number in range(20) for lane in range(5)]
    async with listening() as receiver:
        endpoint, _ = await add_endpoint(database, receiver.url)
        await happen(database, events)
        async with (
            sending(database, quick(settings), "one"),
            sending(database, quick(settings), "two"),
        ):
            await until_ended(database, endpoint.endpoint_id, "delivered", len(events))
    assert len(receiver.seen) == len(events)


@pytest.mark.parametrize(
    "said",
    [
        "soon",
        "Mon, 01 Jan 2024 00:00:99999999999999999999 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
    ],
)
def test_a_retry_after_that_is_no_time_says_nothing(settings: Settings, said: str) -> None:
    """A receiver must not be able to stop the sending to itself before it was counted."""
    now = datetime.now(UTC)
    assert schedule.retry_after_s({"Retry-After": said}, now, settings) is None


async def first_attempts(
    database: Database, settings: Settings, url: str
) -> tuple[AttemptRow, AttemptRow]:
    """Return the first attempt at an endpoint of the company, and at one of a partner."""
    await at_a_node_of(database, "carrier")
    rows = [(await add_endpoint(database, url, partner_id=owner))[0] for owner in (None, "carrier")]
    await happen(database, [happening("fo-1", 1)])
    found = []
    async with sending(database, settings), asyncio.timeout(30), database.connect() as connection:
        for row in rows:
            while not (
                tried := await records.list_attempts(
                    connection, row.endpoint_id, None, 10, position=None, failed=False
                )
            ):
                await asyncio.sleep(0.01)
            found.append(tried[0])
    return found[0], found[1]


async def test_only_the_company_reads_in_attempts_where_an_address_leads(
    database: Database, settings: Settings
) -> None:
    """A partner chooses the address; what it leads to inside is not for it to know."""
    shut = quick(settings, webhook_allow="")
    ours, theirs = await first_attempts(database, shut, "https://127.0.0.1:9/hooks")
    assert ours.error is not None
    assert "127.0.0.1 is an internal address" in ours.error
    assert theirs.error == "no connection could be made"


async def test_the_inner_address_of_an_answer_is_told_to_the_company_alone(
    database: Database, settings: Settings
) -> None:
    """A network that may be sent to on purpose is still nobody else's to see."""
    async with listening() as receiver:
        ours, theirs = await first_attempts(database, settings, receiver.url)
    assert (ours.status_code, ours.address) == (204, "127.0.0.1")
    assert (theirs.status_code, theirs.address) == (204, None)
