"""A lean HTTP/1.1 client: one connection, one request at a time, nothing it does not need.

The replay shares its machine with the service it measures. General clients spend a millisecond of
CPU on a request, which would come out of the service's share; this one spends a twentieth of it.
"""

import asyncio
from typing import Self

import msgspec

HEAD_BYTES_MAX = 65_536
TIMEOUT_S = 60.0


class Response(msgspec.Struct, frozen=True):
    """An answer: status, headers by lower-case name, body."""

    status_code: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One kept-alive connection to a service on `host` and `port`; use as a context manager."""

    def __init__(self, host: str, port: int, key: str) -> None:
        """Prepare to send every request with the API key `key`."""
        self.host = host
        self.port = port
        self.common = f"Host: {host}:{port}\r\nAuthorization: Bearer {key}\r\n"
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        """Return the connection, which opens with its first request."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Hang up."""
        self.close()

    def close(self) -> None:
        """Hang up; the next request opens anew."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    async def post(self, path: str, body: bytes, idempotency_key: str) -> Response:
        """Send a POST and return its answer.

        Raises `OSError`, `EOFError` or `TimeoutError` when there is none, after hanging up: whether
        the request had its effect is then not known, and the same key may be sent again.
        """
        head = (
            f"POST {path} HTTP/1.1\r\n{self.common}Idempotency-Key: {idempotency_key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return await self.send(head.encode() + body)

    async def get(self, path: str) -> Response:
        """Send a GET and return its answer; raises as `post` does."""
        return await self.send(f"GET {path} HTTP/1.1\r\n{self.common}\r\n".encode())

    async def send(self, request: bytes) -> Response:
        """Send the bytes of a request and return its answer; raises as `post` does."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self.exchange(request)
        except (OSError, EOFError, TimeoutError):
            self.close()
            raise

    async def exchange(self, request: bytes) -> Response:
        """Write a request and read one answer with a content length."""
        if self.reader is None or self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(
                self.host, self.port, limit=HEAD_BYTES_MAX
            )
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in rest if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Response(int(first.split(" ", 2)[1]), headers, body)
