"""`nom keys`: create, list and revoke the keys that calls are made with."""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
import click

from services import keys, records
from services.commands.session import warn_of_unknown, with_database
from services.database import Database
from services.scopes import SCOPES


@click.group("keys")
def command() -> None:
    """Create, list and revoke API keys; only a hash of a key is kept."""


@command.command("create")
@click.option("--role", type=click.Choice(keys.ROLES), required=True, help="What the key may do.")
@click.option(
    "--node", "nodes", multiple=True, help="A node that a store key acts for; repeatable."
)
@click.option("--partner", help="The partner that a partner key belongs to.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(SCOPES)),
    metavar="NOUN:read|write",
    help="Something its role may do, to limit the key to it; repeatable.",
)
@click.option(
    "--expires",
    "expires_at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="When it stops working, UTC.",
)
def create(
    role: keys.Role,
    nodes: tuple[str, ...],
    partner: str | None,
    scopes: tuple[str, ...],
    expires_at: datetime | None,
) -> None:
    """Create a key and print it, alone; it cannot be shown again."""
    end = None if expires_at is None else expires_at.replace(tzinfo=UTC)
    if end is not None and end <= datetime.now(UTC):
        raise click.UsageError(f"A key that stopped working on {end:%Y-%m-%d %H:%M} is no use.")

    async def work(database: Database) -> str:
        try:
            made = await keys.create(database, role, nodes, partner, scopes=scopes, expires_at=end)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        await warn_of_unknown(database, nodes)
        return made

    click.echo(with_database(work))


@command.command("list")
def show() -> None:
    """List the keys: id, role, creation, whether it is live, nodes or partner, and scopes."""

    async def work(database: Database) -> Sequence[asyncpg.Record]:
        async with database.connect() as connection:
            return await records.list_keys(connection)

    for row in with_database(work):
        whom = row["partner_id"] or ",".join(row["node_ids"])
        click.echo(
            f"{row['key_id']}  {row['role']:<8}  {row['created_at']:%Y-%m-%d %H:%M}  "
            f"{state_of(row)}  {whom}  {' '.join(row['scopes'] or ())}".rstrip()
        )


def state_of(row: asyncpg.Record) -> str:
    """Return whether a key works, in words."""
    if row["revoked_at"]:
        return f"revoked {row['revoked_at']:%Y-%m-%d %H:%M}"
    if row["expires_at"]:
        over = row["expires_at"] <= datetime.now(UTC)
        return f"{'expired' if over else 'live until'} {row['expires_at']:%Y-%m-%d %H:%M}"
    return "live"


@command.command("revoke")
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke the key with this id; it stops working within seconds, on every worker."""

    async def work(database: Database) -> bool:
        async with database.transaction() as connection:
            return await records.revoke_key(connection, key_id)

    if not with_database(work):
        raise click.ClickException(f"There is no live key {key_id}; `nom keys list` shows them.")
