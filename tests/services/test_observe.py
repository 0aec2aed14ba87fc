"""What is written down of a request, and what not."""

import asyncio
from time import perf_counter

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from services.observe import Journal, Tally, Times


@pytest.mark.parametrize(("level", "lines"), [("info", 1), ("debug", 1), ("warning", 0)])
async def test_a_request_has_a_line_where_the_log_tells_so_much(
    capfd: pytest.CaptureFixture[str], level: str, lines: int
) -> None:
    """Who wants warnings alone must not find them among a million requests."""
    journal = Journal(level)
    request_id = journal.request_id(b"")
    journal.write(("GET", "/v1/nothing", 404), perf_counter(), request_id, {"role": "store"})
    await asyncio.sleep(0)
    assert capfd.readouterr().out.count(request_id.decode()) == lines


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 65, b"a\nb", b"\xff", b'"}'])
def test_a_request_id_that_could_spoil_the_log_is_replaced(given: bytes) -> None:
    """It is a stranger's text, and stands in every line about the request."""
    journal = Journal("info")
    made = [journal.request_id(given) for _ in range(3)]
    assert given not in made
    assert len(set(made)) == 3
    assert journal.request_id(b"checkout-7:a.b_c") == b"checkout-7:a.b_c"


async def test_what_is_counted_in_a_turn_is_written_at_its_end() -> None:
    """Sums, counts and buckets must be those of times observed one by one."""
    registry = CollectorRegistry()
    times = Times("seconds", "Times", ["path"], buckets=(0.1, 1), registry=registry)
    counts = Counter("answers", "Answers", ["path"], registry=registry)
    expected = CollectorRegistry()
    one_by_one = Histogram("seconds", "Times", ["path"], buckets=(0.1, 1), registry=expected)
    tally = Tally()
    for seconds in (0.05, 0.1, 0.5, 3.0):
        tally.observe(times.labels("/"), seconds)
        tally.count(counts.labels("/"))
        one_by_one.labels("/").observe(seconds)
    assert registry.get_sample_value("answers_total", {"path": "/"}) == 0
    await asyncio.sleep(0)
    assert registry.get_sample_value("answers_total", {"path": "/"}) == 4
    for line in generate_latest(expected).decode().splitlines():
        if line.startswith(("seconds_bucket", "seconds_sum", "seconds_count")):
            assert line in generate_latest(registry).decode()
