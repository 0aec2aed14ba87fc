"""What the disk needs is measured while something else is."""

import math
from pathlib import Path

from tests.benchmarks.syncs import Syncs


def test_the_slowest_of_a_hundred_is_told_and_then_forgotten(tmp_path: Path) -> None:
    """Each stretch of a long run has figures of its own."""
    syncs = Syncs(tmp_path)
    syncs.taken_ms = [float(number) for number in range(1, 102)]
    assert syncs.p99_ms() == 100
    assert math.isnan(syncs.p99_ms())


def test_a_page_is_synced_until_the_end(tmp_path: Path) -> None:
    """The thread has ended when the block has."""
    with Syncs(tmp_path) as syncs:
        while not syncs.taken_ms:
            syncs.done.wait(0.01)
    assert not syncs.thread.is_alive()
    assert syncs.p99_ms() > 0
    assert syncs.path.stat().st_size == 8192
