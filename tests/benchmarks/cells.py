"""One cell: one load sent to one system, with what it cost and what it left behind."""

import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec
import psutil

from services.demo.service import HOST
from tests.benchmarks import generator, optimizer
from tests.benchmarks.figures import Answers, answers, arrivals
from tests.benchmarks.generator import READY_CONNECTIONS, Load, Outcome, read_frame, write_frame
from tests.benchmarks.systems import Endpoint, Stand, cpu_seconds

A = TypeVar("A")
T = TypeVar("T")

PROVEN, HELD = b'"status":"optimal"', b'"status":"held"'
WARM_SHARE = 0.1
"""Of a cell's time, at its beginning; what is answered then is not counted."""
SETTLE_S = 0.2
"""Pause before a cell, in which what the one before left to do is done."""
OPEN_CONNECTIONS_MAX = 900
"""More than the service lets orders wait, so that it refuses before the generator runs out; fewer
than the connections it takes."""


class MeasuredError(RuntimeError):
    """What was measured is not what was meant; the message says where and by how much."""


class Sent(msgspec.Struct, frozen=True):
    """What one cell had acknowledged, to be found in the database afterwards."""

    run: str
    orders: int
    units: int


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One load, answered."""

    outcome: Outcome
    answers: Answers
    proven: float
    """Share of the plans that are proven optimal; 1 where there are none."""
    server_us: float
    """CPU time of the system's processes for an answer."""
    postgres_us: float
    generator_us: float
    others_cores: float
    """Cores that processes which are no part of the cell kept busy."""

    def figures(self) -> dict[str, float]:
        """Return the figures that every report has."""
        told = self.answers
        return {
            "per_s": told.per_s,
            "p50_ms": told.p50_ms,
            "p90_ms": told.p90_ms,
            "p99_ms": told.p99_ms,
            "longest_ms": told.longest_ms,
            "late_p99_ms": told.late_p99_ms,
            "proven": self.proven,
            "server_us": self.server_us,
            "postgres_us": self.postgres_us,
            "generator_us": self.generator_us,
            "cpu_us": self.server_us + self.postgres_us + self.generator_us,
            "others_cores": self.others_cores,
            "refused": float(sum(n for status, n in told.statuses.items() if status >= 300)),
        }


class Peer(Generic[A, T]):
    """A module that runs as a process and answers what it is sent; use as a context manager."""

    def __init__(self, module: str, kind: type[T]) -> None:
        """Prepare to start `module`, whose answers are of `kind`."""
        self.module = module
        self.kind = kind

    def __enter__(self) -> Self:
        """Start it."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()

    def ask(self, question: A) -> T:
        """Send a question and return its answer; raises RuntimeError when the process dies."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError(f"{self.module} is not connected")
        write_frame(self.process.stdin, question)
        answer = read_frame(self.process.stdout, self.kind)
        if answer is None:
            raise RuntimeError(f"{self.module} died; what it said stands above")
        return answer


def generator_peer() -> Peer[Load, Outcome]:
    """Return the process of the load generator."""
    return Peer(generator.__name__, Outcome)


def optimizer_peer() -> Peer[optimizer.Ask, optimizer.Told]:
    """Return the process in which the optimizer is measured alone."""
    return Peer(optimizer.__name__, optimizer.Told)


class Bench:
    """What every row needs: the systems, the generator, and how long a cell takes."""

    def __init__(
        self, stand: Stand, sender: Peer[Load, Outcome], *, seconds: float, seed: int
    ) -> None:
        """Measure in cells of `seconds`."""
        self.stand = stand
        self.sender = sender
        self.seconds = seconds
        self.seed = seed
        self.cells = 0
        self.sent: list[Sent] = []

    def closed(
        self,
        system: Endpoint,
        requests: list[bytes],
        connections: int,
        *,
        units: Sequence[int] = (),
        seconds: float | None = None,
        stop: tuple[int, int] = (0, 0),
    ) -> Cell:
        """Keep `connections` busy for the time of a cell, or until `stop`: a status, how often.

        `units` are those of each request, where they are orders whose effect is checked later.
        Raises `MeasuredError` when a request is not answered.
        """
        load = self.load(system, requests, connections, seconds or self.seconds)
        stopped = msgspec.structs.replace(load, stop_status=stop[0], stop_count=stop[1])
        return self.run(system, stopped, units)

    def open(
        self,
        system: Endpoint,
        requests: list[bytes],
        rate: float,
        *,
        units: Sequence[int] = (),
        seconds: float | None = None,
        ready: int = READY_CONNECTIONS,
    ) -> Cell:
        """Send `rate` requests a second, at random instants, for the time of a cell.

        `ready` connections are open beforehand: an overload is to be one of orders, and not one of
        connections that wait to be taken up.
        """
        lasting = seconds or self.seconds
        load = self.load(system, requests, OPEN_CONNECTIONS_MAX, lasting)
        due_s = arrivals(rate, lasting, self.seed + self.cells)
        return self.run(system, msgspec.structs.replace(load, due_s=due_s, ready=ready), units)

    def load(
        self, system: Endpoint, requests: list[bytes], connections: int, seconds: float
    ) -> Load:
        """Return a closed loop of a new run."""
        self.cells += 1
        return Load(
            host=HOST,
            port=system.port,
            requests=requests,
            run=f"{self.cells:08}",
            connections=connections,
            seconds=seconds,
            words=[PROVEN, HELD],
        )

    def run(self, system: Endpoint, load: Load, units: Sequence[int]) -> Cell:
        """Send a load, and note what it cost and what it had acknowledged."""
        time.sleep(SETTLE_S)
        before = self.cpu(system)
        outcome = self.sender.ask(load)
        server_s, postgres_s, all_s = (
            after - early for early, after in zip(before, self.cpu(system), strict=True)
        )
        if outcome.unanswered:
            raise MeasuredError(f"{outcome.unanswered} requests of {load.run} were not answered")
        told = answers(outcome, load.seconds, load.seconds * WARM_SHARE)
        count = max(1, len(outcome.status) // 8)
        orders = told.statuses.get(201, 0)
        if units:
            self.note(load, outcome, units, orders)
        ours_s = server_s + postgres_s + outcome.cpu_s
        return Cell(
            outcome=outcome,
            answers=told,
            proven=outcome.counts[0] / orders if orders else 1.0,
            server_us=server_s / count * 1e6,
            postgres_us=postgres_s / count * 1e6,
            generator_us=outcome.cpu_s / count * 1e6,
            others_cores=max(0.0, all_s - ours_s) / outcome.wall_s,
        )

    def cpu(self, system: Endpoint) -> tuple[float, float, float]:
        """Return the CPU seconds so far of a system, of PostgreSQL, and of the whole machine."""
        machine = psutil.cpu_times()
        return (
            cpu_seconds(system.processes),
            cpu_seconds([self.stand.postgres]),
            machine.user + machine.nice + machine.system,
        )

    def note(self, load: Load, outcome: Outcome, units: Sequence[int], orders: int) -> None:
        """Remember what was acknowledged; raises `MeasuredError` for an order not held in full."""
        if outcome.counts[1] != orders:
            raise MeasuredError(
                f"{orders - outcome.counts[1]} of {orders} orders of run {load.run} are not held "
                "in full, though there is stock for all"
            )
        status = generator.integers(outcome.status)
        numbers = generator.integers(outcome.request)[status == 201]
        held = sum(units[number] for number in numbers.tolist())
        self.sent.append(Sent(load.run, orders, held))
