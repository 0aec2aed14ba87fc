"""Orders over HTTP: repeated until answered, held once, and in the end nothing oversold."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import pytest

from inventory.audit import Difference, Oversold, audit, oversold
from services import keys
from services.database import Database
from services.demo import replay as replaying
from services.demo.client import Connection
from services.demo.compare import Rebuilt, compare, problems
from services.demo.goods import OpeningStock
from services.demo.load import load, read_stock
from services.demo.network import DemoNetwork
from services.demo.orders import DemoOrder, orders
from services.demo.replay import Replay, ReplayError, insist, pause_s, replay
from services.demo.service import Address, own_service
from services.settings import Settings

ORDERS = 30
ZONES = 12
"""Of the 148, so that loading takes seconds."""

Answers = list[tuple[int, bytes]]


@asynccontextmanager
async def answering(answers: Answers, heard: list[str]) -> AsyncIterator[tuple[str, int]]:
    """Serve these answers one after the other, noting each request's key; status 0 hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
            await reader.readexactly(int(fields["Content-Length"]))
            heard.append(fields["Idempotency-Key"])
            status_code, body = answers.pop(0)
            if not status_code:
                break
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status_code, len(body)))
            writer.write(body)
        writer.close()

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2]
        # The caller has hung up; let the other side notice before the loop is left.
        await asyncio.sleep(0.01)


async def insisted(answers: Answers, heard: list[str]) -> replaying.Call:
    async with answering(answers, heard) as address, Connection(*address, "key") as connection:
        return await insist(connection, "/v1/allocations", b"{}", "one")


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once; how long to wait is tested by itself."""
    monkeypatch.setattr(replaying, "PAUSE_S", 0.0)


@pytest.mark.parametrize("failure", [429, 503, 0])
async def test_a_busy_service_is_asked_again_with_the_same_key(failure: int) -> None:
    """Another key would hold the stock twice when the first answer was lost on the way."""
    heard: list[str] = []
    call = await insisted([(failure, b""), (failure, b""), (201, b"yes")], heard)
    assert (call.status_code, call.body, call.attempts) == (201, b"yes", 3)
    assert heard == ["one"] * 3


async def test_an_order_that_is_refused_is_not_asked_again() -> None:
    """409 is an answer: nothing is held, and asking again with the key gives it again."""
    heard: list[str] = []
    assert (await insisted([(409, b"{}")], heard)).status_code == 409
    assert len(heard) == 1


async def test_a_service_that_never_answers_is_given_up() -> None:
    """A replay that waits for ever tells nobody why."""
    with pytest.raises(ReplayError, match="no final answer in 12 attempts; the last: 503"):
        await insisted([(503, b"")] * replaying.ATTEMPTS_MAX, [])


def test_pauses_grow_up_to_a_limit() -> None:
    """Eight callers that come back at once would keep a busy service busy."""
    pauses = [pause_s(attempt) for attempt in range(replaying.ATTEMPTS_MAX)]
    assert pauses == sorted(pauses)
    assert pauses[-1] <= replaying.PAUSE_MAX_S


# --- the whole way, on a part of the network


def part_of(network: DemoNetwork) -> DemoNetwork:
    """Return the network with few zones, and with the items of the first baskets alone."""
    wanted = {line.sku for order in all_orders(network, "any") for line in order.request.lines}
    stock = network.stock
    kept = [index for index, sku in enumerate(stock.skus) if sku in wanted]
    zones = network.zones[:ZONES]
    zone_ids = {zone.zone_id for zone in zones}
    return msgspec.structs.replace(
        network,
        items=[item for item in network.items if item.sku in wanted],
        zones=zones,
        lanes=[lane for lane in network.lanes if lane.zone_id in zone_ids],
        stock=OpeningStock(
            skus=[stock.skus[index] for index in kept],
            node_ids=[stock.node_ids[index] for index in kept],
            quantities=[stock.quantities[index] for index in kept],
        ),
    )


def all_orders(network: DemoNetwork, run: str) -> list[DemoOrder]:
    return list(orders(network, ORDERS, datetime.now(UTC).date(), run=run))


@pytest.fixture(scope="module")
def part(network: DemoNetwork) -> DemoNetwork:
    """Return a part of the network that loads in seconds."""
    return part_of(network)


@pytest.fixture(scope="module")
def service(part: DemoNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Yield a real service, supervisor, workers, database and all, with that part loaded."""
    with own_service(tmp_path_factory.mktemp("demo") / "home") as address:
        assert load_into(address, part)
        yield address


