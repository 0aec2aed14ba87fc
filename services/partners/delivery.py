"""One attempt: a POST to an endpoint, bounded in time and size, to a checked address only."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from time import perf_counter
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from services import __version__
from services.partners import schedule
from services.partners.addresses import Fence, Resolver
from services.settings import Settings

AGENT = f"nom-webhooks/{__version__}"
ANSWER_BYTES_MAX = 1_024
"""How much of an answer is read, and kept when it is not 2xx."""
ANSWER_S = 1.0
"""How long the body of an answer may take after its status: the status alone counts."""
KEEP_ALIVE_S = 15.0
ERROR_LENGTH_MAX = 300


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one attempt."""

    status_code: int | None = None
    error: str | None = None
    """Why it failed, as anybody may read it: nothing in it comes from our own network."""
    detail: str | None = None
    """What exactly went wrong, for those who run the service: it may name internal addresses."""
    answer: str | None = None
    address: str | None = None
    retry_after_s: float | None = None
    elapsed_ms: int = 0


class Line:
    """The connections to one endpoint; enter it, and send with `post`."""

    def __init__(self, url: str, settings: Settings) -> None:
        """Prepare connections to `url`; nothing is looked up yet."""
        self.url = url
        self.settings = settings
        self.fence = Fence(settings.webhook_networks, plain=not url.startswith("https:"))
        connector = aiohttp.TCPConnector(
            resolver=Resolver(self.fence),
            socket_factory=self.fence.open_socket,
            use_dns_cache=False,
            limit=settings.webhook_deliveries_max,
            keepalive_timeout=KEEP_ALIVE_S,
        )
        self.session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=settings.webhook_timeout_ms / 1000),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": AGENT, "Accept-Encoding": "identity"},
            auto_decompress=False,
            # A proxy named by the environment would connect for us, to wherever it likes.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.session.close()

    async def post(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Outcome:
        """Send one message and return what came of it; raises nothing that a receiver can cause."""
        started_s = perf_counter()
        try:
            found = await self.ask(headers, body, now)
        except TimeoutError:
            found = Outcome(error=f"no answer within {self.settings.webhook_timeout_ms} ms")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            found = Outcome(error=plain_reason(error), detail=reason(error))
        elapsed_ms = int((perf_counter() - started_s) * 1000)
        return msgspec.structs.replace(found, elapsed_ms=elapsed_ms)

    async def ask(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Outcome:
        """Send one message and read the beginning of the answer; redirects are not followed."""
        async with self.session.post(
            self.url, data=body, headers=headers, allow_redirects=False
        ) as response:
            # An answer without a body has given its connection back already.
            address = peer_of(response) or self.fence.opened
            text = await beginning(response)
            if not response.content.at_eof():
                # What is longer than anybody reads is not waited for: the connection ends instead.
                response.close()
            good = 200 <= response.status < 300
            return Outcome(
                status_code=response.status,
                error=None if good else f"answered {response.status}",
                answer=None if good else text,
                address=address,
                retry_after_s=schedule.retry_after_s(response.headers, now, self.settings),
            )


async def beginning(response: aiohttp.ClientResponse) -> str:
    """Return how the body of an answer begins, as far as it comes in time."""
    parts: list[bytes] = []
    left = ANSWER_BYTES_MAX
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(ANSWER_S):
            while left > 0 and (part := await response.content.read(left)):
                parts.append(part)
                left -= len(part)
    return b"".join(parts).decode(errors="replace").replace("\0", "")


def peer_of(response: aiohttp.ClientResponse) -> str | None:
    """Return the address that answered."""
    connection = response.connection
    if connection is None or connection.transport is None:
        return None
    peer = connection.transport.get_extra_info("peername")
    return None if peer is None else str(peer[0])


def plain_reason(error: BaseException) -> str:
    """Return why there was no answer in words that are the same wherever an address leads.

    A partner chooses the address. If a name that leads inward were told apart from one that does
    not exist, or a closed port from an open one, its attempts would be a map of our network.
    """
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "no connection could be made: the certificate is not accepted"
    if isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError)):
        return "the connection ended before there was an answer"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer was not HTTP"
    return "no connection could be made"


def reason(error: BaseException) -> str:
    """Return why a connection came to nothing, in a line."""
    text = str(error) or type(error).__name__
    return text.replace("\0", "")[:ERROR_LENGTH_MAX]
