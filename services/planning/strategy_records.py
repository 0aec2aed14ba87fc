"""SQL of the versions of strategies and of the rules that choose between them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import asyncpg
import msgspec

Kind = Literal["strategy", "rules"]
VERSION = (
    "SELECT kind, name, version, state, body::text AS body, note, actor, replaced, created_at,"
    " activated_at FROM strategy_version"
)


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version as it is kept."""

    kind: Kind
    name: str
    version: int
    state: Literal["draft", "active", "retired"]
    body: str
    note: str
    actor: str
    replaced: int | None
    """The version that was active before this one was made so."""
    created_at: datetime
    activated_at: datetime | None


async def insert_version(
    connection: asyncpg.Connection, kind: Kind, name: str, body: bytes, note: str, actor: str
) -> VersionRow:
    """Add the next version of a document as a draft; return it."""
    version: int = await connection.fetchval(
        "INSERT INTO strategy_version (kind, name, version, body, note, actor)"
        " SELECT $1, $2, coalesce(max(version), 0) + 1, $3::jsonb, $4, $5 FROM strategy_version"
        " WHERE kind = $1 AND name = $2 RETURNING version",
        kind,
        name,
        body.decode(),
        note,
        actor,
    )
    row = await find_version(connection, kind, name, version)
    if row is None:
        raise RuntimeError(f"version {version} of {kind} {name!r} is gone")
    return row


async def find_version(
    connection: asyncpg.Connection, kind: Kind, name: str, version: int
) -> VersionRow | None:
    """Return one version."""
    row = await connection.fetchrow(
        VERSION + " WHERE kind = $1 AND name = $2 AND version = $3", kind, name, version
    )
    return VersionRow(**row) if row else None


async def find_active(connection: asyncpg.Connection, kind: Kind, name: str) -> VersionRow | None:
    """Return the active version of a document."""
    row = await connection.fetchrow(
        VERSION + " WHERE kind = $1 AND name = $2 AND state = 'active'", kind, name
    )
    return VersionRow(**row) if row else None


async def read_versions(connection: asyncpg.Connection, kind: Kind, name: str) -> list[VersionRow]:
    """Return all versions of a document, newest first."""
    rows = await connection.fetch(
        VERSION + " WHERE kind = $1 AND name = $2 ORDER BY version DESC", kind, name
    )
    return [VersionRow(**row) for row in rows]


async def read_active(connection: asyncpg.Connection) -> list[VersionRow]:
    """Return the active version of every document that has one, by name."""
    rows = await connection.fetch(VERSION + " WHERE state = 'active' ORDER BY kind, name")
    return [VersionRow(**row) for row in rows]


async def retire(connection: asyncpg.Connection, kind: Kind, name: str) -> int | None:
    """End the active version of a document; return its number."""
    version: int | None = await connection.fetchval(
        "UPDATE strategy_version SET state = 'retired'"
        " WHERE kind = $1 AND name = $2 AND state = 'active' RETURNING version",
        kind,
        name,
    )
    return version


async def set_active(
    connection: asyncpg.Connection,
    kind: Kind,
    name: str,
    version: int,
    *,
    replaced: int | None,
    keep: bool,
) -> VersionRow:
    """Make a version active and note which one it replaced, or `keep` what was noted before."""
    await connection.execute(
        "UPDATE strategy_version SET state = 'active', activated_at = now(),"
        " replaced = CASE WHEN $5 THEN replaced ELSE $4 END"
        " WHERE kind = $1 AND name = $2 AND version = $3",
        kind,
        name,
        version,
        replaced,
        keep,
    )
    row = await find_version(connection, kind, name, version)
    if row is None:
        raise RuntimeError(f"version {version} of {kind} {name!r} is gone")
    return row


async def dearest_minor(connection: asyncpg.Connection) -> Mapping[str, int]:
    """Return the dearest parcel of any tariff, handling of one unit of an order, and overload.

    What is sent to a store is handled there, too.
    """
    row = await connection.fetchrow(
        "SELECT coalesce((SELECT max((bracket ->> 'price_minor')::bigint)"
        " FROM tariff, jsonb_array_elements(brackets) AS bracket), 0) AS parcel,"
        " coalesce((SELECT max(handling_order_minor + handling_unit_minor) FROM node), 0)"
        " + coalesce((SELECT max(handling_order_minor + handling_unit_minor) FROM node"
        " WHERE 'pickup' = ANY (capabilities) AND EXISTS"
        " (SELECT FROM node WHERE 'ship_to_store' = ANY (capabilities))), 0)"
        " AS handling, coalesce((SELECT max(overload_minor) FROM node), 0) AS overload"
    )
    if row is None:
        raise RuntimeError("a query without a table gave no row")
    return dict(row)
