"""What is written down of a request, and what not."""

import asyncio
from time import perf_counter

import pytest

from services.observe import Journal


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
