"""Polls go on through outages, tell of each once, and leave a database that comes up its time."""

import asyncio
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from services import polling
from services.polling import PAUSE_MAX_S, Poll, pause_s

OUTAGE = "figures cannot be read"
RECOVERY = "figures are read again"


class Source:
    """Something to look at, which is away for some of the looks."""

    def __init__(self, *away: int) -> None:
        """Fail at the looks with these numbers."""
        self.away = away
        self.looks = 0
        self.seen = asyncio.Condition()

    async def look(self) -> None:
        """Count the look, and fail if it is time to."""
        async with self.seen:
            self.looks += 1
            self.seen.notify_all()
        if self.looks in self.away:
            raise ConnectionError(f"away at look {self.looks}")

    async def looked(self, times: int) -> None:
        """Wait for so many looks."""
        async with self.seen:
            await self.seen.wait_for(lambda: self.looks >= times)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EventDict]]:
    """Collect what polls say."""
    # A logger remembers where it wrote first; this one has not written yet.
    monkeypatch.setattr(polling, "log", structlog.get_logger())
    with capture_logs() as lines:
        yield lines


def poll_of(source: Source) -> Poll:
    """Return a poll of a source, a millisecond apart."""
    return Poll(source.look, 1, outage=OUTAGE, recovery=RECOVERY)


async def test_an_outage_is_told_once_and_so_is_its_end(said: list[EventDict]) -> None:
    """A line for each look that fails would bury what else the log has to say."""
    source = Source(2, 3, 4)
    poll = poll_of(source)
    poll.start()
    await source.looked(8)
    await poll.close()
    assert [each["event"] for each in said] == [OUTAGE, RECOVERY]
    assert "away at look 2" in said[0]["error"]
    assert said[1]["failures"] == 3
    assert not poll.failing


async def test_every_outage_is_told(said: list[EventDict]) -> None:
    """The second one of a night is news again."""
    source = Source(1, 3)
    poll = poll_of(source)
    poll.start()
    await source.looked(5)
    await poll.close()
    assert [each["event"] for each in said] == [OUTAGE, RECOVERY] * 2


async def test_during_an_outage_a_poll_says_that_it_fails(said: list[EventDict]) -> None:
    """Readiness asks, so that a balancer sends orders elsewhere."""
    source = Source(*range(1, 100))
    poll = poll_of(source)
    poll.start()
    await source.looked(3)
    assert poll.failing
    await poll.close()


async def test_a_closed_poll_looks_no_more(said: list[EventDict]) -> None:
    """It would look at a database that is closed as well; and closing twice does no harm."""
    source = Source()
    poll = poll_of(source)
    poll.start()
    await source.looked(1)
    await poll.close()
    await poll.close()
    looks = source.looks
    await asyncio.sleep(0.02)
    assert source.looks == looks


def test_pauses_grow_while_looks_fail_and_never_beyond_the_limit() -> None:
    """A database that comes up is not kept busy by those who wait, and they are soon there again."""
    assert [pause_s(0.1, failures) for failures in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    assert pause_s(0.1, 1_000_000) == PAUSE_MAX_S


def test_who_looks_seldom_looks_no_less_seldom_after_a_failure() -> None:
    """The limit is for those who look often."""
    assert [pause_s(2.0, failures) for failures in (0, 1, 9)] == [2.0] * 3
