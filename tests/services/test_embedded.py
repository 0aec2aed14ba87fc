"""The embedded PostgreSQL: real processes, really killed."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from services import embedded, embedded_home
from services.embedded import EmbeddedError, Server


@pytest.fixture
def home() -> Iterator[Path]:
    """Yield a folder for one server; pytest's own are closed to the server's account under root."""
    with tempfile.TemporaryDirectory(prefix="nom-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def ask(url: str, statement: str) -> object:
    """Return the one value that a statement answers."""

    async def fetch() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def server_of(home: Path) -> psutil.Process:
    """Return the running server process of a data folder."""
    status = embedded_home.read_status(embedded_home.data_folder(home.resolve()))
    assert status is not None
    return psutil.Process(status.process_id)


def start_owner(home: Path) -> subprocess.Popen[str]:
    """Start another process that owns the server of `home` until its standard input ends."""
    script = (
        "import sys; from pathlib import Path; from services.embedded import Server\n"
        "with Server(Path(sys.argv[1])) as server: print(server.url, flush=True); sys.stdin.read()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line_with(process: subprocess.Popen[str], text: str) -> str:
    """Return the first line that a process prints with this text in it."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line.strip()
    raise AssertionError(f"the process ended without a line with {text!r}")


def test_what_was_acknowledged_is_written_to_disk(home: Path) -> None:
    """Acknowledged means fsynced; a default that was faster would make every promise a guess."""
    with Server(home) as server:
        assert ask(server.url, "SELECT current_setting('fsync')") == "on"
        assert ask(server.url, "SELECT current_setting('synchronous_commit')") == "on"
        assert ask(server.url, "SELECT current_setting('full_page_writes')") == "on"


def test_data_outlives_a_stop_and_nothing_keeps_running(home: Path) -> None:
    """The second start finds what the first wrote, and a stop leaves no process behind."""
    with Server(home) as server:
        ask(server.url, "CREATE TABLE kept (word text)")
        ask(server.url, "INSERT INTO kept VALUES ('still here')")
        process = server_of(home)
    assert not process.is_running()
    assert embedded.running_url(home) is None
    with Server(home) as server:
        assert ask(server.url, "SELECT word FROM kept") == "still here"


def test_a_killed_server_is_started_again_with_what_it_acknowledged(home: Path) -> None:
    """Somebody kills PostgreSQL itself; its owner brings it back without loss."""
    with Server(home) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 'still here' AS word")
        killed = server_of(home)
        killed.kill()
        killed.wait()
        assert server.keep_running()
        assert not server.keep_running(), "it runs again, so there is nothing to do"
        assert ask(server.url, "SELECT word FROM kept") == "still here"


def test_no_server_outlives_a_killed_owner(home: Path) -> None:
    """`kill -9` of the service runs none of its code, yet the server must not stay behind."""
    owner = start_owner(home)
    first_line_with(owner, "postgresql://")
    process = server_of(home)
    owner.kill()
    owner.communicate()
    if sys.platform == "linux":
        assert psutil.wait_procs([process], timeout=30)[1] == []
    # The next owner ends what is left, if anything is, and takes over.
    with Server(home) as server:
        assert ask(server.url, "SELECT 1") == 1
    assert not process.is_running()


def test_a_command_beside_the_service_shares_its_server(home: Path) -> None:
    """`nom keys` while the service runs must not start, stop or disturb a server."""
    owner = start_owner(home)
    url = first_line_with(owner, "postgresql://")
    process = server_of(home)
    with embedded.database_of(home) as shared:
        assert shared == url
    assert process.is_running()
    owner.communicate()
    assert not process.is_running()


def test_a_folder_that_cannot_be_made_is_told_with_the_way_out(home: Path) -> None:
    """A first start in the wrong place must not end in an error number."""
    (home / "file").touch()
    with pytest.raises(EmbeddedError, match=r"Not a directory\. Name a folder .* NOM_HOME"):
        Server(home / "file" / "data").start()


def test_two_services_cannot_own_one_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second would stop the database of the first; it is told who is there instead."""
    monkeypatch.setattr(embedded_home, "OWNER_WAIT_S", 0.2)
    with Server(home), pytest.raises(EmbeddedError, match=f"in use by process {os.getpid()}"):
        Server(home).start()


def test_an_interrupted_first_start_leaves_no_half_database(home: Path) -> None:
    """Killed while the data is made, the next start makes it anew instead of trusting the half."""
    unfinished = home / "postgres.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    with Server(home) as server:
        assert ask(server.url, "SELECT 1") == 1
    assert not unfinished.exists()


def test_a_stale_process_id_does_not_hit_a_stranger(home: Path) -> None:
    """After a reboot the number in postmaster.pid may be anybody's, who must not be signaled."""
    with Server(home):
        pass
    stranger = subprocess.Popen(["sleep", "60"])
    data = embedded_home.data_folder(home.resolve())
    lines = [str(stranger.pid), str(data), "1", "5432", str(data), "", "1 1", "ready"]
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    try:
        assert embedded.running_url(home) is None
        with Server(home) as server:
            assert ask(server.url, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.send_signal(signal.SIGKILL)
        stranger.wait()


def test_a_folder_with_a_long_name_works(home: Path) -> None:
    """A socket's path is limited to about a hundred bytes, a folder's is not."""
    deep = home / ("long" * 40)
    with Server(deep) as server:
        assert len(server.url) < 150
        assert ask(server.url, "SELECT 1") == 1
        assert embedded.running_url(deep) == server.url
