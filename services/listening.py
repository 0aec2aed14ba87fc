"""Connections are taken as they come: all that wait, and not one in each turn of the event loop.

Where several workers listen on one socket, one that holds more of them lets the others go first.

libuv takes one a turn (https://github.com/libuv/libuv/pull/3696). That is kind to a server whose
turns are short; here one turn may decide a batch of orders, and a burst of new connections would
wait for seconds while those that are there are served in milliseconds.
"""

import asyncio
import errno
import select
import socket
from collections.abc import Callable

import structlog

from services.shares import Share

TAKEN_MAX = 64
"""Connections taken in one turn, so that those who are connected are served in between."""
YIELD_S = 0.001
"""How long a worker lets others go first."""
YIELDS_MAX = 20
"""Times in a row after which it takes what still waits: the others are too busy, or dead."""
PAUSE_S = 0.5
"""Time to wait for some of them to be closed when no more files may be open."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = structlog.get_logger()


class Listening:
    """Takes the connections of a socket until it is closed; what uvicorn needs of a server."""

    def __init__(
        self,
        listener: socket.socket,
        backlog: int,
        made_with: Callable[[], asyncio.Protocol],
        share: Share | None = None,
    ) -> None:
        """Begin to listen on a bound socket; a connection's protocol is made with `made_with`.

        Called from a running event loop. The system keeps `backlog` connections waiting. `share`
        tells which of several workers on the socket goes first.
        """
        self.loop = asyncio.get_running_loop()
        self.listener = listener
        self.made_with = made_with
        self.share = share
        self.yields = 0
        """Times in a row that others were let go first."""
        self.begun: set[asyncio.Task[object]] = set()
        self.pause: asyncio.TimerHandle | None = None
        listener.settimeout(0)
        listener.listen(backlog)
        self.waiting = select.poll()
        self.waiting.register(listener, select.POLLIN)
        if share is not None:
            share.ahead()
        self.loop.add_reader(listener, self.take)

    def take(self) -> None:
        """Take what waits, or let others go first."""
        for _ in range(TAKEN_MAX):
            if self.gives_way():
                return
            try:
                connection, _ = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                self.yields = 0
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                self.rest(error)
                return
            self.begin(connection)

    def gives_way(self) -> bool:
        """Take nothing for a moment if the next connection is another worker's; tell whether so."""
        if self.share is None or not self.share.ahead(len(self.begun)):
            self.yields = 0
            return False
        if self.yields >= YIELDS_MAX:
            return False
        self.loop.remove_reader(self.listener)
        self.pause = self.loop.call_later(YIELD_S, self.again)
        return True

    def again(self) -> None:
        """Take what others have left, if anything."""
        self.yields = self.yields + 1 if self.waiting.poll(0) else 0
        self.loop.add_reader(self.listener, self.take)

    def begin(self, connection: socket.socket) -> None:
        """Give a connection its protocol."""
        connection.settimeout(0)
        task = self.loop.create_task(self.loop.connect_accepted_socket(self.made_with, connection))
        self.begun.add(task)
        task.add_done_callback(self.begun.discard)

    def rest(self, error: OSError) -> None:
        """Take nothing for a while: what waits would be reported in every turn."""
        log.warning(
            "no connection can be taken; raise the limit of open files, or lower NOM_CONNECTIONS_MAX",
            error=str(error),
            pause_s=PAUSE_S,
        )
        self.loop.remove_reader(self.listener)
        self.pause = self.loop.call_later(PAUSE_S, self.loop.add_reader, self.listener, self.take)

    def close(self) -> None:
        """Take no more; connections that were taken stay."""
        if self.pause is not None:
            self.pause.cancel()
        if self.share is not None:
            self.share.leave()
        self.loop.remove_reader(self.listener)
        self.listener.close()

    async def wait_closed(self) -> None:
        """Return when every connection that was taken has its protocol."""
        await asyncio.gather(*self.begun, return_exceptions=True)
