"""Endpoints as partners and the operator manage them over HTTP."""

import asyncio
from typing import Any
from uuid import uuid4

from services import keys
from services.database import Database
from services.partners.endpoints import ENDPOINTS_MAX
from tests.services.caller import Caller, problem_type
from tests.services.partners.receiver import Receiver, agree, listening, say
from tests.services.partners.sending import count_messages, happen, happening, sending, spread

PATH = "/v1/webhook-endpoints"


async def add(
    caller: Caller, receiver: Receiver, role: str = "partner", **more: object
) -> dict[str, Any]:
    """Add an endpoint over HTTP."""
    answer = await caller.post(PATH, {"url": receiver.url, **more}, role=role)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def at(made: dict[str, Any], *more: str) -> str:
    """Return the path of an endpoint."""
    return "/".join((PATH, made["endpoint"]["endpoint_id"], *more))


async def hand_to_partner(database: Database, partner_id: str = "carrier") -> None:
    """Let a partner work at WH-EAST."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE node SET partner_id = $1 WHERE node_id = 'WH-EAST'", partner_id
        )


async def test_a_test_message_arrives_and_its_attempt_is_logged(
    caller: Caller, database: Database
) -> None:
    """The first thing whoever sets one up wants to see."""
    async with listening() as receiver:
        made = await add(caller, receiver, kinds=["return.*"])
        assert (await caller.post(at(made, "test"), role="partner")).status_code == 202
        await spread(database)
        async with sending(database, caller.runtime.settings):
            (seen,) = await receiver.until_seen(1)
            attempts = await until_logged(caller, made, 1)
    assert seen.message["type"] == "webhook_endpoint.test"
    assert seen.is_signed_with(made["secret"])
    assert attempts[0]["status_code"] == 204
    assert attempts[0]["address"] is None, "an inner address is the company's to know"


async def until_logged(caller: Caller, made: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Wait until so many attempts are in the log, and return them."""
    async with asyncio.timeout(30):
        while True:
            page = (await caller.get(at(made, "attempts"), role="partner")).json()
            if len(page["attempts"]) >= count:
                found: list[dict[str, Any]] = page["attempts"]
                return found
            await asyncio.sleep(0.01)


async def test_while_a_secret_changes_messages_verify_with_both_and_then_with_the_new_one(
    caller: Caller, database: Database
) -> None:
    """The receiver changes over when it can; a leaked secret ends at once."""
    await hand_to_partner(database)
    async with listening() as receiver:
        made = await add(caller, receiver)
        rotated = await caller.post(at(made, "rotate"), {}, role="partner")
        new = rotated.json()["secret"]
        assert new != made["secret"]
        async with sending(database, caller.runtime.settings):
            await happen(database, [happening("fo-1", 1)])
            await receiver.until_seen(1)
            ended = await caller.post(at(made, "rotate"), {"overlap": "PT0S"}, role="partner")
            await happen(database, [happening("fo-1", 2)])
            await receiver.until_seen(2)
    first, second = receiver.seen
    assert first.is_signed_with(made["secret"])
    assert first.is_signed_with(new)
    assert second.is_signed_with(ended.json()["secret"])
    assert not second.is_signed_with(made["secret"])
    assert not second.is_signed_with(new)
    shown = (await caller.get(at(made), role="partner")).text
    assert "whsec_" not in shown


async def test_a_partner_manages_its_own_endpoints_and_no_others_exist_for_it(
    caller: Caller, database: Database
) -> None:
    """Another partner's endpoint looks exactly like one that was never made."""
    async with listening() as receiver:
        mine = await add(caller, receiver)
        theirs = await add(caller, receiver, role="operator", partner_id="rival")
        company = await add(caller, receiver, role="operator")
    listed = (await caller.get(PATH, role="partner")).json()["endpoints"]
    assert [each["endpoint_id"] for each in listed] == [mine["endpoint"]["endpoint_id"]]
    assert len((await caller.get(PATH, role="operator")).json()["endpoints"]) == 3
    never = f"{PATH}/{uuid4()}"
    for path in (at(theirs), at(company), never):
        answers = [
            await caller.get(path, role="partner"),
            await caller.get(f"{path}/attempts", role="partner"),
            await caller.get(f"{path}/messages", role="partner"),
            await caller.put(path, {"url": receiver.url}, role="partner"),
            await caller.post(f"{path}/rotate", {}, role="partner"),
            await caller.post(f"{path}/enable", role="partner"),
            await caller.post(f"{path}/disable", role="partner"),
            await caller.post(f"{path}/test", role="partner"),
            await caller.post(f"{path}/replay", {"dead": True}, role="partner"),
            await caller.client.delete(path, headers=caller.headers("partner")),
        ]
        assert {(answer.status_code, problem_type(answer)) for answer in answers} == {
            (404, "not-found")
        }
    refused = await caller.post(PATH, {"url": receiver.url, "partner_id": "rival"}, role="partner")
    assert problem_type(refused) == "forbidden"
    assert (await caller.get(PATH, role="checkout")).status_code == 403


