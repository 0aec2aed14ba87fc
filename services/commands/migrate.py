"""`nom migrate`: bring the database to the newest schema."""

import os

import click

from services.commands.session import database_url, plain_errors, quiet_logging
from services.database import migrate
from services.settings import Settings


@click.command("migrate")
def command() -> None:
    """Bring the database to the newest schema; does nothing when it is there.

    Processes that migrate at the same time wait for each other. `nom serve` does this by itself.
    """
    quiet_logging()
    with plain_errors():
        settings = Settings.from_environment(os.environ)
        with database_url(settings) as url:
            migrate(url)
