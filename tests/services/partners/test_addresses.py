"""Nobody can make the sender call into the network it stands in, or keep it busy for ever."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest
from aiohttp import web

from services.partners import schedule
from services.partners.addresses import AddressRefusedError, Fence
from services.partners.delivery import Line, Outcome
from services.settings import Settings, SettingsError
from tests.services.partners.receiver import Seen, listening, say

INTERNAL = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",  # noqa: S104 - an address to refuse, not to bind
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "100::1",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "::ffff:8.8.8.8", "2606:4700:4700::1111"]


@pytest.mark.parametrize("address", INTERNAL)
def test_an_internal_address_is_refused_however_it_is_written(address: str) -> None:
    """Every range that leads inward, also in the notations that carry one address in another."""
    with pytest.raises(AddressRefusedError):
        Fence((), plain=False).verify(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_sent_to_with_tls_alone(address: str) -> None:
    """Whoever listens in must not read the customer's address."""
    Fence((), plain=False).verify(address)
    with pytest.raises(AddressRefusedError, match="https alone"):
        Fence((), plain=True).verify(address)


def test_a_network_that_is_allowed_on_purpose_may_be_sent_to_and_no_other() -> None:
    """A warehouse system in the same data center is a partner too."""
    fence = Fence((ip_network("10.1.0.0/16"),), plain=True)
    fence.verify("10.1.2.3")
    fence.verify("::ffff:10.1.2.3")
    for address in ("10.2.0.1", "127.0.0.1"):
        with pytest.raises(AddressRefusedError):
            fence.verify(address)


def test_a_network_that_is_none_is_named_when_the_service_starts() -> None:
    """A typing error must not open or close the wrong network silently."""
    with pytest.raises(SettingsError, match="NOM_WEBHOOK_ALLOW"):
        Settings.from_environment({"NOM_WEBHOOK_ALLOW": "10.1.0.0/33"})


async def attempt(settings: Settings, url: str, **changes: object) -> Outcome:
    """Send one message."""
    given: dict[str, Any] = {"webhook_timeout_ms": 3_000, "webhook_allow": "", **changes}
    async with Line(url, msgspec.structs.replace(settings, **given)) as line:
        return await line.post({}, b"{}", schedule.utc_now())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "localhost",
    ],
)
async def test_no_notation_of_the_loopback_is_connected_to(settings: Settings, host: str) -> None:
    """The check is of the address that is connected to, and not of how it was written."""
    async with listening() as receiver:
        outcome = await attempt(settings, f"http://{host}:{receiver.port}/")
        assert outcome.status_code is None
        assert outcome.error is not None
        reached = await attempt(
            settings, f"http://127.0.0.1:{receiver.port}/", webhook_allow="127.0.0.0/8"
        )
    assert reached.status_code == 204
    assert reached.address == "127.0.0.1"
    assert len(receiver.seen) == 1


class Names:
    """The system's look-up of names, with answers of our own; it counts who asks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        """Give these answers one after the other, the last one from then on."""
        self.asked = 0
        self.answers = answers
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.look_up)

    async def look_up(self, *place: object, **_: object) -> list[tuple[Any, ...]]:
        """Answer as `getaddrinfo` does."""
        given = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, place[1]))
            for address in given
        ]


async def test_a_name_is_looked_up_once_and_connected_to_at_the_address_that_was_checked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner could answer differently the second time, when nobody checks any more."""
    async with listening() as receiver:
        names = Names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        outcome = await attempt(
            settings, f"http://partner.example:{receiver.port}/", webhook_allow="127.0.0.1/32"
        )
    assert outcome.status_code == 204
    assert outcome.address == "127.0.0.1"
    assert names.asked == 1
    assert receiver.seen[0].headers["host"] == f"partner.example:{receiver.port}"


async def test_a_name_with_one_internal_address_is_refused_whole(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of its addresses is tried first is not in our hands."""
    Names(monkeypatch, ["8.8.8.8", "169.254.169.254"])
    outcome = await attempt(settings, "https://partner.example/")
    assert outcome.detail is not None
    assert "169.254.169.254 is an internal address" in outcome.detail


async def test_a_partner_cannot_tell_what_an_address_that_is_not_reached_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other words for each, attempts at guessed names would be a map of our network."""
    async with listening() as receiver:
        closed = f"http://127.0.0.1:{receiver.port}/"
    found = [await attempt(settings, closed, webhook_allow="127.0.0.0/8")]
    found.append(await attempt(settings, "http://nowhere.invalid/"))
    Names(monkeypatch, ["10.0.0.7"])
    found.append(await attempt(settings, "https://warehouse.partner.example/"))
    assert {outcome.error for outcome in found} == {"no connection could be made"}
    assert len({outcome.detail for outcome in found}) == 3


async def test_a_redirect_is_a_failure_and_is_never_followed(settings: Settings) -> None:
    """The second address was checked by nobody."""
    async with listening() as inside, listening() as receiver:
        for status in (301, 302, 303, 307, 308):
            receiver.answer = say(status, {"Location": inside.url})
            outcome = await attempt(settings, receiver.url, webhook_allow="127.0.0.0/8")
            assert schedule.meaning(outcome.status_code) == "failed"
    assert inside.seen == []
    assert len(receiver.seen) == 5


async def test_an_answer_of_any_size_is_read_to_a_limit(settings: Settings) -> None:
    """Ten gigabytes of answer must not be kept in memory, nor waited for."""
    written = 0

    async def flood(request: web.Request, _seen: Seen) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(b"x" * 100_000)
            written += 100_000
        return response

    async with listening() as receiver:
        receiver.answer = flood
        outcome = await attempt(settings, receiver.url, webhook_allow="127.0.0.0/8")
    assert outcome.status_code == 500
    assert outcome.answer == "x" * 1_024
    assert written < 100_000_000


@asynccontextmanager
async def dripping(head: bytes) -> AsyncIterator[int]:
    """Yield the port of a server that sends `head` at once and then a byte now and then."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            while not writer.is_closing():
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.05)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_an_answer_whose_head_never_ends_is_given_up(settings: Settings) -> None:
    """A byte now and then keeps every timeout between bytes from ever passing."""
    async with dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ") as port:
        outcome = await attempt(
            settings,
            f"http://127.0.0.1:{port}/",
            webhook_allow="127.0.0.0/8",
            webhook_timeout_ms=300,
        )
    assert outcome.status_code is None
    assert outcome.error == "no answer within 300 ms"


async def test_the_status_counts_even_when_the_body_never_ends(settings: Settings) -> None:
    """It was received; sending it again because the thanks are long would be wrong."""
    async with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n") as port:
        outcome = await attempt(settings, f"http://127.0.0.1:{port}/", webhook_allow="127.0.0.0/8")
    assert outcome.status_code == 200


async def test_a_receiver_that_breaks_off_is_a_failure_like_any_other(settings: Settings) -> None:
    """Whatever a receiver does, the sender has an outcome to write down."""

    async def hang_up(request: web.Request, _seen: Seen) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.close()
        return web.Response()

    async with listening() as receiver:
        receiver.answer = hang_up
        outcome = await attempt(settings, receiver.url, webhook_allow="127.0.0.0/8")
        port = receiver.port
    assert outcome.status_code is None
    assert outcome.error == "the connection ended before there was an answer"
    refused = await attempt(settings, f"http://127.0.0.1:{port}/", webhook_allow="127.0.0.0/8")
    assert refused.error is not None
