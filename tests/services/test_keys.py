"""Keys are looked up rarely, and a revoked one stops working in time all the same."""

import asyncio

from services import keys, records
from services.database import Database

SECONDS = 60.0
CALLERS = 50


async def test_fifty_callers_with_one_key_are_one_look_up(database: Database) -> None:
    """After a pause all of them come at once; asking fifty times would fill the pool."""
    secret = await keys.create(database, "checkout", (), None)
    keyring = keys.Keyring(database, SECONDS)
    calls = [asyncio.create_task(keyring.find(secret)) for _ in range(CALLERS)]
    await asyncio.sleep(0)
    assert len(keyring.looking) == 1
    found = await asyncio.gather(*calls)
    assert {principal.role for principal in found if principal is not None} == {"checkout"}
    assert keyring.looking == {}


async def test_a_key_is_looked_up_again_before_its_time_is_over(database: Database) -> None:
    """Nobody waits for it, and what was found meanwhile counts from then on."""
    secret = await keys.create(database, "checkout", (), None)
    keyring = keys.Keyring(database, SECONDS)
    principal = await keyring.find(secret)
    assert principal is not None
    async with database.transaction() as connection:
        await records.revoke_key(connection, principal.key_id)
    assert await keyring.find(secret) == principal
    assert keyring.looking == {}
    keyring.cache_s = 3 * SECONDS
    assert await keyring.find(secret) == principal
    await asyncio.gather(*keyring.looking.values())
    assert await keyring.find(secret) is None


async def test_a_look_up_that_fails_is_tried_again(database: Database) -> None:
    """A database that was away for a second must not lock a key out."""
    secret = await keys.create(database, "checkout", (), None)
    keyring = keys.Keyring(database, SECONDS)
    call = asyncio.create_task(keyring.find(secret))
    await asyncio.sleep(0)
    keyring.looking[secret].cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert await keyring.find(secret) is not None
