"""The supervisor's children: their starts, deaths and restarts, and the signals that tell of them."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Self

import msgspec
import structlog
from prometheus_client import multiprocess

from services.processes import spawn

STEADY_S = 30
"""A child that lived this long starts its count of failures anew."""
BACKOFF_S = 0.25
BACKOFF_MAX_S = 10.0
STOPPING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""The signals that ask the service to stop."""

log = structlog.get_logger()


class Role(msgspec.Struct, frozen=True):
    """What a child does: `module` is run with `arguments`, and last the number of its ready pipe."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    inherit: tuple[int, ...] = ()
    """File descriptors that the child keeps."""


class Child:
    """One place in the service, and the process that fills it now."""

    def __init__(self, role: Role, environment: Mapping[str, str]) -> None:
        """Describe the child; `start` makes it."""
        self.role = role
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None
        self.ready_pipe: int | None = None
        self.ready = False
        self.started_s = 0.0
        self.failures = 0
        self.start_s = 0.0
        """When to start it next, on the monotonic clock."""

    def start(self, now_s: float) -> None:
        """Start a process for this place."""
        self.ready_pipe, child_end = os.pipe()
        arguments = [sys.executable, "-m", self.role.module, *self.role.arguments, str(child_end)]
        try:
            # Killed with its parent: what it had not acknowledged, nobody was told.
            self.process = spawn(
                arguments,
                death_signal=signal.SIGKILL,
                environment=self.environment,
                inherit=(*self.role.inherit, child_end),
            )
        finally:
            os.close(child_end)
        self.started_s = now_s

    def look(self, now_s: float) -> None:
        """Note whether the process is ready or dead, and start it again when its time has come."""
        if self.process is None:
            if now_s >= self.start_s:
                self.start(now_s)
        elif self.process.poll() is not None:
            self.bury(self.process, now_s)
        elif self.ready_pipe is not None and select.select([self.ready_pipe], [], [], 0)[0]:
            self.ready = os.read(self.ready_pipe, 1) == b"."
            self.close_pipe()

    def bury(self, process: subprocess.Popen[bytes], now_s: float) -> None:
        """Take note of a death, and decide when to try again."""
        lived_s = now_s - self.started_s
        self.failures = 1 if lived_s >= STEADY_S else self.failures + 1
        pause_s = backoff_s(self.failures)
        self.start_s = now_s + pause_s
        log.error(
            "process died, restarting it",
            process=self.role.name,
            process_id=process.pid,
            exit_code=process.returncode,
            lived_s=round(lived_s, 1),
            failures=self.failures,
            restart_in_s=pause_s,
        )
        self.forget()

    def forget(self) -> None:
        """Give up what belongs to a process that has ended."""
        if self.process is not None:
            folder = self.environment["PROMETHEUS_MULTIPROC_DIR"]
            # Its gauges no longer count; what it counted in counters stays.
            multiprocess.mark_process_dead(self.process.pid, folder)  # type: ignore[no-untyped-call]
        self.process = None
        self.ready = False
        self.close_pipe()

    def close_pipe(self) -> None:
        """Close the pipe on which readiness is reported."""
        if self.ready_pipe is not None:
            os.close(self.ready_pipe)
            self.ready_pipe = None


class Signals:
    """The signals this process received, as data: they interrupt a wait, and nothing else."""

    CAUGHT = (*STOPPING, signal.SIGCHLD)

    def __init__(self) -> None:
        """Prepare to catch signals while the context is entered."""
        self.received: set[int] = set()
        self.reader, self.writer = socket.socketpair()

    def __enter__(self) -> Self:
        self.reader.settimeout(0)
        self.writer.settimeout(0)
        self.before = {number: signal.signal(number, ignore) for number in self.CAUGHT}
        self.wakeup_before = signal.set_wakeup_fd(self.writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self.wakeup_before)
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.reader.close()
        self.writer.close()

    def wait(self, timeout_s: float, also: Sequence[int] = ()) -> None:
        """Wait for a signal, for one of the descriptors `also`, or until the time is over."""
        select.select([self.reader.fileno(), *also], [], [], timeout_s)
        try:
            self.received.update(self.reader.recv(4096))
        except BlockingIOError:
            return


def ignore(_number: int, _frame: object) -> None:
    """Do nothing; the signal's number arrives through the wake-up descriptor."""


def backoff_s(failures: int) -> float:
    """Return how long to wait after so many deaths in a row."""
    return min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** (failures - 1))
