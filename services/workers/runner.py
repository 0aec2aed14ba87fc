"""Runs jobs again and again, each where its lease is held, and tells what they did."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from services.database import Database
from services.workers import records
from services.workers.leases import Lease

JITTER = 0.1
"""Part of the interval by which a pause varies, so that workers do not all wake at once."""
LEASE_S = 5.0
"""A lease is short, so that after a crash another worker soon takes over."""
FAILURE_PAUSE_S = 1.0
"""Least pause after a failure, so that a database that is away does not fill the log."""

runs_total = Counter("nom_job_runs", "Runs of background jobs", ["job", "outcome"])
effects_total = Counter("nom_job_effects", "Things background jobs have done", ["job"])
run_seconds = Histogram("nom_job_seconds", "One run of a background job", ["job"])
last_success = Gauge(
    "nom_job_last_success_timestamp_seconds",
    "When a background job last ended well",
    ["job"],
    multiprocess_mode="mostrecent",
)

log = structlog.get_logger()


class Job(msgspec.Struct, frozen=True):
    """Work that is done every `interval_ms`; `run` returns how many things it did."""

    name: str
    interval_ms: int
    run: Callable[[Database], Awaitable[int]]


async def keep_running(
    jobs: Sequence[Job], database: Database, holder: str, chance: random.Random
) -> None:
    """Run every job at its interval until cancelled, then give the leases back."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                lease = Lease(database, job.name, holder, LEASE_S)
                tasks.create_task(repeat(job, database, lease, chance))
    finally:
        async with database.connect() as connection:
            await records.release_leases(connection, holder)


async def repeat(job: Job, database: Database, lease: Lease, chance: random.Random) -> None:
    """Run one job for ever; what it raises is logged, and the next interval tries again."""
    interval_s = job.interval_ms / 1000
    while True:
        pause_s = interval_s * (1 + JITTER * chance.uniform(-1, 1))
        try:
            if await lease.take():
                async with lease.kept():
                    await run_once(job, database)
        except Exception:
            # A job must not die of a database that is away for a moment, nor take others along.
            runs_total.labels(job.name, "failed").inc()
            pause_s = max(pause_s, FAILURE_PAUSE_S)
            log.exception("job failed", job=job.name, retry_in_s=round(pause_s, 3))
        await asyncio.sleep(pause_s)


async def run_once(job: Job, database: Database) -> None:
    """Run a job, count it, and write a line about it if it did something."""
    started_s = perf_counter()
    effects = await job.run(database)
    elapsed_s = perf_counter() - started_s
    runs_total.labels(job.name, "ok").inc()
    run_seconds.labels(job.name).observe(elapsed_s)
    last_success.labels(job.name).set_to_current_time()
    if effects:
        effects_total.labels(job.name).inc(effects)
        log.info("job", job=job.name, effects=effects, ms=round(elapsed_s * 1000, 2))
