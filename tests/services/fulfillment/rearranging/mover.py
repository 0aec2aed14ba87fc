"""A process that plans waiting orders anew again and again: one to be killed.

Run as `python -m tests.services.fulfillment.rearranging.mover`, with the settings of a service around it.
"""

import asyncio
import os

from services.database import Database
from services.fulfillment.rearranging import Rearranging
from services.fulfillment.sweeps import Resourcing
from services.settings import Settings

PAUSE_S = 0.05


async def move(settings: Settings) -> None:
    """Move what is better off elsewhere, without end."""
    if settings.database_url is None:
        raise ValueError("DATABASE_URL names no database")
    database = Database(settings.database_url, settings, connections_max=4)
    job = Rearranging(settings, Resourcing(settings))
    while True:
        await job.run(database)
        await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    asyncio.run(move(Settings.from_environment(os.environ)))
