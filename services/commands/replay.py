"""`nom replay`: decide a recorded allocation again, and compare."""

import sys
from uuid import UUID

import click

from routing.explain import Decision, replay
from services.commands.session import with_database
from services.database import Database
from services.orders.decisions import find_decision
from services.problems import Refused


@click.command("replay")
@click.argument("allocation_id", type=click.UUID)
def command(allocation_id: UUID) -> None:
    """Decide an allocation again from its decision record; exit 0 if the plan is the same.

    A proven plan comes out the same to the last byte. One that ran into its time limit may differ.
    """

    async def work(database: Database) -> Decision:
        async with database.connect() as connection:
            return await find_decision(connection, allocation_id)

    try:
        decision = with_database(work)
    except Refused as refused:
        raise click.ClickException(refused.detail) from refused
    again = replay(decision)
    same = again == decision.plan
    click.echo(
        f"{'The same plan' if same else 'Another plan'}: objective {again.objective_minor}, "
        f"recorded {decision.plan.objective_minor}; status {again.status}, recorded "
        f"{decision.plan.status}."
    )
    sys.exit(0 if same else 1)
