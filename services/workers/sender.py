"""The process that sends webhooks until it is told to stop, apart from all other work."""

import asyncio
import os
import random
import signal
import sys

import uvloop

from services.database import Database
from services.observe import configure_logging
from services.partners.sender import Sender
from services.processes import end_with_parent, report_ready
from services.settings import SENDER_CONNECTIONS, Settings


async def run(settings: Settings, holder: str, ready: int) -> None:
    """Send as `holder` of the leases on endpoints until SIGTERM; report on the pipe `ready`."""
    if settings.database_url is None:
        raise ValueError("The sender needs DATABASE_URL; the supervisor sets it.")
    database = Database(settings.database_url, settings, connections_max=SENDER_CONNECTIONS)
    # Chance only spreads the attempts; it need not be the same twice.
    sender = Sender(database, settings, holder, random.Random())  # noqa: S311
    sending = asyncio.create_task(sender.run())
    watch = asyncio.create_task(end_with_parent())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sending.cancel)
    report_ready(ready)
    try:
        await sending
    except asyncio.CancelledError:
        watch.cancel()
    finally:
        await database.close()


def main(arguments: list[str]) -> None:
    """Send until SIGTERM; the arguments are the holder of leases and the ready pipe's number."""
    holder, ready = arguments
    settings = Settings.from_environment(os.environ)
    configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, holder, int(ready)))


if __name__ == "__main__":
    main(sys.argv[1:])
