"""Looking for news again and again: so a worker keeps up with the database, through outages too."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

PAUSE_MAX_S = 0.5
"""Longest pause after a look that failed, well below the age at which stock counts as stale."""

log = structlog.get_logger()


class Poll:
    """Looks at an interval from `start` to `close`; an outage is told once, and so is its end.

    While looks fail, the pauses between them grow, so that a database that is coming up again is
    not kept busy by those who wait for it.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[object]],
        interval_ms: int,
        *,
        outage: str,
        recovery: str,
    ) -> None:
        """Call `look` every `interval_ms` once started; the rest is what the log says."""
        self.look = look
        self.interval_s = interval_ms / 1000
        self.outage = outage
        self.recovery = recovery
        self.failures = 0
        """Looks that failed since the last good one."""
        self.task: asyncio.Task[None] | None = None

    @property
    def failing(self) -> bool:
        """Whether the last look failed."""
        return self.failures > 0

    def start(self) -> None:
        """Look for the first time an interval from now, and then on and on."""
        self.task = asyncio.create_task(self.repeat(), name=self.outage)

    async def close(self) -> None:
        """Stop looking; does nothing the second time."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
            self.task = None

    async def repeat(self) -> None:
        """Look for ever; whatever a look raises, there is a next one."""
        while True:
            await asyncio.sleep(pause_s(self.interval_s, self.failures))
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - whatever fails here must not end the poll
                if not self.failures:
                    log.warning(self.outage, error=repr(error))
                self.failures += 1
            else:
                if self.failures:
                    log.info(self.recovery, failures=self.failures)
                self.failures = 0


def pause_s(interval_s: float, failures: int) -> float:
    """Return the pause before the next look: twice as long after each failure, up to a limit."""
    # Beyond ten doublings the limit holds anyway, and the power would grow without end.
    return max(interval_s, min(interval_s * 2.0 ** min(failures, 10), PAUSE_MAX_S))
