"""What killed test runs have left goes; what is in use stays."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.embedded import Server
from tests.leftovers import PREFIX, UNOWNED_S, remove_left_over
from tests.services.test_embedded import first_line_with, server_of, start_owner


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder of servers' folders; pytest's own are closed to the server's account."""
    with tempfile.TemporaryDirectory(prefix="nom-test-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def made(folder: Path) -> Path:
    """Return a new folder for a server, as the tests make them."""
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))


def test_the_folder_of_a_run_that_was_killed_goes_and_its_server_before_it(folder: Path) -> None:
    """Each takes a hundred megabytes of memory, and nobody else would ever remove it."""
    home = made(folder)
    owner = start_owner(home)
    first_line_with(owner, "postgresql://")
    server = server_of(home)
    # It goes on when its owner dies, as where Linux cannot tell it.
    server.suspend()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    server.resume()
    assert remove_left_over(folder) == [home]
    assert not home.exists()
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def test_the_folder_of_a_run_that_goes_on_stays(folder: Path) -> None:
    """Two runs side by side have a server each."""
    home = made(folder)
    with Server(home):
        assert remove_left_over(folder) == []
        assert server_of(home).is_running()


def test_a_folder_that_has_just_been_made_stays_until_it_is_old(folder: Path) -> None:
    """Its owner is about to lock it, unless it was killed before."""
    home = made(folder)
    assert remove_left_over(folder) == []
    (home / "owner.lock").touch()
    assert remove_left_over(folder) == []
    (home / "owner.lock").unlink()
    long_ago = time.time() - UNOWNED_S - 60
    os.utime(home, (long_ago, long_ago))
    assert remove_left_over(folder) == [home]


def test_what_only_looks_like_one_stays(folder: Path) -> None:
    """A link may lead anywhere, and other folders are other people's."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (folder / f"{PREFIX}link").symlink_to(elsewhere)
    (folder / f"{PREFIX}file").touch()
    assert remove_left_over(folder) == []
    assert elsewhere.is_dir()
