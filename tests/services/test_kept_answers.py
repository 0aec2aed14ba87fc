"""What is kept of answers about availability: never out of date, and never too much."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, product
from time import monotonic
from typing import Any

import msgspec
import pytest

from inventory.buffers import Buffer
from inventory.items import Component, Item
from inventory.node_feeds import NodeFeed
from inventory.supply import Supply, put_supply
from services.database import Database
from services.http.availability import query_of
from services.http.query import availability_request
from services.planning import masterdata
from services.planning.availability import Query
from services.planning.availability_view import Shelf
from services.planning.feed_ages import FeedRule
from services.planning.network import Network
from services.planning.stock_view import STALE_S
from tests.services.place import SUPPLY_ON, stock
from tests.services.test_stock_view import SKUS, furnish_more, told

SET = Item(
    sku="SET",
    weight_grams=1,
    components=(Component(sku="MUG", quantity=2), Component(sku="LAMP", quantity=1)),
)
LIMIT_S = 3_600


def ask(shelf: Shelf, address: bytes) -> dict[str, Any]:
    """Return what the shelf tells to an address, without the time since the last look."""
    told = shelf.again(address)
    if told is None:
        query = query_of(availability_request(address), shelf.network.current)
        told = shelf.first(address, query)
    assert told is not None
    answer: dict[str, Any] = json.loads(told)
    return answer | {"age_ms": 0}


def addresses(chance: random.Random) -> list[bytes]:
    """Return questions about some skus from several places and channels."""
    places = ("", "&country=US&postal_code=10001", "&country=US&postal_code=90001")
    return [
        ("&".join(f"sku={sku}" for sku in skus) + place + f"&channel={channel}").encode()
        for place, channel in product(places, ("web", "till"))
        for skus in (["MUG"], ["RUG"], ["SET"], *(chance.sample(("MUG", "LAMP", "SOFA"), 2),) * 2)
    ]


async def change_rows(shelf: Shelf, database: Database, chance: random.Random) -> None:
    """Change a row that an answer could follow from, so that the view has heard of it."""
    sku = chance.choice(SKUS)
    kind = chance.randrange(6)
    if kind == 0:
        await stock(database, {(sku, f"ST-{chance.randrange(30)}"): chance.randint(0, 9)})
    elif kind == 1:
        rule = Buffer(sku=chance.choice([*SKUS, "*"]), quantity=chance.randint(0, 3))
        await masterdata.put_buffers(database, [rule], [])
    elif kind == 2:
        requires = chance.choice([(), ("fragile",)])
        await masterdata.put_items(database, [Item(sku=sku, weight_grams=1, requires=requires)])
    elif kind == 3:
        expected_on = SUPPLY_ON - timedelta(days=chance.randrange(3))
        supply = Supply(
            sku="RUG", supply_id="PO-3", node_id="ST-2", expected_on=expected_on, quantity=2
        )
        async with database.transaction() as connection:
            await put_supply(connection, [supply])
    elif kind == 4:
        await masterdata.switch_node(database, "ST-7", enabled=chance.random() < 0.5)
        await shelf.network.refresh()
    else:
        await shelf.stock.load()
    await shelf.stock.poll()


def change_memory(shelf: Shelf, numbers: Iterator[int], chance: random.Random) -> None:
    """Change what a worker knows beside rows: plans under way, pools, nodes, feeds, the day."""
    view, number = shelf.stock.view, next(numbers)
    kind = chance.randrange(7)
    if kind == 0:
        view.take([(chance.choice(("MUG", "LAMP")), "WH-EAST", chance.randint(1, 3))])
    elif kind == 1:
        view.apply_pools(["P"], [(chance.choice(("web", "till")), "P")])
    elif kind == 2:
        row = ("LAMP", "WH-EAST", "P", chance.randint(0, 5), 0, 0, number)
        view.apply_quotas([row])
    elif kind == 3:
        view.number(f"new-{number}")
    elif kind == 4:
        seen_at = datetime.now(UTC) - timedelta(hours=chance.choice((0, 9)))
        shelf.stock.feeds.apply([NodeFeed("WH-WEST", "till", seen_at, seen_at)])
    elif kind == 5:
        shelf.network.current = with_rule(shelf.network.current, chance.random() < 0.5)
    else:
        # A cut-off or midnight has passed.
        shelf.prospects.forget()


def with_rule(network: Network, leaves_out: bool) -> Network:
    """Return a network whose every strategy leaves out nodes with an old feed, or none does."""
    book = network.playbook
    rule = FeedRule(age_max_s=LIMIT_S, surcharge_minor=None)
    feeds = {book.default.strategy: rule} if leaves_out else {}
    return msgspec.structs.replace(network, playbook=msgspec.structs.replace(book, feeds=feeds))


@pytest.mark.parametrize("seed", [5, 6])
async def test_what_is_kept_of_answers_is_never_out_of_date(
    shelf: Shelf, database: Database, seed: int
) -> None:
    """A page that shows stock which was sold while it was in a cache sells it twice."""
    chance, numbers = random.Random(seed), count(1)
    await furnish_more(database, chance)
    await masterdata.put_items(database, [SET])
    await shelf.network.refresh()
    await shelf.stock.poll()
    forgetful = Shelf(database, shelf.network, shelf.stock, 0)
    asked = addresses(chance)
    given = renewed = written = 0
    for _ in range(60):
        for address in asked:
            known = shelf.questions.find(address)
            whole = known.whole if known else None
            stamps = whole.stamps if whole else None
            query = query_of(availability_request(address), shelf.network.current)
            anew = await told(forgetful, query) | {"age_ms": 0}
            assert ask(shelf, address) == anew, address
            assert await told(shelf, query) | {"age_ms": 0} == anew, address
            if known is None or known.whole is None or known.whole is not whole:
                written += 1
            elif known.whole.stamps is stamps:
                given += 1
            else:
                renewed += 1
        if chance.random() < 0.5:
            await change_rows(shelf, database, chance)
        else:
            change_memory(shelf, numbers, chance)
    assert min(given, renewed, written) > 20, (given, renewed, written)
    assert not forgetful.parts.young
    assert not forgetful.questions.young


@pytest.mark.parametrize("passed", ["midnight", "a cut-off"])
async def test_an_answer_is_not_given_again_when_dates_have_changed(
    shelf: Shelf, passed: str
) -> None:
    """It names the date that its figures are for, and when the customer would have it."""
    address = b"sku=MUG"
    today = ask(shelf, address)
    ask(shelf, address)
    known = shelf.questions.find(address)
    assert known is not None
    assert known.whole is not None
    known.whole.told.texts[0] = known.whole.told.texts[0].replace(b"MUG", b"OLD")
    assert ask(shelf, address) != today
    if passed == "midnight":
        known.whole.today -= timedelta(days=1)
    else:
        # What to expect of nodes is worked out anew after each.
        shelf.prospects.forget()
    assert ask(shelf, address) == today


async def test_the_age_of_an_answer_is_of_now_and_rounded_up(shelf: Shelf) -> None:
    """What is kept grows old like everything else, and nobody is told that it is younger."""
    ask(shelf, b"sku=MUG")
    ages = []
    for late_s in (0.0, 0.1, 0.5, 1.0):
        shelf.stock.view.seen_at = monotonic() - late_s
        ages.append(json.loads(shelf.again(b"sku=MUG") or b"null")["age_ms"])
    assert [age > 1000 * late_s for age, late_s in zip(ages, (0, 0.1, 0.5, 1), strict=True)] == [
        True
    ] * 4
    shelf.stock.view.seen_at = monotonic() - STALE_S - 1
    assert shelf.again(b"sku=MUG") is None


async def test_only_so_much_is_kept_of_whole_answers(shelf: Shelf) -> None:
    """Callers ask what they like; memory must not follow them, and what is asked often stays."""
    bytes_max = 100_000
    small = Shelf(shelf.database, shelf.network, shelf.stock, bytes_max)
    for number in range(200):
        for _ in range(2):
            ask(small, b"sku=MUG")
            ask(small, f"sku=MUG&channel=channel-{number}".encode())
    held = {**small.questions.old, **small.questions.young}
    assert 2 < len(held) < 200
    assert b"sku=MUG" in held
    wholes = sum(each.whole.bytes for each in held.values() if each.whole)
    assert 0 < wholes + sum(map(len, held)) < bytes_max / 2


async def test_a_network_that_was_replaced_is_let_go(shelf: Shelf) -> None:
    """Otherwise each change of a lane would leave a whole network behind."""
    for _ in range(2):
        ask(shelf, b"sku=MUG")
    shelf.network.current = with_rule(shelf.network.current, leaves_out=False)
    ask(shelf, b"sku=LAMP")
    assert [list(each) for each in (shelf.questions.young, shelf.questions.old)] == [
        [b"sku=LAMP"],
        [],
    ]
    (prospect,) = shelf.prospects.kept.values()
    assert prospect.network is shelf.network.current


async def test_questions_of_few_are_not_remembered(shelf: Shelf) -> None:
    """A matrix is too large to be kept, and coordinates are one caller's own."""
    for more in (b"&matrix=true", b"&columns=true", b"&node_id=WH-EAST"):
        ask(shelf, b"sku=MUG" + more)
    ask(shelf, b"sku=MUG&country=US&postal_code=10001&latitude=40.5&longitude=-74")
    assert not shelf.questions.young


async def test_no_more_is_kept_of_answers_than_is_allowed(shelf: Shelf) -> None:
    """Every channel that callers think of is a scene of its own; memory must not follow them."""
    view, bytes_max = shelf.stock.view, 100_000
    small = Shelf(shelf.database, shelf.network, shelf.stock, bytes_max)
    for number in range(200):
        await small.look(Query(skus=["MUG"], channel=f"channel {number}"))
    held = [*small.parts.old.items(), *small.parts.young.items()]
    assert 2 < len(held) < 200
    texts = sum(len(part[2]) for _, parts in held for part in parts.values())
    assert texts + sum(scene[0].bytes for scene, _ in held) < bytes_max
    assert small.parts.find(held[0][0], ["MUG"], view) != [None]
    assert "MUG" in small.parts.young[held[0][0]]
    assert "MUG" not in small.parts.old.get(held[0][0], {})
