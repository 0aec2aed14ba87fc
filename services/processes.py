"""Child processes that cannot outlive their parent, and their orderly end."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>: ask for a signal when the parent dies."""


class Account(msgspec.Struct, frozen=True):
    """The operating system's user and group under which a child runs."""

    user_id: int
    group_id: int


def spawn(
    arguments: Sequence[str | Path],
    *,
    death_signal: signal.Signals,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
    log: IO[bytes] | None = None,
    inherit: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child that is sent `death_signal` when this process dies, however it dies.

    The child gets a session of its own: a Ctrl-C in the terminal reaches the parent alone, which
    then ends its children in the right order. `inherit` lists file descriptors the child keeps.
    Call it from the main thread, because Linux counts the end of the starting *thread* as the
    parent's death. Elsewhere than on Linux nothing is sent, and the child looks after its parent
    itself (`end_with_parent`). Standard output and error go to `log`, or where the parent's go.
    """
    return subprocess.Popen(  # noqa: S603 - the arguments are our own
        arguments,
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=inherit,
        start_new_session=True,
        user=None if account is None else account.user_id,
        group=None if account is None else account.group_id,
        extra_groups=None if account is None else [],
        # It runs after the change of user, which would clear the request, and before exec.
        preexec_fn=request_death_signal(death_signal),  # noqa: PLW1509 - one system call, no lock
    )


def request_death_signal(death_signal: signal.Signals) -> Callable[[], None] | None:
    """Return what a child calls before exec to be sent `death_signal` at its parent's death."""
    if sys.platform != "linux":
        return None
    # Looked up here, in the parent: between fork and exec nothing may be loaded.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def request() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the request was made
            os._exit(1)

    return request


def stop(
    children: Sequence[subprocess.Popen[bytes]], first: signal.Signals, patience_s: float
) -> list[int]:
    """Send `first` to every child, wait `patience_s` for all of them together, kill the rest.

    Returns the ids of those that had to be killed. All have ended, and are reaped, on return.
    """
    for child in children:
        if child.poll() is None:
            child.send_signal(first)
    deadline = time.monotonic() + patience_s
    killed = []
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            killed.append(child.pid)
    return killed


def report_ready(descriptor: int) -> None:
    """Tell the parent, through the pipe it left open for that, that this child now works."""
    os.write(descriptor, b".")
    os.close(descriptor)


async def end_with_parent(pause_s: float = 1.0) -> None:
    """Send this process SIGTERM when its parent is gone; for systems without a death signal."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - the system has no event for it
        await asyncio.sleep(pause_s)
    os.kill(os.getpid(), signal.SIGTERM)
