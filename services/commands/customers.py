"""`nom customers`: what is kept of a customer, given out or forgotten."""

import click
import msgspec

from services.commands.session import with_database
from services.database import Database
from services.people import customers
from services.people.customers import KeptOrder, Purged


@click.group("customers")
def command() -> None:
    """Export or purge what is kept of a customer."""


@command.command("export")
@click.argument("customer")
def export(customer: str) -> None:
    """Print everything that is kept of CUSTOMER, as JSON, by order."""

    async def work(database: Database) -> list[KeptOrder]:
        async with database.transaction(isolation="repeatable_read", readonly=True) as connection:
            return await customers.export(connection, customer)

    kept = with_database(work)
    click.echo(msgspec.json.format(msgspec.json.encode(kept), indent=2).decode())


@command.command("purge")
@click.argument("customer")
def purge(customer: str) -> None:
    """Forget who CUSTOMER is; the orders stay, without anything personal.

    Orders that are still under way need their address: they are forgotten when their work has
    ended. Backups made before keep what they have until they are deleted.
    """

    async def work(database: Database) -> Purged:
        async with database.transaction() as connection:
            return await customers.purge(connection, customer)

    done = with_database(work)
    click.echo(f"Forgotten: the contacts of {len(done.forgotten)} orders.")
    if done.waiting:
        click.echo(f"Still under way, and forgotten at their end: {', '.join(done.waiting)}.")
