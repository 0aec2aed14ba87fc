"""`nom prices`: learn prices now, instead of waiting for the job that does it."""

import os

import click

from services.commands.session import with_database
from services.database import Database
from services.prices.records import Version
from services.prices.refresh import refresh
from services.settings import Settings


@click.command("prices")
def command() -> None:
    """Learn what walk-ins want and how nodes answer, and put it in force within seconds.

    The background worker does it by itself every NOM_PRICES_REFRESH_S. Run it after loading a
    past, or after a setting of prices has changed.
    """

    async def work(database: Database) -> Version:
        return await refresh(Settings.from_environment(os.environ), database)

    found = with_database(work)
    click.echo(
        f"Version {found.version}, from {found.sold_units} units sold and {found.asked_lines} lines "
        f"answered since {found.since_at:%Y-%m-%d}: demand of {found.walk_in_records} stock records, "
        f"{found.refusal_cells} chances of a refusal, the work of {found.pace_nodes} nodes. "
        f"{found.priced_orders} orders put a price on {found.order_price_records} records and on the "
        f"places of {found.place_prices} dates of nodes. "
        f"Walk-ins count {found.walk_in_weight:.0%}, orders to come {found.order_weight:.0%}."
    )
