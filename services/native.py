"""The optimizer's machine code, compiled while the database starts.

It takes about a minute, once for a user and version; after that, processes load it in a second.
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from services.processes import spawn

MODULE = "routing.warm"
"""What compiles everything when it is run; not imported here, since the supervisor plans nothing."""
PATIENCE_S = 5.0
"""How long nothing is said about a wait."""

log = structlog.get_logger()


@contextmanager
def compiling() -> Iterator[Callable[[], None]]:
    """Compile in a process of its own while the block runs; yield what waits for its end.

    The process ends with the block in any case. Call it from the main thread, as `spawn` asks.
    """
    process = spawn([sys.executable, "-m", MODULE], death_signal=signal.SIGKILL)
    try:
        yield lambda: wait(process)
    finally:
        process.kill()
        process.wait()


def wait(process: "subprocess.Popen[bytes]") -> None:
    """Wait until everything is compiled; where that fails, the workers will try it themselves."""
    try:
        code = process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        log.info("compiling the optimizer for this machine, once; this takes about a minute")
        code = process.wait()
    if code:
        log.warning("the optimizer could not be compiled ahead; see above", exit_code=code)
