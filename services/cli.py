"""The command `nom`: each part of it is loaded when it is asked for, so that help is quick."""

import importlib
from collections.abc import Mapping

import click

COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("services.commands.serve", "Run the service until it is told to stop."),
    "migrate": ("services.commands.migrate", "Bring the database to the newest schema."),
    "keys": ("services.commands.keys", "Create, list and revoke API keys."),
    "staff": ("services.commands.staff", "Let people sign in, and see who can."),
    "customers": ("services.commands.customers", "Export or purge what is kept of a customer."),
    "import": (
        "services.commands.feed",
        "Load nodes, items, stock, supply or open orders from a file.",
    ),
    "audit": ("services.commands.audit", "Check that movements, stock and promises agree."),
    "prices": ("services.commands.prices", "Learn prices of stock and refusals now."),
    "backup": ("services.commands.backup", "Write a consistent copy of the database to a file."),
    "restore": ("services.commands.restore", "Load such a copy into an empty database."),
    "explain": ("services.commands.explain", "Say why an order went where it went."),
    "replay": ("services.commands.replay", "Decide a recorded allocation again, and compare."),
    "demo": ("services.demo.command", "Replay real baskets over a real network."),
}
"""The module that has each command, as `command`, and the line that help shows of it."""


class LazyGroup(click.Group):
    """A group that imports the module of a command when that command is run, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands, in the order in which one needs them."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Load and return one command, or None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands without loading any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nom")
def main() -> None:
    """One stock system for every place that holds goods, and an exact router of orders.

    Settings come from NOM_… variables and DATABASE_URL. Without DATABASE_URL, nom keeps a
    PostgreSQL of its own in NOM_HOME (.nom in the working folder).
    """
