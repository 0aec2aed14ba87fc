"""How long the disk takes to make a small write durable, while something else is measured.

Every acknowledgement waits for one such write, so where the slowest get slower it tells whether
that is the disk's doing.
"""

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

WRITTEN = bytes(8192)
PAUSE_S = 0.05


class Syncs:
    """Writes and syncs a page again and again in a thread; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Write in `folder`, which is to be on the disk in question."""
        self.path = folder / "syncs"
        self.taken_ms: list[float] = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.repeat, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self.thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End."""
        self.done.set()
        self.thread.join()

    def repeat(self) -> None:
        """Sync the same page until the end."""
        with self.path.open("wb", buffering=0) as file:
            while not self.done.wait(PAUSE_S):
                file.seek(0)
                file.write(WRITTEN)
                started_s = time.perf_counter()
                os.fdatasync(file.fileno())
                self.taken_ms.append((time.perf_counter() - started_s) * 1_000)

    def p99_ms(self) -> float:
        """Return the 99th percentile since this was last asked; NaN where nothing was synced."""
        taken_ms, self.taken_ms = self.taken_ms, []
        return float(np.percentile(taken_ms, 99)) if taken_ms else float("nan")
