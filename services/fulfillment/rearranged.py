"""What is kept of the moves of a window: the decision record of each, by the order's own line ids."""

import zlib
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from routing.destination import Destination
from routing.plan import Plan
from routing.record import digest_of
from routing.window import Rearranged, Window
from routing.window_record import recorded
from services.fulfillment.waiting import Waited
from services.orders import rearranged_records
from services.orders.rearranged_records import Seen
from services.orders.records import insert_terrains


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be kept of a move once it is made."""

    before: Plan
    seen: Seen
    window_id: UUID
    record: bytes
    served: Destination
    """The master data that the record refers to."""


def kept_of(
    window: Window, found: Rearranged, by_id: Mapping[str, Waited], window_id: UUID
) -> dict[str, Kept]:
    """Return what is to be kept of the moves of a window, by order id."""
    window, found = by_own_lines(window, found, by_id)
    before = {order.order_id: order.plan for order in window.orders}
    seen = Seen(
        orders=len(window.orders),
        kept=found.kept,
        moved=len(found.moves),
        saving_minor=found.before_minor - found.after_minor,
        bound_minor=found.after_minor + found.charged_minor - found.bound_minor,
    )
    return {
        each.move.order_id: Kept(
            before=before[each.move.order_id],
            seen=seen,
            window_id=window_id,
            record=each.record,
            served=each.served,
        )
        for each in recorded(window, found)
    }


def by_own_lines(
    window: Window, found: Rearranged, by_id: Mapping[str, Waited]
) -> tuple[Window, Rearranged]:
    """Return a window and its moves with lines named as the orders name them."""
    names = {
        order_id: {str(n): want.line_id for n, want in enumerate(each.wants)}
        for order_id, each in by_id.items()
    }
    orders = tuple(
        msgspec.structs.replace(
            order,
            lines=tuple(
                msgspec.structs.replace(line, line_id=names[order.order_id][line.line_id])
                for line in order.lines
            ),
            plan=named(order.plan, names[order.order_id]),
        )
        for order in window.orders
    )
    groups = tuple(
        tuple(
            msgspec.structs.replace(move, plan=named(move.plan, names[move.order_id]))
            for move in group
        )
        for group in found.groups
    )
    return (
        msgspec.structs.replace(window, orders=orders),
        msgspec.structs.replace(found, groups=groups),
    )


def named(plan: Plan, names: Mapping[str, str]) -> Plan:
    """Return a plan with its lines named anew."""
    return msgspec.structs.replace(
        plan,
        fulfillments=tuple(
            msgspec.structs.replace(
                each,
                lines=tuple(
                    msgspec.structs.replace(line, line_id=names[line.line_id])
                    for line in each.lines
                ),
            )
            for each in plan.fulfillments
        ),
    )


async def keep(
    connection: asyncpg.Connection,
    kept: Kept,
    allocation_id: UUID,
    saving_minor: int,
    now: datetime,
) -> None:
    """Keep the record of a move, and the facts it refers to."""
    body = zlib.compress(msgspec.msgpack.encode(kept.served))
    await insert_terrains(connection, [(digest_of(kept.record), body)])
    move = rearranged_records.Rearranged(
        allocation_id=allocation_id,
        window_id=kept.window_id,
        created_at=now,
        saving_minor=saving_minor,
        seen=kept.seen,
        before=kept.before.fulfillments,
        record=kept.record,
    )
    await rearranged_records.insert_rearranged(connection, [move])