def load_into(address: Address, network: DemoNetwork) -> bool:
    return asyncio.run(load(address.database_url, Settings(), network, lambda *_: None))


def send(address: Address, sent: Sequence[DemoOrder], *, concurrency: int) -> Replay:
    async def work() -> Replay:
        database = Database(address.database_url, Settings(), connections_max=1)
        key = await keys.create(database, "checkout", (), None)
        await database.close()
        # A worker looks for a changed network every second.
        await asyncio.sleep(2)
        where = (address.host, address.port)
        return await replay(where, key, sent, concurrency=concurrency, watch=lambda _: None)

    return asyncio.run(work())


def on_hand(address: Address) -> dict[tuple[str, str], int]:
    async def work() -> dict[tuple[str, str], int]:
        connection = await asyncpg.connect(address.database_url)
        rows = await connection.fetch("SELECT sku, node_id, on_hand - reserved FROM stock")
        await connection.close()
        return {(row[0], row[1]): row[2] for row in rows}

    return asyncio.run(work())


@pytest.mark.slow
def test_a_replay_ends_with_nothing_oversold_and_stock_as_its_answers_say(
    part: DemoNetwork, service: Address
) -> None:
    """Every order is planned, then confirmed or released; three parties agree on what is left.

    Those are the stock records, the audit from movements and reservations, and the demonstration's
    own account of the answers it was given, on which it compares with the greedy rule.
    """
    done = send(service, all_orders(part, "first"), concurrency=4)
    assert [each.order.number for each in done.orders] == list(range(ORDERS))
    assert all(each.answer and each.ended for each in done.orders)
    rebuilt = Rebuilt(part)
    for each in done.orders:
        if each.answer and each.ended == "confirmed":
            rebuilt.hold(each.answer)
    assert on_hand(service) == rebuilt.left()
    assert checks(service) == ([], [])

    found = [compare(each, problem) for each, problem in problems(part, done, {0, 1, 2})]
    assert all(each is not None and each.units == each.greedy_units for each in found)


def checks(address: Address) -> tuple[list[Oversold], list[Difference]]:
    async def work() -> tuple[list[Oversold], list[Difference]]:
        connection = await asyncpg.connect(address.database_url)
        found = (await oversold(connection), await audit(connection))
        await connection.close()
        return found

    return asyncio.run(work())


def test_a_network_that_is_there_is_not_loaded_again(part: DemoNetwork, service: Address) -> None:
    """Loading sets stock to its opening; done twice, it would bring back what was sold."""
    before = on_hand(service)
    assert not load_into(service, part)
    assert on_hand(service) == before


@pytest.mark.slow
def test_the_same_baskets_can_be_replayed_on_what_is_left(
    part: DemoNetwork, service: Address
) -> None:
    """Trying another setting should not cost another loading."""
    left = asyncio.run(read_stock(service.database_url))
    rest = msgspec.structs.replace(part, stock=left)
    done = send(service, all_orders(rest, "second"), concurrency=1)
    rebuilt = Rebuilt(rest)
    for each in done.orders:
        if each.answer and each.ended == "confirmed":
            rebuilt.hold(each.answer)
    stocked = rebuilt.left()
    assert on_hand(service) == stocked
    assert checks(service) == ([], [])


def test_the_service_and_its_database_are_gone_when_the_demonstration_is(tmp_path: Path) -> None:
    """What is left running would hold a port and a folder that nobody knows of."""
    with own_service(tmp_path / "home") as address:
        url = address.database_url
    with pytest.raises((OSError, asyncpg.PostgresError)):
        asyncio.run(asyncpg.connect(url))


@pytest.mark.slow
def test_one_caller_and_the_same_seed_get_the_same_plans_again(
    part: DemoNetwork, tmp_path: Path
) -> None:
    """A report can be made again. Long baskets are left out: they may meet their time limit."""
    short = [each for each in all_orders(part, "same") if len(each.request.lines) <= 6]
    plans = []
    for name in ("one", "other"):
        with own_service(tmp_path / name) as address:
            load_into(address, part)
        # Started anew it knows all that was loaded; before, it may still be catching up.
        with own_service(tmp_path / name) as address:
            done = send(address, short, concurrency=1)
        plans.append([each.answer and each.answer.fulfillments for each in done.orders])
    assert plans[0] == plans[1]
