"""`nom restore`: the copy that `nom backup` wrote, loaded into an empty database."""

import os
from pathlib import Path

import click

from services.commands.session import database_url, plain_errors, quiet_logging
from services.database import plain_url
from services.embedded import EmbeddedError, program
from services.settings import Settings

BROKEN = "input file"
"""What pg_restore says is wrong when a file is something else, or broken off."""


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    """Load FILE into an empty database: all of it, or, where anything is wrong, nothing.

    Give it a new NOM_HOME, or a DATABASE_URL of an empty database, and run `nom audit` afterwards.
    """
    quiet_logging()
    with plain_errors():
        settings = Settings.from_environment(os.environ)
        with database_url(settings) as url:
            try:
                program(
                    "pg_restore",
                    "--single-transaction",
                    "--no-owner",
                    "--no-privileges",
                    f"--dbname={plain_url(url)}",
                    str(file.resolve()),
                )
            except EmbeddedError as error:
                if BROKEN in str(error):
                    raise click.ClickException(
                        f"{file} is no whole copy that `nom backup` has written: {error}"
                    ) from error
                if "already exists" not in str(error):
                    raise
                raise click.ClickException(
                    "The database is not empty, and was left as it is. Restore into a new NOM_HOME "
                    "or an empty database, so that nothing is overwritten by mistake."
                ) from error
    click.echo(f"Restored {file}. Now run: nom audit")
