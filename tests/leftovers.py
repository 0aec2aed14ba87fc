"""What test runs that were killed have left behind: servers' folders, removed by the next run."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from services.embedded import end_left_over
from services.embedded_home import data_folder, prepare_account

PREFIX = "nom-test-server-"
"""Of folders of the tests' servers; no other folder has its owner for as long as a run lasts."""
UNOWNED_S = 3_600
"""Age from which on a folder that never got an owner is nobody's; one gets it within moments."""


def remove_left_over(folder: Path) -> list[Path]:
    """Remove servers' folders in `folder` whose owner is gone, and return them.

    Only this user's count. A server that outlived its owner is stopped first.
    """
    return [home for home in sorted(folder.glob(f"{PREFIX}*")) if removed(home)]


def removed(home: Path) -> bool:
    """Remove one folder if it is this user's and its owner is gone; tell whether it was."""
    try:
        if home.lstat().st_uid != os.getuid() or not home.is_dir() or home.is_symlink():
            return False
        with abandoned(home) as is_abandoned:
            if not is_abandoned:
                return False
            if data_folder(home).is_dir():
                end_left_over(data_folder(home), prepare_account(home))
            shutil.rmtree(home, ignore_errors=True)
    except FileNotFoundError:
        # Another run was quicker.
        return False
    return not home.exists()


@contextmanager
def abandoned(home: Path) -> Iterator[bool]:
    """Yield whether the owner of a folder is gone; its lock is held meanwhile, so that it stays so.

    The system gives up the lock of a process that ends, however it ends. A lock without a process's
    number is that of an owner who is just about to take it.
    """
    file = home / "owner.lock"
    if not file.exists():
        yield time.time() - home.stat().st_mtime > UNOWNED_S
        return
    with file.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        owner = lock.read().strip()
        yield owner.isdigit() and not is_running(int(owner), file.stat().st_mtime)


def is_running(process_id: int, since_s: float) -> bool:
    """Tell whether a process that was there at an instant still is; its number may be another's now."""
    try:
        return psutil.Process(process_id).create_time() <= since_s
    except psutil.NoSuchProcess:
        return False
