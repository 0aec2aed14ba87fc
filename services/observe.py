"""What an operator sees: one log line per request and per job, and a metric per question."""

import asyncio
import itertools
import logging
import re
import sys
from bisect import bisect_left
from collections import defaultdict
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import HTTPScope, Message, Receive, Scope, Send
from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

REQUEST_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
UNROUTED = "unrouted"
"""The one label of unrouted paths, or a scanner could fill the metrics with its guesses."""
METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})
QUICK = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Times(Histogram):
    """A histogram that takes many times in one go."""

    def observe_all(self, seconds: list[float]) -> None:
        """Observe times, writing each figure once."""
        counts = [0] * len(self._buckets)
        for each in seconds:
            counts[bisect_left(self._upper_bounds, each)] += 1
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(sum(seconds))


class Tally:
    """Counts and times of one turn of the event loop, written to their metrics at its end.

    Metrics that processes share are files in memory, and a write takes longer than what is counted
    here; the answers of a batch fall into one turn.
    """

    def __init__(self) -> None:
        """Start with nothing to write."""
        self.counts: defaultdict[Counter, int] = defaultdict(int)
        self.times: defaultdict[Times, list[float]] = defaultdict(list)
        self.due = False

    def count(self, counter: Counter) -> None:
        """Count one; `counter` has its labels."""
        self.counts[counter] += 1
        self.schedule()

    def observe(self, times: Times, seconds: float) -> None:
        """Take note of a time; `times` has its labels."""
        self.times[times].append(seconds)
        self.schedule()

    def schedule(self) -> None:
        """Have everything written at the end of this turn."""
        if not self.due:
            self.due = True
            asyncio.get_running_loop().call_soon(self.write)

    def write(self) -> None:
        """Write what was noted."""
        self.due = False
        for counter, count in self.counts.items():
            counter.inc(count)
        for times, seconds in self.times.items():
            times.observe_all(seconds)
        self.counts.clear()
        self.times.clear()


requests_total = Counter("nom_requests", "Answers given", ["method", "path", "status"])
request_seconds = Times("nom_request_seconds", "Arrival to answer", ["path"], buckets=QUICK)
allocations_total = Counter("nom_allocations", "Allocation outcomes", ["outcome"])
solve_seconds = Times("nom_solve_seconds", "One decision", ["status"], buckets=QUICK)
batch_orders = Histogram(
    "nom_batch_orders", "Orders committed together", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
lost_races_total = Counter("nom_lost_races", "Orders solved again after losing stock to others")
bisections_total = Counter("nom_batch_bisections", "Batches split to find an order that fails")
queue_orders = Gauge("nom_queue_orders", "Orders waiting to be solved", multiprocess_mode="livesum")
tally = Tally()


@lru_cache(maxsize=64)
def outcomes(outcome: str) -> Counter:
    """Return the count of allocations with an outcome."""
    return allocations_total.labels(outcome)


@lru_cache(maxsize=64)
def solves(status: str) -> Times:
    """Return the times of decisions with a status."""
    return solve_seconds.labels(status)


def render_metrics(environ: dict[str, str]) -> bytes:
    """Return the metrics in Prometheus' text format, summed over all worker processes."""
    if "PROMETHEUS_MULTIPROC_DIR" not in environ:
        return generate_latest(PROCESS_REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def level_number(level: str) -> int:
    """Return the number that `logging` gives a level's name."""
    return logging.getLevelNamesMapping()[level.upper()]


def configure_logging(level: str) -> None:
    """Write one JSON object a line to standard output; `level` as in logging, lower case."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(serializer=to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level_number(level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )


def to_json(value: object, **_options: object) -> str:
    """Return `value` as JSON; what JSON does not know is written as its text."""
    return msgspec.json.encode(value, enc_hook=str).decode()


class Journal:
    """Writes down how each request was answered: one log line, one count, one time."""

    def __init__(self, level: str) -> None:
        """Write lines where the log `level` lets information through."""
        self.says_requests = level_number(level) <= logging.INFO
        self.encode = msgspec.json.Encoder(enc_hook=str).encode
        self.series: dict[tuple[str, str, int], tuple[Counter, Times]] = {}
        # Random once and counted from there: unique like a random id, and 20 times as cheap.
        self.worker = uuid4().hex[:20].encode()
        self.numbers = itertools.count(1)
        self.unflushed = False

    def request_id(self, given: bytes) -> bytes:
        """Return the id a caller gave its request when it is plain, else a new one."""
        if REQUEST_ID.fullmatch(given):
            return given
        return b"%s%012x" % (self.worker, next(self.numbers))

    def write(
        self, call: tuple[str, str, int], started_s: float, request_id: bytes, facts: dict[str, Any]
    ) -> None:
        """Write the line of a request answered now, and count it.

        `call` is its method, path template and status; `started_s` is by `perf_counter`.
        """
        seconds = perf_counter() - started_s
        series = self.series.get(call)
        if series is None:
            series = self.series[call] = (
                requests_total.labels(*call),
                request_seconds.labels(call[1]),
            )
        tally.count(series[0])
        tally.observe(series[1], seconds)
        if self.says_requests:
            method, path, status = call
            line = {
                "method": method,
                "path": path,
                "status": status,
                "ms": round(seconds * 1000, 2),
                "request_id": request_id.decode(),
                **facts,
                "level": "info",
                "at": datetime.now(UTC),
                "message": "request",
            }
            sys.stdout.buffer.write(self.encode(line) + b"\n")
            if not self.unflushed:
                # The answers of a batch are written in one turn of the loop, and then at once.
                self.unflushed = True
                asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write out the lines of this turn of the event loop."""
        self.unflushed = False
        sys.stdout.buffer.flush()


class Observed:
    """An ASGI layer that gives each request an id, one log line and its metrics."""

    def __init__(self, app: Litestar, journal: Journal) -> None:
        """Wrap `app`."""
        self.app = app
        self.journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and write down how it was answered."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        started_s = perf_counter()
        given: dict[bytes, bytes] = dict(scope["headers"])
        request_id = self.journal.request_id(given.get(b"x-request-id", b""))
        facts: dict[str, Any] = {}
        scope.setdefault("state", {}).update(facts=facts, request_id=request_id)
        status = 500

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        try:
            await self.app(scope, receive, observed_send)
        finally:
            path = str(scope.get("path_template") or UNROUTED)
            self.journal.write((known_method(scope), path, status), started_s, request_id, facts)


def known_method(scope: HTTPScope) -> str:
    """Return the method of a request as metrics name it."""
    return scope["method"] if scope["method"] in METHODS else "other"


def note(scope: Scope, **facts: object) -> None:
    """Add facts, such as ids, to the log line of the request at hand."""
    scope["state"].setdefault("facts", {}).update(facts)
