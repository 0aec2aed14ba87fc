"""The load generator: one process, one thread, sockets and a selector, so that it costs little.

Requests are bytes made before the run, in which only a token is fresh; answers are counted, timed
and searched for a few words, not decoded. Closed loop: each connection sends its next request when
it has the answer to its last. Open loop: requests are due at instants fixed beforehand, whether or
not earlier ones are answered, and latency counts from the instant a request was due, so that a
stall is charged to every request that it delayed.

Run as a module it reads `Load`s from standard input and writes `Outcome`s to standard output.
"""

import select
import selectors
import socket
import struct
import sys
from array import array
from collections import deque
from collections.abc import Sequence
from time import perf_counter, process_time, sleep
from typing import IO, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

MARK = b"@" * 16
"""Stands in a request for its token: eight characters of the run, eight of the request."""
RECEIVE_BYTES = 262_144
IDLE_S = 0.25
READY_CONNECTIONS = 64
READY_S = 0.2
"""Pause after the first connections are open, in which the other side takes them up."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and how."""

    host: str
    port: int
    requests: list[bytes]
    """Whole requests, with `MARK` where their token goes; sent in turn, over and over."""
    run: str
    """Eight characters that no other load has."""
    connections: int
    """In a closed loop, all of them all the time; in an open one, at most."""
    ready: int = READY_CONNECTIONS
    """Connections an open loop opens before it starts; more follow as they are needed."""
    seconds: float
    due_s: list[float] | None = None
    """Instants of an open loop, from its start, ascending; a closed loop has none."""
    words: list[bytes] = []
    """Answers below 300 that contain them are counted, for each word."""
    kept: int = 0
    """Bodies of answers below 300 to give back, the first ones."""
    stop_status: int = 0
    stop_count: int = 0
    """End early after so many answers of this status."""
    patience_s: float = 30.0
    """How long to wait for the last answers."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came back, in the order of the answers; times are seconds of the monotonic clock."""

    begun_s: float
    due_s: bytes
    """float64: when the request was sent, or was to be sent in an open loop."""
    late_s: bytes
    """float64: how much later than that it was sent."""
    answered_s: bytes
    """float64"""
    status: bytes
    """int64"""
    request: bytes
    """int64: the number of the request in the load."""
    counts: list[int]
    """Answers below 300 with each word."""
    kept: list[bytes]
    unanswered: int
    """Requests whose connection broke or whose answer never came."""
    received_bytes: int
    cpu_s: float
    wall_s: float


def floats(packed: bytes) -> NDArray[np.float64]:
    """Return packed float64 values as an array."""
    return np.frombuffer(packed, dtype=np.float64)


def integers(packed: bytes) -> NDArray[np.int64]:
    """Return packed int64 values as an array."""
    return np.frombuffer(packed, dtype=np.int64)


