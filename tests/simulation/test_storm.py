"""Ten thousand events, five endpoints of which one is well, and a sender that is killed ten times.

Nothing is lost, what happens to one order arrives in order, and the endpoint that is well does not
wait for the others: it has everything while they are still stuck.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from services.database import Database
from services.partners.fanout import write_messages
from services.records import insert_events
from services.settings import Settings
from tests.services.partners.receiver import Receiver, Seen, listening
from tests.services.partners.sending import (
    LOOPBACK,
    add_endpoint,
    count_messages,
    happening,
    spread,
)

EVENTS = 10_000
STEPS = 5
"""Events of each order; so many happen one after the other."""
PARTNERS = ("slow", "down", "random", "inward")
"""Endpoints that are owed a quarter of all events each; `fine` is owed all of them."""
KILLS = 10
SLOW_S = 0.05
FAILING_SHARE = 0.2
PATIENCE_S = 240
"""After which the test is given up; never a measure of speed."""
ENVIRONMENT = {
    "NOM_WEBHOOK_ALLOW": LOOPBACK,
    # An hour is 0.7 seconds, and the three days of attempts are one minute.
    "NOM_WEBHOOK_RETRY_MS": "1",
    "NOM_WEBHOOK_PAUSE_MAX_MS": "250",
    "NOM_WEBHOOK_POLL_MS": "20",
    "NOM_LOG_LEVEL": "error",
}


class Watched:
    """A receiver that checks each message when it comes."""

    def __init__(self, receiver: Receiver) -> None:
        """Accept everything."""
        self.receiver = receiver
        self.secret = ""
        self.accepted: dict[str, set[int]] = defaultdict(set)
        """Steps of each order that were answered 204."""
        self.count = 0
        """Different messages that were."""
        self.repeated = 0
        self.wrong: list[str] = []
        self.behave: Callable[[Seen], web.Response | None] = lambda _seen: None
        self.pause_s = 0.0
        receiver.answer = self.answer

    async def answer(self, _request: web.Request, seen: Seen) -> web.Response:
        """Check a message and answer it as this receiver does."""
        self.receiver.seen.clear()
        if self.pause_s:
            await asyncio.sleep(self.pause_s)
        other = self.behave(seen)
        if other is not None:
            return other
        self.accept(seen)
        return web.Response(status=204)

    def accept(self, seen: Seen) -> None:
        """Note a message that is taken, and what is wrong with it."""
        if not seen.is_signed_with(self.secret):
            self.wrong.append(f"{seen.message_id} is not signed")
        order, step = seen.data["fulfillment_order_id"], seen.data["number"]
        accepted = self.accepted[order]
        if step in accepted:
            self.repeated += 1
            return
        # Every step before it has been taken; one that comes again is known by its id.
        if len(accepted) != step:
            self.wrong.append(f"{order}: step {step} after {sorted(accepted)}")
        accepted.add(step)
        self.count += 1


def unavailable(_seen: Seen) -> web.Response:
    """Answer as a proxy does whose server is down."""
    return web.Response(status=502)


def at_random(chance: random.Random) -> Callable[[Seen], web.Response | None]:
    """Return what fails now and then."""

    def behave(_seen: Seen) -> web.Response | None:
        return web.Response(status=500) if chance.random() < FAILING_SHARE else None

    return behave


@contextmanager
def sender(database_url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a sender in a process of its own, killed in the end unless it is dead by then."""
    reader, writer = os.pipe()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.workers.sender", "storm", str(writer)],
            env={**os.environ, **ENVIRONMENT, "DATABASE_URL": database_url},
            pass_fds=(writer,),
            stdout=output,
            stderr=output,
        )
    os.close(writer)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        os.close(reader)


async def spread_while_they_come(database: Database) -> None:
    """Do what the background worker does: give events positions, and endpoints their messages."""
    while True:
        await spread(database)
        await asyncio.sleep(0.05)


