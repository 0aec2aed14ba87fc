"""What the background does for orders that nodes could not fill: looked for, and tried again."""

from uuid import UUID

import asyncpg

from services import records as shared_records
from services.database import Database
from services.fulfillment import exceptions, exceptions_records, records
from services.fulfillment.deciding import Decision, decide
from services.fulfillment.exceptions import RETRIED
from services.fulfillment.exceptions_records import Rejection
from services.fulfillment.leftovers import about, unit_of
from services.fulfillment.moves import Means
from services.fulfillment.records import Work
from services.fulfillment.relief import put_off, relieve
from services.fulfillment.steps import lock
from services.fulfillment.tables import LIVE_STATES
from services.fulfillment.withdrawal import is_anything, said, withdraw
from services.planning import records as network_records
from services.planning.network import Network, build
from services.problems import Refused
from services.settings import Settings

ACTOR = "system:sweep"
LIMIT = 100
"""Things looked at in one run of a job."""
CASCADES_MAX = 10
WORKS_MAX = 200
"""Other work that one rejection takes along, in one run."""


class Resourcing:
    """Jobs that find other places, with the network as this process knows it."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; the network is read when it is first needed."""
        self.settings = settings
        self.network: Network | None = None
        self.looked_to = ""
        """The sku up to which places that are short were looked at last, so that all have a turn."""

    async def means(self, database: Database) -> Means:
        """Return what finding another place works with, on the newest network."""
        async with database.connect() as connection:
            version = await network_records.read_version(connection)
        if self.network is None or self.network.version != version:
            async with database.transaction(
                isolation="repeatable_read", readonly=True
            ) as connection:
                self.network = build(await network_records.read_network(connection))
        return Means(database, self.network, self.settings)

    async def relieve(self, database: Database) -> int:
        """Move promises away from where goods are missing or late; say how many."""
        async with database.connect() as connection:
            short = await exceptions_records.find_short(connection, self.looked_to, LIMIT)
            slips = await exceptions_records.find_slips(connection, LIMIT)
        self.looked_to = short[-1].sku if len(short) == LIMIT else ""
        if not short and not slips:
            return 0
        means = await self.means(database)
        done = [await relieve(means, place) for place in short]
        return sum(done) + sum([await put_off(means, slip) for slip in slips])

    async def follow_rejections(self, database: Database) -> int:
        """Take other work along where a rejection's reason says so; say how much it was."""
        async with database.connect() as connection:
            pending = await exceptions_records.find_cascades(connection, CASCADES_MAX)
        if not pending:
            return 0
        means = await self.means(database)
        return sum([await cascade(means, each) for each in pending])

    async def retry(self, database: Database) -> int:
        """Try again what something has come in for, in order of promise; say how many it helped."""
        async with database.connect() as connection:
            now = await shared_records.database_now(connection)
            due = await exceptions_records.find_retriable(connection, RETRIED, now, LIMIT)
            outdated = await exceptions_records.find_outdated(connection, LIMIT)
        done = sum([await end_outdated(database, each) for each in outdated])
        if not due:
            return done
        means = await self.means(database)
        decision = Decision(action="retry", actor="system:retry")
        for exception_id in due:
            try:
                done += await decide(means, exception_id, decision, database.run)
            except Refused:
                # Somebody has decided it meanwhile.
                continue
        return done

    async def mind_silence(self, database: Database) -> int:
        """Queue work that was not answered in time, and give it to others if that is wanted."""
        async with database.connect() as connection:
            now = await shared_records.database_now(connection)
            silent = await exceptions_records.find_silent(connection, now, LIMIT)
        if not silent:
            return 0
        means = await self.means(database)
        done = 0
        for fulfillment_order_id in silent:
            done += await queue_silent(means, fulfillment_order_id)
        return done


async def cascade(means: Means, rejection: Rejection) -> int:
    """Take away from a node what a rejection says it cannot do either; say how much work it was.

    What nobody else can give is queued: the node has said that it is not there.
    """
    async with means.database.connect() as connection:
        if rejection.cascade == "sku":
            ids = await exceptions_records.find_same_work(
                connection, rejection.sku, rejection.node_id, WORKS_MAX
            )
            found = [await records.find(connection, each) for each in ids]
        else:
            found = list(await records.find_of_order(connection, rejection.order_id))
    works = [each for each in found if each is not None and concerns(each, rejection)]
    for work in works:
        units = {
            line.part: line.to_pick
            for line in work.lines
            if line.to_pick and (rejection.cascade == "order" or line.sku == rejection.sku)
        }
        await withdraw(means, work, units, said(units, rejection.reason, ACTOR), is_anything)
    if len(works) < WORKS_MAX:
        async with means.database.transaction() as connection:
            await exceptions_records.end_cascade(
                connection, rejection.order_id, rejection.rejection_id
            )
    return len(works)


def concerns(work: Work, rejection: Rejection) -> bool:
    """Tell whether a rejection's reason concerns some work as well."""
    order = work.order
    if order.node_id != rejection.node_id or order.state not in LIVE_STATES:
        return False
    whole = rejection.cascade == "order"
    return any(line.to_pick and (whole or line.sku == rejection.sku) for line in work.lines)


async def end_outdated(database: Database, exception_id: UUID) -> int:
    """End an exception about work that is over or has been answered."""

    async def work(connection: asyncpg.Connection) -> int:
        row = await exceptions_records.find_exception(connection, exception_id, lock=True)
        if row is None or row.state != "open":
            return 0
        await exceptions.resolve(connection, row, "no longer so", actor=ACTOR)
        return 1

    return await database.run(work)


async def queue_silent(means: Means, fulfillment_order_id: UUID) -> int:
    """Queue work that was not answered; where the settings say so, give it to others at once."""

    async def write(connection: asyncpg.Connection) -> UUID | None:
        work = await lock(connection, fulfillment_order_id)
        if work.order.request_state != "submitted":
            return None
        lines = tuple(unit_of(line, line.to_pick) for line in work.lines if line.to_pick)
        cause = str(fulfillment_order_id)
        given = about(work, lines)
        return await exceptions.open_exception(
            connection, "partner_silent", cause, given, actor=ACTOR
        )

    exception_id = await means.database.run(write)
    if exception_id is None:
        return 0
    if means.settings.resource_silent:
        decision = Decision(action="retry", actor=ACTOR)
        await decide(means, exception_id, decision, means.database.run)
    return 1
