"""`nom serve`: the service, and the words with which it says where it is."""

import asyncio
import os
import sys
from collections.abc import Mapping
from uuid import uuid4

import click
import msgspec
import structlog

from services import keys, supervisor
from services.commands.session import plain_errors
from services.database import Database
from services.observe import configure_logging
from services.settings import Settings, unknown, variable

logger = structlog.get_logger()


@click.command("serve")
@click.option("--host", help="Address to listen on. [NOM_HOST; 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one. [NOM_PORT; 8000]")
@click.option("--workers", type=int, help="HTTP worker processes. [NOM_WORKERS; 1]")
@click.option("--demonstration", is_flag=True, help="Load a small network to try, the first time.")
def command(*, demonstration: bool, **flags: object) -> None:
    """Run the service until Ctrl-C or SIGTERM: database, HTTP workers, background worker.

    What dies is restarted. At the end, requests under way are answered and nothing is left running.
    """
    with plain_errors():
        environ = overridden(os.environ, flags)
        settings = Settings.from_environment(environ)
        configure_logging(settings.log_level)
        for sentence in unknown(environ):
            logger.warning("unknown setting", detail=sentence)
        try:
            code = supervisor.serve(
                settings,
                environ,
                greet=greet_with_demonstration if demonstration else greet,
            )
        except supervisor.ServeError as error:
            raise click.ClickException(str(error)) from error
    sys.exit(code)


def overridden(environ: Mapping[str, str], flags: Mapping[str, object]) -> dict[str, str]:
    """Return `environ` with the flags that were given in place of their variables."""
    given = {variable(name): str(value) for name, value in flags.items() if value is not None}
    return {**environ, **given}


def greet(settings: Settings) -> str:
    """Return where the service and its documentation are."""
    address = address_of(settings)
    return f"""
nom is running. Ctrl-C stops it, and loses nothing.

  service            {address}
  API documentation  {address}/docs/
"""


def greet_with_demonstration(settings: Settings) -> str:
    """Load the small network unless it is there, and return how to allocate a basket on it."""
    # Loaded only here: a service without the demonstration does not need its data.
    from services.demo.small import load  # noqa: PLC0415

    body = msgspec.json.encode(load(settings)).decode()
    secret = asyncio.run(demonstration_key(settings))
    return f"""{greet(settings)}
A small network is loaded. This allocates a basket on it:

curl -s {address_of(settings)}/v1/allocations \\
  -H 'Authorization: Bearer {secret}' \\
  -H 'Idempotency-Key: {uuid4()}' \\
  -H 'Content-Type: application/json' \\
  -d '{body}'
"""


def address_of(settings: Settings) -> str:
    """Return the address at which this machine reaches the service."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


async def demonstration_key(settings: Settings) -> str:
    """Return the secret of a checkout key for the example, the one of the last start if it works.

    It is kept in a file of the data folder that only this account can read.
    """
    file = settings.home / "demonstration.key"
    database = Database(str(settings.database_url), settings, connections_max=1)
    try:
        if file.exists():
            secret = file.read_text().strip()
            if await keys.Keyring(database, 0).find(secret) is not None:
                return secret
        secret = await keys.create(database, "checkout", (), None)
    finally:
        await database.close()
    file.touch(mode=0o600)
    file.write_text(secret)
    return secret