async def let_happen(database: Database) -> None:
    """Let all the events happen: each order goes a step further, again and again."""
    nodes = [f"N-{name}" for name in PARTNERS]
    orders = [(f"fo-{number}", nodes[number % len(nodes)]) for number in range(EVENTS // STEPS)]
    for step in range(STEPS):
        for first in range(0, len(orders), 500):
            async with database.transaction() as connection:
                part = orders[first : first + 500]
                await insert_events(
                    connection, [happening(order, step, node_id) for order, node_id in part]
                )


async def add_nodes(database: Database) -> None:
    """Let every partner work at a node of its own."""
    async with database.transaction() as connection:
        await connection.executemany(
            "INSERT INTO node (node_id, kind, country, latitude, longitude, time_zone, calendar_id,"
            " cut_off, partner_id) VALUES ('N-' || $1, 'partner', 'US', 40, -74,"
            " 'America/New_York', 'daily', '16:00', $1)",
            [(name,) for name in PARTNERS],
        )


@asynccontextmanager
async def stormed(database: Database) -> AsyncIterator[tuple[dict[str, Watched], Receiver]]:
    """Yield the receivers by name, each with its endpoint, and one inside that nobody may call."""
    await add_nodes(database)
    async with AsyncExitStack() as stack:
        inside = await stack.enter_async_context(listening())
        watched = {}
        for name in (*PARTNERS, "fine"):
            each = watched[name] = Watched(await stack.enter_async_context(listening()))
            partner_id = None if name == "fine" else name
            _, each.secret = await add_endpoint(
                database, each.receiver.url, "fulfillment_order.*", partner_id=partner_id
            )
        watched["slow"].pause_s = SLOW_S
        watched["down"].behave = unavailable
        watched["random"].behave = at_random(random.Random(500))
        away = {"Location": inside.url}
        watched["inward"].behave = lambda _seen: web.Response(status=307, headers=away)
        yield watched, inside


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def kill_on_the_way(database_url: str, log: Path, watched: dict[str, Watched]) -> None:
    """Kill one sender after the other, each on the way, and let the last one finish."""
    fine = watched["fine"]
    for kill in range(1, KILLS + 1):
        with sender(database_url, log) as process:
            goal = EVENTS * kill // (KILLS + 1)
            await until(lambda goal=goal: fine.count >= goal)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
    with sender(database_url, log):
        await until(lambda: fine.count == EVENTS)
        assert_the_fine_one_did_not_wait(watched)
        for name in ("down", "inward"):
            watched[name].behave = lambda _seen: None
        watched["slow"].pause_s = 0.0
        share = EVENTS // len(PARTNERS)
        await until(lambda: all(watched[name].count == share for name in PARTNERS))


def assert_the_fine_one_did_not_wait(watched: dict[str, Watched]) -> None:
    """See that it has everything while the others were stuck, by what each of them has."""
    counts = {name: each.count for name, each in watched.items()}
    print(f"when the fine one had everything: {counts}")
    assert counts["down"] == counts["inward"] == 0


@pytest.mark.slow
async def test_in_a_storm_everybody_gets_what_they_are_owed_in_order_and_nobody_waits_for_others(
    database_url: str, tmp_path: Path
) -> None:
    """One partner is slow, one down for an hour, one fails at random, one points into our network."""
    settings = Settings.from_environment({"DATABASE_URL": database_url})
    database = Database(database_url, settings, connections_max=4)
    async with stormed(database) as (watched, inside):
        async with asyncio.TaskGroup() as tasks:
            worker = tasks.create_task(spread_while_they_come(database))
            happening_now = tasks.create_task(let_happen(database))
            await kill_on_the_way(database_url, tmp_path / "sender.log", watched)
            await happening_now
            worker.cancel()
        await write_messages(database)
    said = (tmp_path / "sender.log").read_text()
    assert said == "", said
    repeated = {name: each.repeated for name, each in watched.items()}
    print(f"came more than once: {repeated}")
    assert {name: each.wrong for name, each in watched.items()} == {name: [] for name in watched}
    assert inside.seen == []
    async with database.connect() as connection:
        rows = await connection.fetch("SELECT endpoint_id FROM endpoint")
        assert await connection.fetchval("SELECT count(*) FROM attempt") >= 2 * EVENTS
    for row in rows:
        assert await count_messages(database, row["endpoint_id"], "dead") == 0
    await database.close()
