"""What can be sold, answered from the view of a worker without asking the database."""

from datetime import UTC, date, datetime
from math import ceil
from time import monotonic
from typing import NamedTuple
from weakref import ref

import msgspec
import numpy as np

from services.database import Database
from services.planning.availability import Query, availability, verified_date
from services.planning.availability_parts import Parts
from services.planning.availability_question import NO_MATRIX, Buffer, Question
from services.planning.familiar import Familiar, Questions, Whole
from services.planning.network import Network, NetworkCache
from services.planning.playbook import Traits
from services.planning.prospects import Prospect, Prospects
from services.planning.stock_view import StockFollower


class Written(NamedTuple):
    """An answer but for how old it is."""

    pieces: tuple[Buffer, ...]
    skus: list[str]
    lasts: bool
    """Whether others may have the same until a stamp changes."""


class Shelf:
    """Answers questions about availability in one worker."""

    def __init__(
        self, database: Database, network: NetworkCache, stock: StockFollower, kept_bytes_max: int
    ) -> None:
        """Answer from `stock` while it is young enough, else from the database.

        About `kept_bytes_max` bytes of what was answered are kept, to be used again: half of them
        for the texts of skus, half for whole answers.
        """
        self.database = database
        self.network = network
        self.stock = stock
        self.shown = network.current
        self.prospects = Prospects()
        self.parts = Parts(kept_bytes_max // 2)
        self.questions = Questions(kept_bytes_max // 2)

    async def open(self) -> None:
        """Have everything compiled, so that no question waits for the compiler."""
        now, view = datetime.now(UTC), self.stock.view
        query = Query(skus=(), channel="", matrix=True, columns=True)
        prospect = self.prospects.find(self.network.current, None, view.node_ids, now)
        question = Question(query, {}, view, prospect, now)
        question.summaries()
        question.end()

    async def look(self, query: Query) -> bytes:
        """Return the `AvailabilityAnswer` to a query as JSON.

        Raises as `availability` does. Rows are read where the view is stale or does not know what
        is asked for: it may have been added a moment ago.
        """
        found = self.at_hand(query)
        if found is not None:
            return found
        query = self.without_stale(query, datetime.now(UTC))
        return msgspec.json.encode(await availability(self.database, self.network.current, query))

    def first(self, address: bytes, query: Query) -> bytes | None:
        """Answer as `at_hand` does, and remember the question by its address for the next time."""
        self.follow()
        if is_common(query):
            self.questions.add(address, Familiar(query))
        return self.at_hand(query)

    def again(self, address: bytes) -> bytes | None:
        """Answer the question of an address as `at_hand` does; nothing where it never came."""
        self.follow()
        known = self.questions.find(address)
        return None if known is None else self.at_hand(known.query, known)

    def at_hand(self, query: Query, known: Familiar | None = None) -> bytes | None:
        """Return the answer to a query from memory; nothing where rows have to be read.

        Raises `date-in-past`, and `invalid-parameter` for a matrix that is too large. The whole
        answer to a question that is `known` is kept.
        """
        network, view = self.follow(), self.stock.view
        node_ids = query.node_ids or ()
        if self.stock.is_stale or not all(node_id in network.places for node_id in node_ids):
            return None
        for node_id in node_ids:
            view.number(node_id)
        now = datetime.now(UTC)
        asked = self.without_stale(query, now)
        if asked is not query:
            known = None
        prospect = self.prospects.find(network, query.zone, view.node_ids, now)
        whole = known.whole if known else None
        if whole is not None and whole.holds(prospect, now.date(), view):
            return b"".join((self.age, whole.rest))
        written = self.from_view(asked, prospect, now)
        if written is None:
            return None
        if known is not None and written.lasts:
            self.keep(known, prospect, now.date(), written)
        return b"".join((self.age, *written.pieces))

    def keep(self, known: Familiar, prospect: Prospect, today: date, written: Written) -> None:
        """Keep what was written for a question a moment ago."""
        view = self.stock.view
        slots = np.array([view.slots[sku] for sku in written.skus], np.int64)
        whole = Whole(
            ref(prospect), today, slots, view.slices.stamps(slots), b"".join(written.pieces)
        )
        self.questions.keep(known, whole)

    def follow(self) -> Network:
        """Return the network of now; nothing is kept of one before."""
        network = self.network.current
        if network is not self.shown:
            self.shown = network
            self.prospects.forget()
            self.parts.forget()
            self.questions.forget()
        return network

    @property
    def age(self) -> bytes:
        """How an answer from the view begins: with the time since the last look, rounded up."""
        return b'{"age_ms":%d' % ceil(self.stock.view.seen_age_s(monotonic()) * 1000)

    def without_stale(self, query: Query, now: datetime) -> Query:
        """Return a query that leaves the nodes out whose feed its strategy finds too old."""
        playbook = self.network.current.playbook
        if not playbook.feeds:
            return query
        zone = query.zone
        traits = Traits(
            channel=query.channel,
            country=zone.country if zone else None,
            zone_id=zone.zone_id if zone else None,
        )
        rule = playbook.feed_rule(traits)
        stale = self.stock.feeds.left_out(rule, now, self.stock.view)
        return msgspec.structs.replace(query, stale=frozenset(stale)) if stale else query

    def from_view(self, query: Query, prospect: Prospect, now: datetime) -> Written | None:
        """Return the answer as the view has it; nothing where it does not know a sku.

        Only what has changed since it was last asked for is written anew. Raises `date-in-past`,
        and `invalid-parameter` for a matrix that is too large.
        """
        view, scene = self.stock.view, (prospect, query.channel)
        skus = list(dict.fromkeys(query.skus))
        common = is_common(query)
        texts = self.parts.find(scene, skus, view) if common else [None] * len(skus)
        missing = [sku for sku, text in zip(skus, texts, strict=True) if text is None]
        items = {sku: facts for sku in missing if (facts := view.item(sku)) is not None}
        if len(items) < len(missing):
            return None
        verified_date(query, now)
        end, written, lasts = NO_MATRIX, {}, common
        if missing:
            question = Question(query, items, view, prospect, now)
            end = question.end()
            written = question.summaries()
            if common:
                lasting = question.lasting
                lasts = len(lasting) == len(missing)
                for sku in lasting:
                    self.parts.keep(scene, sku, written[sku], view)
        listed = b",".join([text or written[sku] for sku, text in zip(skus, texts, strict=True)])
        about = msgspec.json.encode(
            {
                "channel": query.channel,
                "on": query.on or now.date(),
                "zone_id": query.zone.zone_id if query.zone else None,
            }
        )
        pieces = (b",", about[1:-1], b',"skus":[', listed, b"]", *end)
        return Written(pieces, skus, lasts)


def is_common(query: Query) -> bool:
    """Tell whether parts of the answer may be of use to others.

    Not where it is about certain nodes or a place of its own; a matrix is too large to be kept.
    """
    if query.node_ids or query.matrix or query.columns or query.stale:
        return False
    zone = query.zone
    return query.place is None or (
        zone is not None and query.place == (zone.latitude, zone.longitude)
    )
