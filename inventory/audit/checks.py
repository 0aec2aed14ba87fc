"""What the audit checks, and what it says when something does not agree."""

from collections.abc import Iterator

import asyncpg
import msgspec

from inventory.audit import records


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One place where the records disagree."""

    check: str
    key: str
    expected: int
    found: int | None
    """None where the row that should say so does not exist."""
    what: str
    """The disagreement as a sentence."""


class Oversold(msgspec.Struct, frozen=True, kw_only=True):
    """A stock record that gave away more units than it had."""

    sku: str
    node_id: str
    units: int


async def audit(connection: asyncpg.Connection) -> list[Difference]:
    """Compare every counter with what it stands for; an empty list means that all agree.

    Reads one REPEATABLE READ snapshot in a transaction of its own, so it runs beside full traffic.
    Raises asyncpg.InterfaceError when the connection is in a transaction already.
    """
    if connection.is_in_transaction():
        raise asyncpg.InterfaceError("the audit needs a connection outside any transaction")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await records.keep_history(connection)
        return [
            *_ledger(await records.differing_ledger(connection)),
            *_counters("reserved", await records.differing_reserved(connection)),
            *_counters("promised", await records.differing_promised(connection)),
            *_counters("quota", await records.differing_quotas(connection)),
            *_counters("overdrawn", await records.overdrawn_quotas(connection)),
            *_counters("pooled", await records.unmarked_stock(connection)),
            *_counters("share", await records.torn_shares(connection)),
            *_counters("capacity", await records.differing_capacity(connection)),
            *_orphaned(await records.orphaned_capacity(connection)),
            *_counters("stock shortage", await records.unsound_stock(connection)),
            *_counters("supply shortage", await records.unsound_supply(connection)),
            *_torn(await records.torn_reservations(connection)),
            *_half_held(await records.torn_holders(connection)),
            *_counters("dispatch", await records.differing_dispatches(connection)),
            *_counters("transit", await records.differing_transfers(connection)),
            *_repeated(await records.repeated_movements(connection)),
        ]


async def oversold(connection: asyncpg.Connection) -> list[Oversold]:
    """Return records whose live promises exceed what their movements say is there.

    A second checker, which reads movements and reservations and no counter at all. A shortage that
    a count or a feed has caused shows up here too: the goods are not there.
    """
    return [Oversold(**row) for row in await records.oversold(connection)]


LABELS = {
    "reserved": "live reservations sum to {expected} and the stock record says {found} reserved",
    "promised": "live reservations wait for {expected} and the supply says {found} promised",
    "quota": "live reservations have {expected} from the pool and the quota says {found} used",
    "overdrawn": "{found} units were taken of a quota of {expected}",
    "pooled": "pools have rights here, and the stock record's mark is {found} instead of {expected}",
    "share": "{found} of its {expected} units are said to be from a pool",
    "capacity": "active holds sum to {expected} and the capacity says {found} used",
    "stock shortage": "promises exceed stock by {expected} and the recorded shortage is {found}",
    "supply shortage": "promises exceed supply by {expected} and the recorded shortage is {found}",
    "transit": "movements say {expected} and the transfer or its supply says {found}",
    "dispatch": "{expected} units were dispatched and {found} reserved units consumed by it",
}


def _counters(check: str, rows: list[asyncpg.Record]) -> Iterator[Difference]:
    """Describe rows that carry what was expected and found beside the parts of their key."""
    for row in rows:
        parts = {name: value for name, value in row.items() if name not in ("expected", "found")}
        key = " ".join(f"{name}={value}" for name, value in parts.items())
        sentence = LABELS[check].format(expected=row["expected"], found=row["found"])
        yield Difference(
            check=check,
            key=key,
            expected=row["expected"],
            found=row["found"],
            what=f"{key}: {sentence}",
        )


def _ledger(rows: list[asyncpg.Record]) -> Iterator[Difference]:
    for row in rows:
        key = f"sku={row['sku']} node_id={row['node_id']}"
        for name in ("on_hand", "unavailable"):
            expected, found = row[f"{name}_expected"], row[f"{name}_found"]
            if expected != found:
                yield Difference(
                    check=name,
                    key=key,
                    expected=expected,
                    found=found,
                    what=f"{key}: movements sum to {expected} and the record says {found} {name}",
                )


def _orphaned(rows: list[asyncpg.Record]) -> Iterator[Difference]:
    for row in rows:
        key = f"node_id={row['node_id']} work_on={row['work_on']} holder_id={row['holder_id']}"
        yield Difference(
            check="capacity hold",
            key=key,
            expected=0,
            found=row["quantity"],
            what=f"{key}: {row['quantity']} held for a holder that has nothing",
        )


def _torn(rows: list[asyncpg.Record]) -> Iterator[Difference]:
    for row in rows:
        key = f"sku={row['sku']} reservation_id={row['reservation_id']}"
        yield Difference(
            check="resolution",
            key=key,
            expected=1,
            found=None,
            what=f"{key}: {row['state']}, which does not agree with when and how it was resolved",
        )


def _half_held(rows: list[asyncpg.Record]) -> Iterator[Difference]:
    for row in rows:
        key = f"holder_id={row['holder_id']}"
        yield Difference(
            check="whole holder",
            key=key,
            expected=1,
            found=len(row["states"]),
            what=f"{key}: its live reservations are at once {' and '.join(row['states'])}",
        )


def _repeated(rows: list[asyncpg.Record]) -> Iterator[Difference]:
    for row in rows:
        key = f"sku={row['sku']} movement_id={row['movement_id']}"
        yield Difference(
            check="movement",
            key=key,
            expected=1,
            found=row["found"],
            what=f"{key}: recorded {row['found']} times",
        )
