"""What an operator mistypes is said in a sentence, and never makes half a thing."""

import asyncio
from pathlib import Path

import click.testing
import pytest

from services.cli import main


async def run(database_url: str, *arguments: str) -> click.testing.Result:
    """Run a command on a database."""
    runner = click.testing.CliRunner()
    return await asyncio.to_thread(
        runner.invoke, main, list(arguments), env={"DATABASE_URL": database_url}
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--role", "partner", "--partner", ""), "to be printed"),
        (("--role", "store", "--node", ""), "to be printed"),
        (("--role", "store", "--node", " new-york"), "to be printed"),
        (("--role", "operator", "--expires", "2020-01-01"), "is no use"),
    ],
)
async def test_a_key_that_nobody_could_use_is_not_made(
    database_url: str, arguments: tuple[str, ...], said: str
) -> None:
    """A variable of a script that was never set must not become somebody's rights."""
    refused = await run(database_url, "keys", "create", *arguments)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert (await run(database_url, "keys", "list")).output == ""


async def test_a_key_for_a_node_that_does_not_exist_is_made_with_a_warning(
    database_url: str,
) -> None:
    """Keys may come before the import of nodes; or somebody has mistyped one."""
    made = await run(database_url, "keys", "create", "--role", "store", "--node", "new-yrok")
    assert made.exit_code == 0
    assert made.stdout.startswith("nom_store_")
    assert len(made.stdout.split()) == 1, "a script takes all of it for the key"
    assert made.stderr == "Warning: there is no node new-yrok yet.\n"


async def test_a_backup_to_a_folder_that_is_not_there_says_so(
    database_url: str, tmp_path: Path
) -> None:
    """The database is all right, and nobody should look there."""
    refused = await run(database_url, "backup", str(tmp_path / "nowhere" / "nom.backup"))
    assert refused.exit_code == 1
    assert "cannot be written" in refused.stderr
    assert "database" not in refused.stderr


@pytest.mark.parametrize("content", [b"# nom\n", b"PGDMP", b""])
async def test_a_file_that_is_no_backup_is_named(
    database_url: str, tmp_path: Path, content: bytes
) -> None:
    """Or the copy was broken off; what pg_restore says of it does not even name the file."""
    file = tmp_path / "nom.backup"
    file.write_bytes(content)
    refused = await run(database_url, "restore", str(file))
    assert refused.exit_code == 1
    assert "is no whole copy that `nom backup` has written" in refused.stderr


async def test_a_database_that_is_away_is_said_once() -> None:
    """One sentence, with what the system says of it."""
    refused = await run("postgresql://nobody@127.0.0.1:1/nom", "keys", "list")
    assert refused.exit_code == 1
    assert refused.stderr.count("The database cannot be reached") == 1