async def test_what_can_never_work_is_refused_when_it_is_written(caller: Caller) -> None:
    """Better now than in the log of attempts tomorrow."""
    for url in (
        "ftp://partner.example/",
        "https://user:secret@partner.example/",
        "https://10.0.0.1/hooks",
        "https://[::ffff:169.254.169.254]/",
        "https://partner.example:99999/",
        "https:///nobody",
        "https://partner.example/#part",
    ):
        refused = await caller.post(PATH, {"url": url}, role="partner")
        assert problem_type(refused) == "invalid-field", url
    body = {"url": "https://partner.example/", "kinds": ["fulfilment.*"]}
    refused = await caller.post(PATH, body, role="partner")
    assert (problem_type(refused), refused.json()["field"]) == ("invalid-field", "kinds")


async def test_a_disabled_endpoint_goes_on_where_it_stopped(
    caller: Caller, database: Database
) -> None:
    """Switching it off for a night must not cost the partner the night's orders."""
    await hand_to_partner(database)
    async with listening() as receiver:
        made = await add(caller, receiver)
        stopped = await caller.post(at(made, "disable"), role="partner")
        assert (stopped.json()["state"], stopped.json()["reason"]) == ("disabled", "by_request")
        refused = await caller.post(at(made, "test"), role="partner")
        assert problem_type(refused) == "illegal-state"
        await happen(database, [happening("fo-1", number) for number in range(5)])
        async with sending(database, caller.runtime.settings):
            await asyncio.sleep(0.1)
            assert receiver.seen == []
            await caller.post(at(made, "enable"), role="partner")
            await spread(database)
            await receiver.until_seen(5)
    assert [each.data["number"] for each in receiver.seen] == [0, 1, 2, 3, 4]


async def test_things_are_sent_again_one_by_one_or_all_since_a_position(
    caller: Caller, database: Database
) -> None:
    """The partner restored a backup, or fixed what it could not read."""
    await hand_to_partner(database)
    async with listening() as receiver:
        made = await add(caller, receiver)
        await happen(database, [happening("fo-1", number) for number in range(5)])
        async with sending(database, caller.runtime.settings):
            await receiver.until_seen(5)
            endpoint_id = made["endpoint"]["endpoint_id"]
            async with asyncio.timeout(30):
                while await count_messages(database, endpoint_id, "delivered") < 5:
                    await asyncio.sleep(0.01)
            page = (await caller.get(at(made, "messages"), role="partner")).json()
            third = page["messages"][2]["position"]
            answer = await caller.post(at(made, "replay"), {"position": third}, role="partner")
            assert answer.json()["messages"] == 1
            await receiver.until_seen(6)
            answer = await caller.post(
                at(made, "replay"), {"after_position": third}, role="partner"
            )
            assert (answer.status_code, answer.json()["after_position"]) == (202, third)
            await spread(database)
            await receiver.until_seen(8)
    assert [each.data["number"] for each in receiver.seen] == [0, 1, 2, 3, 4, 2, 3, 4]
    assert len({each.message_id for each in receiver.seen}) == 5
    nothing = await caller.post(at(made, "replay"), {}, role="partner")
    assert problem_type(nothing) == "invalid-field"
    missing = await caller.post(at(made, "replay"), {"position": 10**9}, role="partner")
    assert problem_type(missing) == "not-found"


