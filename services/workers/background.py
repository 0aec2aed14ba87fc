"""The background worker process: runs the jobs until it is told to stop."""

import asyncio
import os
import random
import signal
import sys

import uvloop

from services.database import Database
from services.observe import configure_logging
from services.processes import end_with_parent, report_ready
from services.settings import BACKGROUND_CONNECTIONS, Settings
from services.workers.jobs import all_jobs
from services.workers.runner import keep_running


async def run(settings: Settings, holder: str, ready: int) -> None:
    """Run the jobs as `holder` of their leases until SIGTERM; report on the pipe `ready`."""
    if settings.database_url is None:
        raise ValueError("The background worker needs DATABASE_URL; the supervisor sets it.")
    database = Database(settings.database_url, settings, connections_max=BACKGROUND_CONNECTIONS)
    jobs = asyncio.create_task(
        # Chance only spreads the load; it need not be the same twice.
        keep_running(all_jobs(settings), database, holder, random.Random())  # noqa: S311
    )
    watch = asyncio.create_task(end_with_parent())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, jobs.cancel)
    report_ready(ready)
    try:
        await jobs
    except asyncio.CancelledError:
        watch.cancel()
    finally:
        await database.close()


def main(arguments: list[str]) -> None:
    """Work until SIGTERM; the arguments are the holder of leases and the ready pipe's number."""
    holder, ready = arguments
    settings = Settings.from_environment(os.environ)
    configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, holder, int(ready)))


if __name__ == "__main__":
    main(sys.argv[1:])
