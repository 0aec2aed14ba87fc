"""A partner's side: a real HTTP server on the loopback that verifies what it is sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

Answer = Callable[[web.Request, "Seen"], Awaitable[web.StreamResponse]]


class Seen(msgspec.Struct, frozen=True):
    """One request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """What the body says."""
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded

    @property
    def data(self) -> dict[str, Any]:
        """The data of the message."""
        found: dict[str, Any] = self.message["data"]
        return found

    @property
    def message_id(self) -> str:
        """Under which the receiver knows it, however often it comes."""
        return self.headers["webhook-id"]

    def is_signed_with(self, secret: str) -> bool:
        """Tell whether a secret verifies it, by the standard's own library."""
        try:
            Webhook(secret).verify(self.body, self.headers)
        except WebhookVerificationError:
            return False
        return True


async def agree(_request: web.Request, _seen: Seen) -> web.Response:
    """Answer as a receiver should: nothing but that it came."""
    return web.Response(status=204)


def say(status: int, headers: Mapping[str, str] | None = None, body: str = "") -> Answer:
    """Return what always gives the same answer."""

    async def answer(_request: web.Request, _seen: Seen) -> web.Response:
        return web.Response(status=status, headers=headers, text=body)

    return answer


class Receiver:
    """A server whose answers can be changed while it runs, and which remembers what came."""

    def __init__(self) -> None:
        """Agree to everything."""
        self.seen: list[Seen] = []
        self.answer: Answer = agree
        self.port = 0
        self.news = asyncio.Condition()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hooks"

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Remember a request and answer it."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Seen(request.path, headers, await request.read())
        self.seen.append(seen)
        async with self.news:
            self.news.notify_all()
        return await self.answer(request, seen)

    async def until(self, condition: Callable[[], bool], patience_s: float = 30) -> None:
        """Wait until what has come in is as it should be."""
        async with asyncio.timeout(patience_s), self.news:
            await self.news.wait_for(condition)

    async def until_seen(self, count: int) -> list[Seen]:
        """Wait until so many requests have come in, and return them."""
        await self.until(lambda: len(self.seen) >= count)
        return self.seen


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[Receiver]:
    """Yield a receiver on a free port of the loopback, or on the one that is named."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
