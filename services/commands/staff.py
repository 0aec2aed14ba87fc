"""`nom staff`: who may sign in with a password, as what, and for which nodes."""

import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click

from services.commands.session import warn_of_unknown, with_database
from services.database import Database
from services.people import records, staff


@click.group("staff")
def command() -> None:
    """Let people sign in by name, see who can, and end it."""


@command.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(staff.ROLES), required=True, help="What they may do.")
@click.option("--node", "nodes", multiple=True, help="A node that they act for; repeatable.")
def add(name: str, role: staff.Role, nodes: tuple[str, ...]) -> None:
    """Let NAME sign in; the password is asked for, or read from standard input."""
    password = asked_password()

    async def work(database: Database) -> None:
        await staff.add(database, name, role, nodes, password)
        await warn_of_unknown(database, nodes)

    attempt(work)
    click.echo(f"{name} can sign in.")


@command.command("password")
@click.argument("name")
def change(name: str) -> None:
    """Give NAME another password, and end every session of theirs."""
    password = asked_password()
    if not attempt(lambda database: staff.change_password(database, name, password)):
        raise nobody(name)
    click.echo(f"{name} has another password.")


@command.command("disable")
@click.argument("name")
def disable(name: str) -> None:
    """Let NAME in no longer, and end every session of theirs within seconds."""
    if not attempt(lambda database: staff.disable(database, name)):
        raise nobody(name)
    click.echo(f"{name} cannot sign in any more.")


@command.command("list")
def show() -> None:
    """List who can sign in: name, role, since when, whether disabled, and nodes."""

    async def work(database: Database) -> list[records.StaffRow]:
        async with database.connect() as connection:
            return await records.list_staff(connection)

    for row in with_database(work):
        state = f"disabled {row.disabled_at:%Y-%m-%d %H:%M}" if row.disabled_at else "can sign in"
        nodes = ",".join(row.node_ids)
        click.echo(
            f"{row.name}  {row.role:<8}  {row.created_at:%Y-%m-%d %H:%M}  {state}  {nodes}".rstrip()
        )


def attempt(work: Callable[[Database], Coroutine[Any, Any, Any]]) -> Any:
    """Run `work` on the database; what does not fit is said in its own words."""

    async def guarded(database: Database) -> Any:
        try:
            return await work(database)
        except ValueError as error:
            raise click.UsageError(str(error)) from error

    return with_database(guarded)


def asked_password() -> str:
    """Return a password typed twice at a terminal, or the first line of standard input."""
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def nobody(name: str) -> click.ClickException:
    """Return the error for a name that nobody who can sign in has."""
    return click.ClickException(
        f"Nobody called {name} can sign in; `nom staff list` shows who can."
    )
