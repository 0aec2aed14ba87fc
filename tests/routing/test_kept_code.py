"""Machine code is made once for a user and its sources, wherever they lie."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numba.core import config

import routing
from routing.compiled import Compiled, compiled
from routing.kept_code import SOURCES, places, remove_unused

ASK = """
from routing.clock import now_s
now_s()
print(sum(now_s.stats.cache_hits.values()), sum(now_s.stats.cache_misses.values()))
"""


def half(number: int) -> int:
    """A function that another one calls with constants."""
    return number // 2


def halves(numbers: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> int:
    """A function that calls another one in several ways."""
    return int(small(10) + small(-10) + small(numbers[0]) + numbers.sum())


small = compiled(half)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache folder with nothing in it."""
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nom"


def asked(package: Path, cache: Path) -> str:
    """How often a process that imports the package from there found machine code, and did not."""
    folders = dict.fromkeys(("XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"), str(cache))
    environ = {**os.environ, "PYTHONPATH": str(package), **folders}
    environ.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=package,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_second_environment_finds_what_the_first_compiled(tmp_path: Path) -> None:
    """A new checkout, wheel or virtual environment must not cost a user a minute again."""
    elsewhere = tmp_path / "elsewhere"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(routing.__file__).parent, elsewhere / "routing", ignore=ignored)

    first = asked(SOURCES.parent, tmp_path / "cache")
    second = asked(elsewhere, tmp_path / "cache")

    assert (first, second) == ("0 1", "1 0")


def test_code_is_kept_in_the_next_place_where_the_first_cannot_be_written(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image holds machine code that its user cannot add to; its start must not fail of that."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "file"))

    compiled(half)(4)

    assert [place.parent for place in kept.glob("native-*/*.nbi")] == [*kept.iterdir()]


def test_code_is_made_again_where_a_file_is_damaged(kept: Path) -> None:
    """A full disk or a crash must not keep the service from starting."""
    compiled(half)(4)
    for path in kept.glob("native-*/*"):
        path.write_bytes(path.read_bytes()[:20])

    again = compiled(half)

    assert again(4) == 2
    assert isinstance(again, Compiled)
    assert not again.stats.cache_hits


def test_a_user_without_a_home_has_code_beside_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services are often run by an account that has no home; nothing lands where they started."""
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)

    assert places() == [SOURCES / "__pycache__"]


def test_only_folders_that_were_not_used_for_long_are_removed(tmp_path: Path) -> None:
    """Every version leaves folders; those in use, and what is not ours, stay."""
    day_s = 86_400
    for name, days in (("native-old", 31), ("native-used", 29), ("other", 100)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        os.utime(tmp_path / name, (time.time() - days * day_s,) * 2)

    remove_unused(tmp_path)
    remove_unused(tmp_path / "missing")

    assert {path.name for path in tmp_path.iterdir()} == {"native-used", "other"}


def test_a_function_called_with_constants_is_compiled_once(kept: Path) -> None:
    """Numba would make a part of its own for every constant, and each of its callees anew."""
    assert not kept.exists()

    result = compiled(halves)(np.array([7, 5]))

    assert result == 5 - 5 + 3 + 12
    assert isinstance(small, Compiled)
    assert len(small.part.signatures) == 1
    assert small(9) == 4