async def test_dead_messages_are_shown_and_sent_again(caller: Caller, database: Database) -> None:
    """The receiver was broken for longer than anybody tries."""
    await hand_to_partner(database)
    async with listening() as receiver:
        receiver.answer = say(500)
        made = await add(caller, receiver)
        await happen(database, [happening("fo-1", 1)])
        async with database.transaction() as connection:
            # Nine attempts, the tenth is the last.
            await connection.execute("UPDATE message SET attempts = 9")
        async with sending(database, caller.runtime.settings):
            await receiver.until_seen(1)
            async with asyncio.timeout(30):
                while (await caller.get(at(made), role="partner")).json()["backlog"]["dead"] == 0:
                    await asyncio.sleep(0.01)
            dead = await caller.get(
                at(made, "messages"), role="partner", params={"delivery": "dead"}
            )
            assert [each["attempts"] for each in dead.json()["messages"]] == [10]
            failed = await caller.get(
                at(made, "attempts"), role="partner", params={"failed": "true"}
            )
            assert failed.json()["attempts"][0]["error"] == "answered 500"
            receiver.answer = agree
            await caller.post(at(made, "replay"), {"dead": True}, role="partner")
            await receiver.until_seen(2)


async def test_a_deleted_endpoint_is_gone_with_what_it_was_owed(
    caller: Caller, database: Database
) -> None:
    """And the sender, which may be busy with it, takes no harm."""
    await hand_to_partner(database)
    async with listening() as receiver:
        made = await add(caller, receiver)
        await happen(database, [happening("fo-1", 1)])
        gone = await caller.client.delete(at(made), headers=caller.headers("partner"))
        assert (gone.status_code, gone.json()["state"]) == (200, "deleted")
        assert (await caller.get(at(made), role="partner")).status_code == 404
        async with sending(database, caller.runtime.settings):
            await asyncio.sleep(0.1)
    assert receiver.seen == []


async def test_cloudevents_carry_the_same_in_their_own_envelope(
    caller: Caller, database: Database
) -> None:
    """Event meshes take nothing else."""
    async with listening() as receiver:
        made = await add(caller, receiver, role="operator", envelope="cloudevents")
        await happen(database, [happening("fo-1", 1)])
        async with sending(database, caller.runtime.settings):
            (seen,) = await receiver.until_seen(1)
    assert seen.headers["content-type"] == "application/cloudevents+json"
    assert seen.message["specversion"] == "1.0"
    assert seen.message["id"] == seen.message_id
    assert seen.message["type"] == "fulfillment_order.picked"
    assert seen.data["number"] == 1
    assert seen.is_signed_with(made["secret"])


async def test_an_owner_has_a_limited_number_of_endpoints(caller: Caller) -> None:
    """Everything has a limit."""
    async with listening() as receiver:
        for _ in range(20):
            await add(caller, receiver)
        refused = await caller.post(PATH, {"url": receiver.url}, role="partner")
    assert (refused.status_code, problem_type(refused)) == (409, "endpoint-limit")


async def test_the_limit_holds_when_endpoints_are_added_at_once(caller: Caller) -> None:
    """Each would otherwise count before the others are there."""
    body = {"url": "https://partner.example/hooks", "kinds": ["return.*"]}
    answers = await asyncio.gather(
        *(caller.post(PATH, body, role="partner") for _ in range(ENDPOINTS_MAX + 6))
    )
    made = [answer for answer in answers if answer.status_code == 201]
    assert len(made) == ENDPOINTS_MAX


async def test_two_partners_with_keys_see_their_own_messages_by_cursor(
    caller: Caller, database: Database
) -> None:
    """Who cannot be called fetches: the same messages, in order, from any position on."""
    await hand_to_partner(database)
    caller.keys = {**caller.keys, "rival": await keys.create(database, "partner", (), "rival")}
    async with listening() as receiver:
        made = await add(caller, receiver)
        await happen(database, [happening(f"fo-{number}", number) for number in range(5)])
    first = (await caller.get(at(made, "messages"), role="partner", params={"limit": 3})).json()
    assert [each["message"]["data"]["number"] for each in first["messages"]] == [0, 1, 2]
    rest = await caller.get(
        at(made, "messages"), role="partner", params={"after": first["next_after"]}
    )
    assert [each["message"]["data"]["number"] for each in rest.json()["messages"]] == [3, 4]
    assert (await caller.get(at(made, "messages"), role="rival")).status_code == 404
