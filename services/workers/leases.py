"""A lease: the right to do a job, held by one worker at a time and lost when not renewed.

A lease keeps two workers from doing the same work. It is no lock: a worker that was suspended may
wake up after its lease has passed on, so every job must also be harmless when two do it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from services.database import Database
from services.workers import records

RENEWALS = 3
"""A lease is renewed when a third of it has passed, so two renewals may fail before it is lost."""


class Lease:
    """One worker's claim on the job `name`."""

    def __init__(self, database: Database, name: str, holder: str, duration_s: float) -> None:
        """Describe the claim; nothing is held yet."""
        self.database = database
        self.name = name
        self.holder = holder
        self.duration_s = duration_s
        self.renew_at_s = 0.0
        """When to renew, on the monotonic clock; 0 while nothing is held."""

    async def take(self) -> bool:
        """Hold the lease, renewing it when a third has passed; False while another holds it."""
        now_s = monotonic()
        if now_s < self.renew_at_s:
            return True
        async with self.database.connect() as connection:
            taken = await records.take_lease(connection, self.name, self.holder, self.duration_s)
        # Counted from before the call, so that this worker never believes in it for too long.
        self.renew_at_s = now_s + self.duration_s / RENEWALS if taken else 0.0
        return taken

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep a lease that is held alive while the body runs; cancels the body when it is lost."""
        async with asyncio.TaskGroup() as tasks:
            keeper = tasks.create_task(self.keep())
            yield
            keeper.cancel()

    async def keep(self) -> None:
        """Renew the lease for ever; raises `LeaseLostError` when another holder has it."""
        while True:
            await asyncio.sleep(max(0.0, self.renew_at_s - monotonic()))
            if not await self.take():
                raise LeaseLostError(f"The lease on {self.name} passed to another worker.")


class LeaseLostError(RuntimeError):
    """Another worker has taken over, because this one did not renew in time."""
