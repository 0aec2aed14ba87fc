"""Sends what is due: any number of senders, each endpoint served by one of them at a time.

Every endpoint has its own task, its own connections and its own place in the database, so that a
slow one delays nobody. Within an endpoint every lane goes on by itself, its messages one after the
other. No transaction is open while an answer is awaited: what came of the attempts is written
afterwards, and whoever dies in between has sent something that will be sent again, under its id.
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
import structlog
from prometheus_client import Counter

from services import records as shared_records
from services.database import Database
from services.ids import new_id
from services.partners import dispatch, envelope, records, schedule, signing
from services.partners.addresses import is_public, parsed
from services.partners.delivery import Line, Outcome
from services.partners.records import Due, EndpointRow, Tried
from services.partners.standing import judge
from services.settings import Settings

LEASE_S = 5.0
"""How long an endpoint stays with a sender that does not renew its lease."""
RENEWALS = 3
"""A lease is renewed when a third of it has passed."""
RUN_MAX = 20
"""Messages of one lane that go out before what came of them is written."""
FAILURE_PAUSE_S = 1.0

attempts_total = Counter("nom_webhook_attempts", "Attempts at messages", ["outcome"])

log = structlog.get_logger()


class Sender:
    """One process's share of the sending."""

    def __init__(
        self, database: Database, settings: Settings, holder: str, chance: random.Random
    ) -> None:
        """Send as `holder` of the leases on endpoints."""
        self.database = database
        self.settings = settings
        self.holder = holder
        self.chance = chance
        self.tasks: dict[UUID, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Serve every endpoint that has something due until cancelled, then give leases back."""
        try:
            while True:
                try:
                    await self.look()
                except Exception:
                    # A sender must not die of a database that is away for a moment.
                    log.exception("looking for messages failed")
                    await asyncio.sleep(FAILURE_PAUSE_S)
                await asyncio.sleep(self.settings.webhook_poll_ms / 1000)
        finally:
            for task in self.tasks.values():
                task.cancel()
            await asyncio.gather(*self.tasks.values(), return_exceptions=True)
            async with self.database.connect() as connection:
                await records.release_endpoints(connection, self.holder)

    async def look(self) -> None:
        """Take the endpoints that have something due, each into a task of its own."""
        lease = timedelta(seconds=LEASE_S)
        async with self.database.connect() as connection:
            due = await records.claim_endpoints(connection, self.holder, lease, list(self.tasks))
        for endpoint in due:
            self.tasks[endpoint.endpoint_id] = asyncio.create_task(self.serve(endpoint))

    async def serve(self, endpoint: EndpointRow) -> None:
        """Send to one endpoint until nothing is due; what fails here is no other endpoint's."""
        try:
            async with Line(endpoint.url, self.settings) as line:
                await Round(self, endpoint, line).run()
        except Exception:
            log.exception("sending failed", endpoint_id=str(endpoint.endpoint_id))
            await asyncio.sleep(FAILURE_PAUSE_S)
        finally:
            del self.tasks[endpoint.endpoint_id]


class Round:
    """The sending to one endpoint from when something is due until nothing is."""

    def __init__(self, sender: Sender, endpoint: EndpointRow, line: Line) -> None:
        """Begin with nothing under way."""
        self.sender = sender
        self.settings = sender.settings
        self.database = sender.database
        self.endpoint = endpoint
        self.line = line
        self.secrets: list[bytes] = []
        self.lanes: dict[asyncio.Task[list[Tried]], str] = {}
        self.asked_s: float | None = None
        """The longest that an answer has asked to be left alone, since that was written."""

    async def run(self) -> None:
        """Send what is due and write what came of it, until nothing is due or the lease is lost."""
        try:
            finished: list[Tried] = []
            while await self.step(finished):
                done, _ = await asyncio.wait(
                    self.lanes, timeout=self.pause_s(), return_when=asyncio.FIRST_COMPLETED
                )
                finished = [tried for lane in done for tried in lane.result()]
                for lane in done:
                    del self.lanes[lane]
        finally:
            for lane in self.lanes:
                lane.cancel()
            await asyncio.gather(*self.lanes, return_exceptions=True)

    def pause_s(self) -> float:
        """Return how long to wait for answers before the lease and new messages are looked at."""
        is_full = len(self.lanes) >= self.settings.webhook_deliveries_max
        return LEASE_S / RENEWALS if is_full else self.settings.webhook_poll_ms / 1000

    async def step(self, finished: Sequence[Tried]) -> bool:
        """Write what is finished and begin what is due; False when there is no more to do."""

        async def work(connection: asyncpg.Connection) -> list[tuple[Due, bytes]] | None:
            return await self.turn(connection, finished)

        due = await self.database.run(work)
        for each in finished:
            attempts_total.labels(each.state if each.error is None else "failed").inc()
        if finished:
            self.asked_s = None
        if due is None:
            return False
        by_lane: dict[str, list[tuple[Due, bytes]]] = {}
        for message, body in due:
            by_lane.setdefault(message.lane, []).append((message, body))
        for name, messages in by_lane.items():
            self.lanes[asyncio.create_task(self.send(messages))] = name
        return bool(self.lanes)

    async def turn(
        self, connection: asyncpg.Connection, finished: Sequence[Tried]
    ) -> list[tuple[Due, bytes]] | None:
        """Write what is finished and read what is due, with its body; None without the lease."""
        lease = timedelta(seconds=LEASE_S)
        # Locks the endpoint, as everyone does who writes its messages.
        endpoint = await records.renew_lease(
            connection, self.endpoint.endpoint_id, self.sender.holder, lease
        )
        if endpoint is None:
            return None
        if finished:
            endpoint = await self.write(connection, endpoint, finished)
        now = await shared_records.database_now(connection)
        is_resting = endpoint.resume_at is not None and endpoint.resume_at > now
        if endpoint.state != "enabled" or is_resting or endpoint.url != self.endpoint.url:
            return None if not self.lanes else []
        self.endpoint = endpoint
        return await self.next_messages(connection, endpoint)

    async def next_messages(
        self, connection: asyncpg.Connection, endpoint: EndpointRow
    ) -> list[tuple[Due, bytes]]:
        """Return the messages for which there is room, each with its body."""
        # One that only fails is probed with a message at a time, until it answers again.
        is_failing = endpoint.failures >= schedule.FAILURES_STEADY
        room = (1 if is_failing else self.settings.webhook_deliveries_max) - len(self.lanes)
        if room <= 0:
            return []
        due = await records.read_due(
            connection,
            endpoint.endpoint_id,
            list(self.lanes.values()),
            lanes_max=room,
            run_max=1 if is_failing else RUN_MAX,
        )
        if due:
            secrets = await records.live_secrets(connection, endpoint.endpoint_id)
            self.secrets = [each.secret for each in secrets]
        details = await dispatch.details_of(connection, due)
        bodies = [
            envelope.render(
                message,
                endpoint.envelope,
                partner=endpoint.partner_id is not None,
                details=details.get(message.position, {}),
                bytes_max=self.settings.webhook_body_bytes_max,
            )
            for message in due
        ]
        return list(zip(due, bodies, strict=True))

    async def send(self, messages: Sequence[tuple[Due, bytes]]) -> list[Tried]:
        """Send messages of one lane in order, up to the first that fails; say what came of them."""
        tried: list[Tried] = []
        for message, body in messages:
            tried.append(await self.attempt(message, body))
            if tried[-1].state != "delivered":
                break
        return tried

    async def attempt(self, message: Due, body: bytes) -> Tried:
        """Send one message once."""
        now = schedule.utc_now()
        if message.payload is None:
            gone = Outcome(error="the event is older than events are kept")
            return self.tried(message, gone, None)
        headers = signing.headers(
            self.secrets, str(message.event_id), int(now.timestamp()), body
        ) | {"Content-Type": envelope.TYPES[self.endpoint.envelope]}
        outcome = await self.line.post(headers, body, now)
        if outcome.error is not None:
            log.info(
                "delivery failed",
                endpoint_id=str(self.endpoint.endpoint_id),
                event_id=str(message.event_id),
                attempt=message.attempts + 1,
                error=outcome.detail or outcome.error,
                address=outcome.address,
            )
        pause_s = schedule.pause_s(message.attempts + 1, self.settings, self.sender.chance)
        if outcome.retry_after_s is not None and pause_s is not None:
            pause_s = max(pause_s, outcome.retry_after_s)
            if outcome.status_code in schedule.THROTTLED:
                self.asked_s = max(self.asked_s or 0.0, outcome.retry_after_s)
        return self.tried(message, outcome, pause_s)

    def tried(self, message: Due, outcome: Outcome, pause_s: float | None) -> Tried:
        """Return an attempt as it is written; without a pause a message that failed is dead."""
        error, address = self.told(outcome)
        meaning = schedule.meaning(outcome.status_code)
        state: records.MessageState = "pending" if pause_s is not None else "dead"
        if meaning == "delivered":
            state, pause_s = "delivered", None
        elif meaning == "gone":
            # The endpoint is disabled, and its owner may enable it again.
            state, pause_s = "pending", pause_s or 0.0
        return Tried(
            position=message.position,
            lane=message.lane,
            number=message.attempts + 1,
            state=state,
            pause=None if pause_s is None else timedelta(seconds=pause_s),
            attempt_id=new_id(),
            happened_at=schedule.utc_now(),
            status_code=outcome.status_code,
            error=error,
            answer=outcome.answer,
            address=address,
            elapsed_ms=outcome.elapsed_ms,
        )

    def told(self, outcome: Outcome) -> tuple[str | None, str | None]:
        """Return the error and the address of an attempt as its owner may read them.

        A partner learns nothing of our network from them; the log has what it does not learn.
        """
        if self.endpoint.partner_id is None:
            return outcome.detail or outcome.error, outcome.address
        is_inner = outcome.address is not None and not is_public(parsed(outcome.address))
        return outcome.error, None if is_inner else outcome.address

    async def write(
        self, connection: asyncpg.Connection, endpoint: EndpointRow, finished: Sequence[Tried]
    ) -> EndpointRow:
        """Write attempts, what became of their messages, and how the endpoint stands."""
        endpoint_id = endpoint.endpoint_id
        await records.insert_attempts(connection, endpoint_id, finished)
        await records.update_messages(connection, endpoint_id, finished)
        return await judge(
            connection, endpoint, finished, settings=self.settings, asked_s=self.asked_s
        )
