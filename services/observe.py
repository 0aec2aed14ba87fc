"""What an operator sees: one log line per request and per job, and a metric per question."""

import asyncio
import itertools
import logging
import re
import sys
from datetime import UTC, datetime
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

requests_total = Counter("nom_requests", "Answers given", ["method", "path", "status"])
request_seconds = Histogram("nom_request_seconds", "Arrival to answer", ["path"], buckets=QUICK)
allocations_total = Counter("nom_allocations", "Allocation outcomes", ["outcome"])
solve_seconds = Histogram("nom_solve_seconds", "One decision", ["status"], buckets=QUICK)
batch_orders = Histogram(
    "nom_batch_orders", "Orders committed together", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
lost_races_total = Counter("nom_lost_races", "Orders solved again after losing stock to others")
bisections_total = Counter("nom_batch_bisections", "Batches split to find an order that fails")
queue_orders = Gauge("nom_queue_orders", "Orders waiting to be solved", multiprocess_mode="livesum")


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
        self.series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
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
        series[0].inc()
        series[1].observe(seconds)
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
