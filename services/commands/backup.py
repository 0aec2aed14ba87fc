"""`nom backup`: a consistent copy of the whole database, taken beside full traffic."""

import os
from pathlib import Path

import click

from services.commands.session import database_url, plain_errors, quiet_logging
from services.database import plain_url
from services.embedded import program
from services.settings import Settings


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    """Write a copy of the database to FILE, in the custom format of pg_dump.

    It shows one moment, whatever is allocated meanwhile. A FILE that is there is only replaced by
    a complete copy. `nom restore` loads it.
    """
    quiet_logging()
    unfinished = file.with_name(f"{file.name}.unfinished")
    with plain_errors():
        settings = Settings.from_environment(os.environ)
        make_empty(unfinished)
        try:
            with database_url(settings) as url:
                program(
                    "pg_dump",
                    "--format=custom",
                    f"--file={unfinished.resolve()}",
                    f"--dbname={plain_url(url)}",
                )
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    click.echo(f"Wrote {file}, {file.stat().st_size / 1e6:,.1f} MB.")


def make_empty(file: Path) -> None:
    """Make a file that nobody else may read: it will hold every order and the hashes of all keys."""
    try:
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
    except OSError as error:
        raise click.ClickException(
            f"The copy cannot be written to {file.parent}: {error.strerror}."
        ) from error