class Caller:
    """One connection, with at most one request under way."""

    __slots__ = ("due_s", "held", "late_s", "needed", "parts", "request", "socket")

    def __init__(self, host: str, port: int) -> None:
        """Connect."""
        self.socket = socket.create_connection((host, port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.parts: list[bytes] = []
        """What came of an answer that is not complete."""
        self.held = 0
        """Bytes of it."""
        self.needed = 0
        self.due_s = self.late_s = 0.0
        self.request = 0


class Drive:
    """One load while it is being sent."""

    def __init__(self, load: Load) -> None:
        """Prepare; nothing is connected yet."""
        self.load = load
        self.parts = [request.split(MARK) for request in load.requests]
        self.run_token = load.run.encode()
        self.selector = selectors.DefaultSelector()
        self.callers: list[Caller] = []
        self.idle: list[Caller] = []
        self.backlog: deque[float] = deque()
        self.sent = self.under_way = self.unanswered = self.received_bytes = self.stops = 0
        self.due_s, self.late_s, self.answered_s = array("d"), array("d"), array("d")
        self.status, self.request = array("q"), array("q")
        self.counts = [0] * len(load.words)
        self.kept: list[bytes] = []
        self.begun_s = self.end_s = 0.0

    def run(self) -> Outcome:
        """Send the load, wait for the last answers, hang up, and return what came back."""
        opened = self.load.connections
        if self.load.due_s is not None:
            opened = min(opened, self.load.ready)
        for _ in range(opened):
            self.idle.append(self.connect())
        sleep(READY_S)
        cpu_s = process_time()
        self.begun_s = perf_counter()
        self.end_s = self.begun_s + self.load.seconds
        try:
            if self.load.due_s is None:
                self.keep_busy()
            else:
                self.keep_time(self.load.due_s)
        finally:
            for caller in self.callers:
                caller.socket.close()
            self.selector.close()
        return self.outcome(process_time() - cpu_s)

    def connect(self) -> Caller:
        """Open one more connection."""
        caller = Caller(self.load.host, self.load.port)
        self.selector.register(caller.socket, selectors.EVENT_READ, caller)
        self.callers.append(caller)
        return caller

    def keep_busy(self) -> None:
        """Run the closed loop: an answer makes room for the next request."""
        while self.idle:
            self.send(self.idle.pop(), perf_counter(), 0.0)
        while self.under_way and perf_counter() < self.end_s + self.load.patience_s:
            for key, _ in self.selector.select(IDLE_S):
                caller: Caller = key.data
                if self.receive(caller):
                    now_s = perf_counter()
                    if now_s < self.end_s and not self.stopped():
                        self.send(caller, now_s, 0.0)

    def keep_time(self, due_s: Sequence[float]) -> None:
        """Run the open loop: requests go out when they are due, or as soon after as they can."""
        instants = deque(self.begun_s + offset for offset in due_s)
        last_s = (instants[-1] if instants else self.begun_s) + self.load.patience_s
        while instants or self.backlog or self.under_way:
            now_s = perf_counter()
            if now_s > last_s:
                break
            while instants and instants[0] <= now_s:
                self.dispatch(instants.popleft())
            pause_s = max(0.0, instants[0] - perf_counter()) if instants else IDLE_S
            for caller in self.wait(pause_s):
                if self.receive(caller):
                    if self.backlog:
                        due = self.backlog.popleft()
                        self.send(caller, due, perf_counter() - due)
                    else:
                        self.idle.append(caller)
        self.unanswered += len(self.backlog) + len(instants)

    def dispatch(self, due_s: float) -> None:
        """Send a request that is due, on a new connection where none is free and one is allowed."""
        if not self.idle:
            if len(self.callers) >= self.load.connections:
                self.backlog.append(due_s)
                return
            self.idle.append(self.connect())
        self.send(self.idle.pop(), due_s, perf_counter() - due_s)

    def wait(self, pause_s: float) -> list[Caller]:
        """Return the connections that have something to read, after at most `pause_s`.

        A selector rounds its pause up to whole milliseconds, which would make requests late; plain
        `select` does not, and can watch the selector itself.
        """
        ready = self.selector.select(0)
        if not ready and pause_s > 0:
            select.select([self.selector.fileno()], [], [], pause_s)
            ready = self.selector.select(0)
        return [key.data for key, _ in ready]

    def stopped(self) -> bool:
        """Tell whether the load has come to its early end."""
        return 0 < self.load.stop_count <= self.stops

    def send(self, caller: Caller, due_s: float, late_s: float) -> None:
        """Send the next request."""
        number = self.sent % len(self.parts)
        token = self.run_token + b"%08x" % self.sent
        self.sent += 1
        caller.request, caller.due_s, caller.late_s = number, due_s, late_s
        self.under_way += 1
        request = token.join(self.parts[number])
        # What does not fit the socket's buffer at once would need a second watch; nothing sent here
        # is nearly as large.
        if caller.socket.send(request) != len(request):
            raise RuntimeError(f"a request of {len(request)} bytes was sent in part only")

    def receive(self, caller: Caller) -> bool:
        """Read what came; true when an answer is complete and the connection is free again."""
        try:
            data = caller.socket.recv(RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            self.lose(caller)
            return False
        caller.parts.append(data)
        caller.held += len(data)
        if not caller.needed:
            caller.needed = length_of(b"".join(caller.parts))
        if not caller.needed or caller.held < caller.needed:
            return False
        self.take(caller, b"".join(caller.parts))
        caller.parts, caller.held, caller.needed = [], 0, 0
        return True

    def take(self, caller: Caller, answer: bytes) -> None:
        """Write an answer down."""
        self.answered_s.append(perf_counter())
        self.due_s.append(caller.due_s)
        self.late_s.append(caller.late_s)
        self.request.append(caller.request)
        status = int(answer[9:12])
        self.status.append(status)
        self.under_way -= 1
        self.received_bytes += len(answer)
        if status == self.load.stop_status:
            self.stops += 1
        if status < 300:
            for number, word in enumerate(self.load.words):
                if word in answer:
                    self.counts[number] += 1
            if len(self.kept) < self.load.kept:
                self.kept.append(answer.partition(b"\r\n\r\n")[2])

    def lose(self, caller: Caller) -> None:
        """Count a request whose connection broke, and connect anew."""
        self.selector.unregister(caller.socket)
        caller.socket.close()
        self.callers.remove(caller)
        if caller in self.idle:
            self.idle.remove(caller)
        else:
            self.under_way -= 1
            self.unanswered += 1

    def outcome(self, cpu_s: float) -> Outcome:
        """Return what came back."""
        return Outcome(
            begun_s=self.begun_s,
            due_s=self.due_s.tobytes(),
            late_s=self.late_s.tobytes(),
            answered_s=self.answered_s.tobytes(),
            status=self.status.tobytes(),
            request=self.request.tobytes(),
            counts=self.counts,
            kept=self.kept,
            unanswered=self.unanswered + self.under_way,
            received_bytes=self.received_bytes,
            cpu_s=cpu_s,
            wall_s=perf_counter() - self.begun_s,
        )


def length_of(answer: bytes) -> int:
    """Return the length in bytes of the answer that begins here, 0 while its head is incomplete.

    Raises RuntimeError for an answer without a content length.
    """
    head_end = answer.find(b"\r\n\r\n")
    if head_end < 0:
        return 0
    head = answer[:head_end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        raise RuntimeError(f"an answer has no content length: {head!r}")
    line_end = head.find(b"\r\n", at + 2)
    value = head[at + 17 : line_end if line_end > 0 else len(head)]
    return head_end + 4 + int(value)


def write_frame(stream: IO[bytes], value: object) -> None:
    """Write a value with its length before it."""
    encoded = msgspec.msgpack.encode(value)
    stream.write(struct.pack("!Q", len(encoded)))
    stream.write(encoded)
    stream.flush()


def read_frame(stream: IO[bytes], kind: type[T]) -> T | None:
    """Read a value that `write_frame` wrote; None at the end of the stream."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    return msgspec.msgpack.decode(stream.read(struct.unpack("!Q", head)[0]), type=kind)


def main() -> None:
    """Send one load after another until standard input ends."""
    while (load := read_frame(sys.stdin.buffer, Load)) is not None:
        write_frame(sys.stdout.buffer, Drive(load).run())


if __name__ == "__main__":
    main()
