import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import pytest

from tests.benchmarks.generator import (
    MARK,
    Drive,
    Load,
    floats,
    integers,
    length_of,
    read_frame,
    write_frame,
)

REQUEST = b"POST / HTTP/1.1\r\nX-Token: " + MARK + b"\r\nContent-Length: 16\r\n\r\n" + MARK
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello"
REFUSAL = b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def peer(answers: list[bytes], seen: list[bytes]) -> Iterator[int]:
    """Yield the port of a server that gives these answers in turn; the last one over and over.

    An answer that is empty hangs up.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection:
            while request := connection.recv(65_536):
                seen.append(request)
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if not answer:
                    return
                # In two pieces, as a network is free to do.
                connection.sendall(answer[:30])
                connection.sendall(answer[30:])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def load(port: int, **other: object) -> Load:
    """Return a short load."""
    fields: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "requests": [REQUEST],
        "run": "run00001",
        "connections": 1,
        "seconds": 0.05,
        "words": [b"hell", b"other"],
        "kept": 2,
        "patience_s": 5.0,
    }
    return Load(**{**fields, **other})  # type: ignore[arg-type]


def test_every_request_of_a_closed_loop_has_a_token_of_its_own() -> None:
    """A token that came twice would be answered from the first one's result, for nothing."""
    seen: list[bytes] = []
    with peer([ANSWER], seen) as port:
        outcome = Drive(load(port)).run()
    assert len(seen) == len(set(seen)) == len(outcome.status) // 8
    assert b"X-Token: run0000100000000\r\n" in seen[0]
    assert seen[0].endswith(b"run0000100000000")
    assert outcome.counts == [len(seen), 0]
    assert outcome.kept == [b"hello", b"hello"]
    assert outcome.unanswered == 0


def test_an_open_loop_sends_every_request_that_is_due() -> None:
    """Nobody who comes to a shop waits for the others to be served first."""
    seen: list[bytes] = []
    due = [0.0, 0.0, 0.0, 0.01, 0.02]
    with peer([ANSWER], seen) as port:
        outcome = Drive(load(port, due_s=due, connections=3)).run()
    assert len(seen) == 5
    assert sorted((floats(outcome.due_s) - outcome.begun_s).round(6).tolist()) == due


def test_what_waits_for_a_connection_keeps_the_instant_it_was_due() -> None:
    """With one connection the second request waits for the first one's answer, and that counts."""
    with peer([ANSWER], []) as port:
        outcome = Drive(load(port, due_s=[0.0, 0.0], connections=1)).run()
    assert (floats(outcome.due_s) == outcome.begun_s).all()
    assert (floats(outcome.answered_s) > floats(outcome.due_s)).all()
    assert floats(outcome.late_s)[1] > 0


def test_a_load_ends_early_at_its_stop_status() -> None:
    """A sku that is sold out stays so; the rest of the time would measure refusals."""
    seen: list[bytes] = []
    with peer([ANSWER, ANSWER, REFUSAL], seen) as port:
        outcome = Drive(load(port, seconds=60.0, stop_status=409, stop_count=3)).run()
    assert integers(outcome.status).tolist() == [201, 201, 409, 409, 409]


def test_a_request_whose_connection_breaks_is_counted() -> None:
    """An answer that never came must not look like a request that was never sent."""
    with peer([ANSWER, b""], []) as port:
        outcome = Drive(load(port, seconds=60.0)).run()
    assert (len(outcome.status) // 8, outcome.unanswered) == (1, 1)


def test_the_length_of_an_answer_is_found_in_any_case() -> None:
    """Servers write the header's name as they like."""
    assert length_of(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nx: y\r\n\r\n") == 49 + 8
    assert length_of(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n") == 0
    with pytest.raises(RuntimeError, match="no content length"):
        length_of(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def test_loads_travel_between_processes_whole() -> None:
    """The generator reads from a pipe, which ends when nobody wants anything more."""
    stream = BytesIO()
    sent = load(1)
    write_frame(stream, sent)
    stream.seek(0)
    assert read_frame(stream, Load) == sent
    assert read_frame(stream, Load) is None
