"""`nom replay`: decide a recorded allocation again, and compare."""

import sys
from uuid import UUID

import click

from services.commands.session import with_database
from services.database import Database
from services.orders.decisions import Replayed, replayed
from services.problems import Refused


@click.command("replay")
@click.argument("allocation_id", type=click.UUID)
def command(allocation_id: UUID) -> None:
    """Decide an allocation again from its decision record; exit 0 if the plan is the same.

    What was seen then counts, stock and master data: what has changed since changes nothing. A
    proven plan is proven again; one that ran into its time limit is put together again.
    """

    async def work(database: Database) -> Replayed:
        async with database.connect() as connection:
            return await replayed(connection, allocation_id)

    try:
        found = with_database(work)
    except Refused as refused:
        raise click.ClickException(refused.detail) from refused
    click.echo(
        f"{'The same plan' if found.is_same else 'Another plan'}: objective "
        f"{found.again.objective_minor}, recorded {found.recorded.objective_minor}; status "
        f"{found.again.status}, recorded {found.recorded.status}."
    )
    sys.exit(0 if found.is_same else 1)
