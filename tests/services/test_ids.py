"""Ids that sort by the time they were made."""

import time

from services.ids import new_id


def test_an_id_says_when_it_was_made_and_sorts_by_that() -> None:
    """New rows lie together in their indexes only while later ids sort after earlier ones."""
    before_ms = time.time_ns() // 1_000_000
    early = new_id()
    after_ms = time.time_ns() // 1_000_000
    assert (early.version, early.variant) == (7, "specified in RFC 4122")
    assert before_ms <= early.int >> 80 <= after_ms
    time.sleep(0.002)
    assert str(new_id()) > str(early)


def test_ids_of_one_millisecond_differ() -> None:
    """Orders of one batch are named within microseconds of each other."""
    assert len({new_id() for _ in range(10_000)}) == 10_000
