"""The audit of messages goes red when it should, and at no other time."""

from collections.abc import Sequence

import pytest
from aiohttp import web

from services.database import Database
from services.partners import records
from services.partners.audit import audit
from services.partners.records import Due, Tried
from services.partners.sender import Round
from services.settings import Settings
from tests.services.partners.receiver import Seen, listening
from tests.services.partners.sending import (
    add_endpoint,
    happen,
    happening,
    quick,
    sending,
    spread,
    until_ended,
)

NEVER_SENT = """
UPDATE message SET state = 'pending', ended_at = NULL, attempts = 0 WHERE position = 1;
DELETE FROM attempt WHERE position = 1
"""
LONG_DYING = """
UPDATE message SET state = 'dead' WHERE position = 1;
UPDATE attempt SET status_code = 500, happened_at = happened_at + interval '1 hour'
    WHERE position = 1
"""
TOO_FAR = """
UPDATE message SET due_at = NULL;
UPDATE message SET due_at = now() WHERE position = 4
"""
DAMAGE = {
    "lane head": [
        "UPDATE message SET due_at = NULL",
        "UPDATE message SET state = 'pending', ended_at = NULL WHERE position = 1",
        TOO_FAR,
    ],
    "lane order": [
        "UPDATE attempt SET happened_at = happened_at + interval '3 seconds' WHERE position = 1",
        NEVER_SENT,
        LONG_DYING,
    ],
    "lane": ["UPDATE message SET lane = 'fo-2' WHERE position = 2"],
}


async def found(database: Database) -> list[tuple[str, int, int | None]]:
    """Return the check, what was expected and what was found of each difference."""
    async with database.connect() as connection:
        return [(each.check, each.expected, each.found) for each in await audit(connection)]


async def half_sent(database: Database, settings: Settings) -> None:
    """Send the first two of four messages of one lane; the third only fails."""

    async def agree_to_two(_request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(status=204 if seen.data["number"] <= 2 else 500)

    async with listening() as receiver:
        receiver.answer = agree_to_two
        row, _ = await add_endpoint(database, receiver.url)
        await happen(database, [happening("fo-1", number) for number in (1, 2, 3, 4)])
        async with sending(database, quick(settings, webhook_retry_ms=60_000)):
            await receiver.until_seen(3)
            await until_ended(database, row.endpoint_id, "delivered", 2)


@pytest.mark.parametrize(
    ("check", "damage"), [(check, each) for check, every in DAMAGE.items() for each in every]
)
async def test_damage_is_found_and_told(
    database: Database, settings: Settings, check: str, damage: str
) -> None:
    """A comparison that has never failed has never been tested."""
    await half_sent(database, settings)
    assert await found(database) == []
    async with database.transaction() as connection:
        await connection.execute(damage)
    assert check in {each for each, _, _ in await found(database)}


async def careless(each: Round, messages: Sequence[tuple[Due, bytes]]) -> list[Tried]:
    """Send messages of one lane as `Round.send` does, but go on when one has failed."""
    return [await each.attempt(message, body) for message, body in messages]


async def test_a_sender_that_goes_on_when_a_message_has_failed_is_found(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second arrives although the first has not: what the order of a lane is there against."""

    async def agree_to_second(_request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(status=204 if seen.data["number"] == 2 else 500)

    monkeypatch.setattr(Round, "send", careless)
    async with listening() as receiver:
        receiver.answer = agree_to_second
        row, _ = await add_endpoint(database, receiver.url)
        await happen(database, [happening("fo-1", 1), happening("fo-1", 2)])
        async with sending(database, quick(settings, webhook_retry_ms=60_000)):
            await receiver.until_seen(2)
            await until_ended(database, row.endpoint_id, "delivered", 1)
    assert await found(database) == [("lane order", 1, 2)]


async def test_messages_that_are_sent_again_are_no_difference(
    database: Database, settings: Settings
) -> None:
    """One by one or all since a position: then an earlier one arrives after a later one."""
    async with listening() as receiver:
        row, _ = await add_endpoint(database, receiver.url, position=0)
        await happen(database, [happening("fo-1", number) for number in (1, 2, 3)])
        async with sending(database, settings):
            await receiver.until_seen(3)
            await until_ended(database, row.endpoint_id, "delivered", 3)
        async with database.transaction() as connection:
            await records.replay_message(connection, row.endpoint_id, 1)
            await records.settle_lanes(connection, row.endpoint_id, ["fo-1"])
        assert await found(database) == []
        async with sending(database, settings):
            await receiver.until_seen(4)
            await until_ended(database, row.endpoint_id, "delivered", 3)
    assert await found(database) == []


async def test_what_an_endpoint_was_never_sent_before_has_not_been_overtaken(
    database: Database, settings: Settings
) -> None:
    """It asked for all since the beginning after it had been sent what happened since then."""
    async with listening() as receiver:
        row, _ = await add_endpoint(database, receiver.url, position=1)
        await happen(database, [happening("fo-1", 1), happening("fo-1", 2)])
        async with sending(database, settings):
            await receiver.until_seen(1)
            await until_ended(database, row.endpoint_id, "delivered", 1)
        async with database.transaction() as connection:
            await connection.execute(
                "UPDATE attempt SET happened_at = happened_at - interval '3 seconds'"
            )
            await connection.execute("UPDATE endpoint SET position = 0")
        await spread(database)
        assert await found(database) == []
