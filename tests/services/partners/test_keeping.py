"""What is over is forgotten in time, and what is owed never is."""

from services.database import Database
from services.partners import records
from services.partners.keeping import forget_old
from tests.services.partners.sending import add_endpoint, count_messages, happen, happening


async def test_messages_are_forgotten_a_month_after_they_ended_and_never_before(
    database: Database,
) -> None:
    """An endpoint that has been down for a year is still owed everything."""
    endpoint, _ = await add_endpoint(database, "https://partner.example/")
    await happen(database, [happening(f"fo-{number}", number) for number in range(3)])
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE message SET created_at = now() - interval '1 year', happened_at = happened_at"
        )
        for position, days in ((1, 40), (2, 20)):
            await connection.execute(
                "UPDATE message SET state = 'delivered', due_at = NULL,"
                " ended_at = now() - $2 * interval '1 day' WHERE position = $1",
                position,
                days,
            )
    assert await forget_old(database) == 1
    assert await count_messages(database, endpoint.endpoint_id, "delivered") == 1
    assert await count_messages(database, endpoint.endpoint_id, "pending") == 1


async def test_a_deleted_endpoint_goes_with_everything_it_was_owed(database: Database) -> None:
    """Its messages are deleted in small steps, not while somebody waits for the answer."""
    endpoint, _ = await add_endpoint(database, "https://partner.example/")
    await happen(database, [happening(f"fo-{number}", number) for number in range(3)])
    async with database.transaction() as connection:
        await records.delete_endpoint(connection, endpoint.endpoint_id)
    assert await forget_old(database) == 4
    async with database.connect() as connection:
        assert await connection.fetchval("SELECT count(*) FROM endpoint") == 0
        assert await connection.fetchval("SELECT count(*) FROM message") == 0
