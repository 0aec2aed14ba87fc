"""What can be sold, answered from the view of a worker without asking the database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from time import monotonic

import msgspec

from services.database import Database
from services.planning.availability import Query, availability, verified_date
from services.planning.availability_parts import Parts
from services.planning.availability_question import NO_MATRIX, Buffer, Question, Room
from services.planning.familiar import Familiar, Questions, Told, Whole
from services.planning.network import Network, NetworkCache
from services.planning.playbook import Traits
from services.planning.prospects import Prospect, Prospects
from services.planning.stock_view import StockFollower


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
        self.room = Room()
        self.questions = Questions(kept_bytes_max // 2)

    async def open(self) -> None:
        """Have everything compiled, so that no question waits for the compiler."""
        now, view = datetime.now(UTC), self.stock.view
        query = Query(skus=(), channel="", matrix=True, columns=True)
        prospect = self.prospects.find(self.network.current, None, view.node_ids, now)
        question = Question(query, {}, view, prospect, now)
        question.summaries(self.room)
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

        Raises `date-in-past`, and `invalid-parameter` for a matrix that is too large. The answer to
        a question that is `known` is kept.
        """
        network, view = self.follow(), self.stock.view
        if self.stock.is_stale:
            return None
        if query.node_ids:
            if not all(node_id in network.places for node_id in query.node_ids):
                return None
            for node_id in query.node_ids:
                view.number(node_id)
        now = datetime.now(UTC)
        asked = self.without_stale(query, now)
        prospect = self.prospects.find(network, query.zone, view.node_ids, now)
        if known is not None and asked is query:
            told = self.tell_again(known, prospect, now)
            end = NO_MATRIX
        else:
            told, end = self.tell(asked, prospect, now)
        if told is None:
            return None
        age_ms = ceil(view.seen_age_s(monotonic()) * 1000)
        return b"".join((b'{"age_ms":%d' % age_ms, told.about, b",".join(told.texts), b"]", *end))

    def tell_again(self, known: Familiar, prospect: Prospect, now: datetime) -> Told | None:
        """Do what `tell` does for a question that came before; what has changed is told anew."""
        whole, view, query = known.whole, self.stock.view, known.query
        if whole is not None and whole.is_of(prospect, now.date()):
            places = whole.changed(view)
            if not places:
                return whole.told
            skus = [whole.told.skus[place] for place in places]
            found = self.texts(skus, query, prospect, now)
            if found is not None and found[1]:
                self.questions.grow(whole.renew(places, found[0], view))
                return whole.told
        told, _ = self.tell(query, prospect, now)
        kept = None
        if told is not None and told.lasts:
            kept = Whole(told, prospect, now.date(), view)
        self.questions.keep(known, kept)
        return told

    def follow(self) -> Network:
        """Return the network of now; nothing is kept of one before."""
        network = self.network.current
        if network is not self.shown:
            self.shown = network
            self.prospects.forget()
            self.parts.forget()
            self.questions.forget()
        return network

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

    def tell(
        self, query: Query, prospect: Prospect, now: datetime
    ) -> tuple[Told | None, tuple[Buffer, ...]]:
        """Return what the view has to tell and how the answer ends; nothing for an unknown sku.

        Raises `date-in-past`, and `invalid-parameter` for a matrix that is too large.
        """
        skus = list(dict.fromkeys(query.skus))
        end = NO_MATRIX
        if is_common(query):
            found = self.texts(skus, query, prospect, now)
        else:
            found, question = None, self.question(skus, query, prospect, now)
            if question is not None:
                end = question.end()
                written = question.summaries(self.room)
                found = [written[sku] for sku in skus], False
        if found is None:
            return None, end
        verified_date(query, now)
        about = msgspec.json.encode(
            {
                "channel": query.channel,
                "on": query.on or now.date(),
                "zone_id": query.zone.zone_id if query.zone else None,
            }
        )
        return Told(b"," + about[1:-1] + b',"skus":[', skus, *found), end

    def texts(
        self, skus: Sequence[str], query: Query, prospect: Prospect, now: datetime
    ) -> tuple[list[bytes], bool] | None:
        """Return the text of each sku, and whether others may have the same from now on.

        Only what has changed since it was last asked for is written anew. Nothing for a sku that
        the view does not know.
        """
        view, scene = self.stock.view, (prospect, query.channel)
        kept = self.parts.find(scene, skus, view)
        texts = [text for text in kept if text is not None]
        if len(texts) == len(skus):
            return texts, True
        missing = [sku for sku, text in zip(skus, kept, strict=True) if text is None]
        question = self.question(missing, query, prospect, now)
        if question is None:
            return None
        written = question.summaries(self.room)
        lasting = question.lasting
        self.parts.keep(scene, lasting, written, view)
        texts = [text or written[sku] for sku, text in zip(skus, kept, strict=True)]
        return texts, len(lasting) == len(missing)

    def question(
        self, skus: Sequence[str], query: Query, prospect: Prospect, now: datetime
    ) -> Question | None:
        """Return these skus of a query as arrays; nothing where the view does not know one.

        Raises `date-in-past`.
        """
        view = self.stock.view
        items = {sku: facts for sku in skus if (facts := view.item(sku)) is not None}
        if len(items) < len(skus):
            return None
        verified_date(query, now)
        return Question(query, items, view, prospect, now)


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
