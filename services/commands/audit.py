"""`nom audit`: does what is written down agree with itself."""

import sys

import click
import msgspec

from inventory.audit import Difference, audit
from services.commands.session import with_database
from services.database import Database
from services.fulfillment.audit import audit as audit_work
from services.partners.audit import audit as audit_messages
from services.returns.audit import audit as audit_returns


@click.command("audit")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as a JSON array.")
def command(*, as_json: bool) -> None:
    """Check that movements, reservations and counters agree; exit 0 if so, 1 with the differences.

    Then the same for the work of nodes, for returns and for messages. Reads snapshots and shares no code with what it checks, so it can run beside the service.
    """

    async def work(database: Database) -> list[Difference]:
        async with database.connect() as connection:
            await connection.execute("SET statement_timeout = 0")
            return [
                *await audit(connection),
                *await audit_work(connection),
                *await audit_returns(connection),
                *await audit_messages(connection),
            ]

    differences = with_database(work)
    if as_json:
        click.echo(msgspec.json.encode(differences).decode())
    elif not differences:
        click.echo("Movements, reservations, supply, capacity, work, returns and messages agree.")
    else:
        for each in differences:
            click.echo(each.what)
        click.echo(f"{len(differences)} differences.")
    sys.exit(1 if differences else 0)
