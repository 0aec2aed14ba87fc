"""`nom replay`: decide a recorded allocation again, and compare."""

import sys
from uuid import UUID

import click

from services.commands.session import with_database
from services.database import Database
from services.orders.decisions import Replayed, moves_replayed, replayed
from services.problems import Refused


@click.command("replay")
@click.argument("allocation_id", type=click.UUID)
def command(allocation_id: UUID) -> None:
    """Decide an allocation again from its decision record; exit 0 if the plan is the same.

    So are the moves that were made of it before its release.

    What was seen then counts, stock and master data: what has changed since changes nothing. A
    proven plan is proven again; one that ran into its time limit is put together again.
    """

    async def work(database: Database) -> list[Replayed]:
        async with database.connect() as connection:
            first = await replayed(connection, allocation_id)
            return [first, *await moves_replayed(connection, allocation_id)]

    try:
        found = with_database(work)
    except Refused as refused:
        raise click.ClickException(refused.detail) from refused
    for number, each in enumerate(found):
        click.echo(
            f"{f'Move {number}: the' if number else 'The'} same plan"
            if each.is_same
            else f"{f'Move {number}: another' if number else 'Another'} plan",
            nl=False,
        )
        click.echo(
            f": objective {each.again.objective_minor}, recorded {each.recorded.objective_minor};"
            f" status {each.again.status}, recorded {each.recorded.status}."
        )
    sys.exit(0 if all(each.is_same for each in found) else 1)
