"""Why a node says no, and what follows from it: data that a planner reads and changes.

Each reason says what becomes of the stock record, for how long the node is left out, and whether
the node's other work is concerned as well. Versions are kept: a rejection names the one it met.
"""

from datetime import timedelta
from typing import Annotated, Literal

import asyncpg
import msgspec
from msgspec import Meta

from services import records as shared_records
from services.fulfillment import exceptions_records as records
from services.ids import new_id
from services.problems import Refused

Correction = Literal["none", "quantity", "all"]
Cascade = Literal["line", "sku", "order"]
Scope = Literal["sku", "node"]

REASONS_MAX = 50
EXCLUSION_MAX = timedelta(days=90)
OTHER = "other"


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a reason for a rejection leads to."""

    reason: Annotated[str, Meta(min_length=1, max_length=50, pattern="^[a-z][a-z0-9_]*$")]
    correction: Annotated[
        Correction,
        Meta(
            description="What the stock record loses: nothing, the units rejected, or all that is "
            "not set aside there. What others were promised of it becomes a shortage."
        ),
    ] = "none"
    movement: Annotated[
        Literal["count_loss", "damage"],
        Meta(description="As what: gone, or there and not fit for sale."),
    ] = "count_loss"
    exclude_for: Annotated[
        timedelta,
        Meta(
            description="How long nothing more is promised from there; an ISO 8601 duration.",
            examples=["P1D"],
        ),
    ] = timedelta()
    exclude: Annotated[Scope, Meta(description="That sku there, or the whole node.")] = "sku"
    cascade: Annotated[
        Cascade,
        Meta(
            description="What is rejected along: nothing more, the node's other unpicked work with "
            "that sku, or all that the node still has to do for the order."
        ),
    ] = "line"

    def __post_init__(self) -> None:
        """Raise `ValueError` for an exclusion that is negative or never ends."""
        if not timedelta() <= self.exclude_for <= EXCLUSION_MAX:
            raise ValueError(f"exclude_for must lie between PT0S and P{EXCLUSION_MAX.days}D")


class Matrix(msgspec.Struct, frozen=True):
    """All reasons in one version."""

    version: Annotated[int, Meta(description="0 is what comes with the service.")]
    reasons: tuple[Reason, ...]

    def find(self, name: str) -> Reason:
        """Return a reason; raises `unknown-reference` with those there are."""
        for each in self.reasons:
            if each.reason == name:
                return each
        raise Refused(
            "unknown-reference",
            f"There is no rejection reason {name}; use {', '.join(r.reason for r in self.reasons)}.",
        )


DEFAULT = Matrix(
    0,
    (
        # Who looks for one unit and finds none has counted the shelf.
        Reason(reason="not_found", correction="all", exclude_for=timedelta(days=1), cascade="sku"),
        Reason(reason="damaged", correction="quantity", movement="damage"),
        # The shelf holds something else under this sku, and nobody knows yet how much.
        Reason(reason="wrong_item", correction="all", exclude_for=timedelta(days=2), cascade="sku"),
        Reason(reason="quality", correction="quantity", movement="damage"),
        Reason(
            reason="no_capacity", exclude="node", exclude_for=timedelta(hours=4), cascade="order"
        ),
        Reason(reason="closed", exclude="node", exclude_for=timedelta(days=1), cascade="order"),
        Reason(reason="fraud_suspected", cascade="order"),
        Reason(reason=OTHER),
    ),
)
"""What holds until a planner says otherwise."""


async def in_force(connection: asyncpg.Connection) -> Matrix:
    """Return the newest version, or what comes with the service."""
    row = await records.find_matrix(connection)
    if row is None:
        return DEFAULT
    version, reasons = row
    return Matrix(version, msgspec.json.decode(reasons, type=tuple[Reason, ...]))


async def replace(
    connection: asyncpg.Connection,
    reasons: tuple[Reason, ...],
    *,
    expected: int | None,
    actor: str,
) -> Matrix:
    """Put new reasons in force as the next version, for rejections from now on.

    Raises `duplicate-entry` for a reason named twice, `invalid-field` when `other` is missing,
    `version-mismatch` when the version in force is not the one `expected`.
    """
    names = [each.reason for each in reasons]
    for name in names:
        if names.count(name) > 1:
            raise Refused("duplicate-entry", f"reason {name} is in the list twice; send it once.")
    if OTHER not in names:
        raise Refused(
            "invalid-field",
            f"reasons: keep `{OTHER}`, which needs no explanation.",
            field="reasons",
        )
    await shared_records.lock_names(connection, [b"rejection-reasons"])
    now = await in_force(connection)
    if expected is not None and expected != now.version:
        raise Refused(
            "version-mismatch",
            f"The reasons are at version {now.version}; read them and decide again.",
            version=now.version,
        )
    matrix = Matrix(now.version + 1, reasons)
    body = msgspec.json.encode(reasons).decode()
    await records.insert_matrix(connection, matrix.version, body, actor)
    await shared_records.insert_events(
        connection,
        [
            shared_records.Event(
                new_id(),
                "rejection_reasons.changed",
                "rejection-reasons",
                actor,
                {"version": matrix.version},
            )
        ],
    )
    return matrix
