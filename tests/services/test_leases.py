"""Leases and the jobs run under them, on a real database."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.database import Database
from services.workers import records, runner
from services.workers.leases import Lease, LeaseLostError
from services.workers.runner import Job

MINUTE_S = 60.0


def lease(database: Database, holder: str, duration_s: float = MINUTE_S) -> Lease:
    """Return the claim of `holder` on one job."""
    return Lease(database, "sweep", holder, duration_s)


async def take_away(database: Database) -> None:
    """Let another worker have every lease, as if they had run out."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE lease SET holder = 'usurper', expires_at = now() + interval '1 minute'"
        )


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_one_worker_holds_a_lease_at_a_time(database: Database) -> None:
    """However many ask at once, one gets it."""
    claims = [lease(database, f"worker-{number}") for number in range(10)]
    taken = await asyncio.gather(*(claim.take() for claim in claims))
    assert sum(taken) == 1


async def test_a_lease_that_was_not_renewed_passes_on(database: Database) -> None:
    """A worker that was killed cannot give its lease back; it runs out instead."""
    assert await lease(database, "dead", 0.05).take()
    assert not await lease(database, "heir").take()
    await asyncio.sleep(0.06)
    assert await lease(database, "heir").take()


async def test_a_restarted_worker_takes_up_its_own_lease(database: Database) -> None:
    """The supervisor names the holder, so its next worker need not wait for the lease to run out."""
    assert await lease(database, "supervisor").take()
    assert await lease(database, "supervisor").take()


async def test_a_worker_that_stops_gives_its_leases_back(database: Database) -> None:
    """A clean stop must not leave a job undone for the rest of a lease."""
    assert await lease(database, "leaving").take()
    async with database.connect() as connection:
        await records.release_leases(connection, "leaving")
    assert await lease(database, "heir").take()


async def test_a_held_lease_costs_no_statement_until_it_is_due(database: Database) -> None:
    """A job that runs five times a second must not write its lease as often."""
    held = lease(database, "worker")
    assert await held.take()
    await take_away(database)
    assert await held.take(), "not asked again before a third of the lease has passed"


async def test_a_job_is_cancelled_when_its_lease_is_lost(database: Database) -> None:
    """A worker that was suspended must not go on beside the one that took over."""
    held = lease(database, "suspended", 0.3)
    assert await held.take()
    await take_away(database)
    with pytest.raises(ExceptionGroup) as caught:
        async with held.kept():
            await asyncio.sleep(MINUTE_S)
    assert caught.group_contains(LeaseLostError)


@pytest.fixture
async def run_jobs(database: Database) -> AsyncIterator[Callable[..., asyncio.Task[None]]]:
    """Yield what starts a worker with jobs; the workers end with the test."""
    workers: list[asyncio.Task[None]] = []

    def start(holder: str, *jobs: Job) -> asyncio.Task[None]:
        worker = asyncio.create_task(runner.keep_running(jobs, database, holder, random.Random(1)))
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


def counted(runs: list[str], name: str, fails: int = 0) -> Callable[[Database], Awaitable[int]]:
    """Return a job's work that notes each run, and raises the first `fails` times."""

    async def work(_database: Database) -> int:
        runs.append(name)
        if len(runs) <= fails:
            raise ConnectionError("the database is away")
        return 1

    return work


async def test_two_workers_do_not_run_one_job(
    run_jobs: Callable[..., asyncio.Task[None]],
) -> None:
    """Any number of background workers is safe, because one holds the lease."""
    runs: list[str] = []
    run_jobs("first", Job("sweep", 5, counted(runs, "first")))
    await until(lambda: len(runs) > 0)
    run_jobs("second", Job("sweep", 5, counted(runs, "second")))
    await until(lambda: len(runs) > 10)
    assert set(runs) == {"first"}


async def test_another_worker_takes_over_from_one_that_stopped(
    run_jobs: Callable[..., asyncio.Task[None]],
) -> None:
    """The successor starts at once, not when a lease has run out."""
    runs: list[str] = []
    first = run_jobs("first", Job("sweep", 5, counted(runs, "first")))
    await until(lambda: len(runs) > 0)
    run_jobs("second", Job("sweep", 5, counted(runs, "second")))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await until(lambda: runs[-1] == "second")


async def test_a_job_that_raises_runs_again_and_harms_no_other(
    run_jobs: Callable[..., asyncio.Task[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away for a moment must not end the sweeping for ever."""
    monkeypatch.setattr(runner, "FAILURE_PAUSE_S", 0.01)
    failing: list[str] = []
    healthy: list[str] = []
    run_jobs(
        "worker",
        Job("failing", 5, counted(failing, "failing", fails=2)),
        Job("healthy", 5, counted(healthy, "healthy")),
    )
    await until(lambda: len(failing) > 3 and len(healthy) > 3)
