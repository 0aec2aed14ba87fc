"""`nom import` as a person or a nightly job runs it: what it says and how it ends."""

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
from click.testing import CliRunner

from services.commands.feed import command
from services.database import migrate
from services.embedded import Server
from tests.services.feeds.conftest import read_rejects, write_once

NOM = (sys.executable, "-c", "from services.cli import main; main()")
ITEMS = "sku,weight_grams\nA,1\nB,2\n"


class Ended(NamedTuple):
    """How a command ended."""

    code: int | None
    out: str
    err: str


async def nom_import(*arguments: str | Path, **environment: str) -> Ended:
    """Run `nom import` in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    process = await asyncio.create_subprocess_exec(
        *NOM,
        "import",
        *map(str, arguments),
        env=kept | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


def renamed(path: Path, name: str) -> Path:
    """Give a file another name and return its path."""
    return path.rename(path.with_name(name))


def files_in(folder: Path) -> list[str]:
    """Return the names of what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def items(tmp_path: Path) -> Path:
    """Return a file of two items."""
    path = tmp_path / "items.csv"
    path.write_text(ITEMS)
    return path


async def test_a_good_file_ends_with_zero_and_a_sentence(
    connection: asyncpg.Connection, database_url: str, items: Path, tmp_path: Path
) -> None:
    """A nightly job looks at the code, a person at the sentence."""
    ended = await nom_import("items", items, DATABASE_URL=database_url)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Imported 2 rows of items from items.csv in ")
    assert await connection.fetchval("SELECT count(*) FROM item") == 2
    assert files_in(tmp_path) == ["items.csv"]


async def test_a_second_run_says_that_there_was_nothing_to_do(
    database_url: str, items: Path
) -> None:
    """And how to do it all the same."""
    await nom_import("items", items, DATABASE_URL=database_url)

    again = await nom_import("items", items, DATABASE_URL=database_url)
    other = await nom_import("items", items, "--source", "night", DATABASE_URL=database_url)

    assert again.code == 0
    assert again.out.startswith("items.csv was imported completely at 20")
    assert "(2 rows of items), so there was nothing to do." in again.out
    assert "give it another --source." in again.out
    assert other.out.startswith("Imported 2 rows of items from items.csv in ")


async def test_rejected_rows_end_with_one_and_the_name_of_their_file(
    database_url: str, items: Path
) -> None:
    """The default lies beside the file, so that it is found."""
    write_once(items, f"{ITEMS}C,heavy\n".encode())

    ended = await nom_import("items", items, DATABASE_URL=database_url)

    rejects = items.with_name("items.csv.rejects.jsonl")
    assert ended.code == 1
    assert f"1 of 3 rows were rejected; {rejects} says why." in ended.out
    assert [each.line for each in read_rejects(rejects)] == [4]


async def test_strict_ends_with_two_and_applies_nothing(
    connection: asyncpg.Connection, database_url: str, items: Path, tmp_path: Path
) -> None:
    """The rejects file says what to mend all the same."""
    write_once(items, f"{ITEMS}C,heavy\n".encode())
    rejects = tmp_path / "bad.jsonl"

    ended = await nom_import(
        "items", items, "--strict", "--rejects", rejects, DATABASE_URL=database_url
    )

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "Refused: 1 of 3 rows are bad, and --strict applies all or none. "
        f"{rejects} says why each of them cannot be applied.\n"
    )
    assert len(read_rejects(rejects)) == 1
    assert await connection.fetchval("SELECT count(*) FROM item") == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("items", "none.csv"), "Refused: There is no file none.csv.\n"),
        (("items", "items.txt"), "Refused: The ending '.txt' stands for no format; give --format"),
        (
            ("boxes", "items.csv"),
            "Invalid value for '{nodes|items|stock|supply|orders}': 'boxes' is not",
        ),
        (
            ("items", "items.csv", "--rejects", "items.csv"),
            "Refused: --rejects names the file to be read, which it would overwrite.\n",
        ),
    ],
)
def test_what_cannot_be_meant_ends_with_two_and_a_sentence(
    items: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    """Before anything is asked of a database."""
    monkeypatch.chdir(items.parent)
    write_once(items.with_suffix(".txt"), b"sku\n")

    ended = CliRunner().invoke(command, arguments)

    assert ended.exit_code == 2
    assert sentence in ended.stderr
    assert items.read_text() == ITEMS


async def test_unknown_columns_end_with_two_and_their_names(database_url: str, items: Path) -> None:
    """Never with a traceback."""
    write_once(items, b"sku,weight\nA,1\n")

    ended = await nom_import("items", items, DATABASE_URL=database_url)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "Refused: The file has an unknown column 'weight' (did you mean 'weight_grams'?).\n"
    )


async def test_the_format_can_be_named(database_url: str, items: Path) -> None:
    """An upload often has no ending."""
    ended = await nom_import(
        "items", renamed(items, "upload"), "--format", "csv", DATABASE_URL=database_url
    )

    assert ended.code == 0


async def test_a_database_that_does_not_answer_ends_with_three(items: Path) -> None:
    """The next run does it, so the file must not be thrown away."""
    ended = await nom_import("items", items, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert ended.code == 3
    assert ended.err.startswith("Broken off: ")
    assert ended.err.endswith("Run the same command again, and it goes on from there.\n")


async def test_a_database_without_tables_ends_with_two(server_url: str, items: Path) -> None:
    """The sentence names the command that helps."""
    ended = await nom_import("items", items, DATABASE_URL=server_url)

    assert (ended.code, ended.out) == (2, "")
    assert "run nom migrate first" in ended.err


async def test_the_running_database_of_the_data_folder_is_used(items: Path, tmp_path: Path) -> None:
    """Beside a running service one gives no address."""
    home = tmp_path / "home"
    with Server(home) as server:
        await asyncio.to_thread(migrate, server.url)

        ended = await nom_import("items", items, NOM_HOME=str(home))

        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("SELECT count(*) FROM item") == 2
        await connection.close()
    assert ended.code == 0
