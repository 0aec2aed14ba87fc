"""Goods come back: announced by the customer, received at any node, inspected, settled.

What comes back is limited by the counters of the order's work under their lock, so however often
and wherever a return is told, no more comes back than went out. Stock re-enters where it stands.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid5

import asyncpg
import msgspec

from inventory.ledger import Movement
from services import records as shared_records
from services.fulfillment import records as work_records
from services.fulfillment.records import Work
from services.ids import new_id
from services.planning.masterdata import verify_distinct
from services.planning.stock import move, verify_places
from services.problems import Refused
from services.records import Event
from services.returns import records
from services.returns.limits import announced, returnable, sku_of, take_back, verify_room
from services.returns.records import Return, ReturnLine

LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""None of them looks like another when it is written by hand."""
REFERENCE_LENGTH = 8
KEEPS = {"restock": "restocked", "scrap": "scrapped"}
"""Dispositions that are final at once, with the counter of each."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one line that come back."""

    line_id: str
    sku: str | None
    quantity: int
    reason: str
    disposition: str


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """What came in of one line of an announced return."""

    number: int
    quantity: int
    disposition: str | None
    """Another one than announced."""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of units that somebody has looked at."""

    number: int
    restock: int = 0
    scrap: int = 0
    vendor: int = 0


async def announce(
    connection: asyncpg.Connection,
    order_id: str,
    entries: Sequence[Entry],
    node_id: str | None,
    *,
    actor: str,
    arrived: bool = False,
) -> Return:
    """Add a return of an order, of any channel, that is on its way.

    One that has `arrived` already is limited by what others have brought back alone, and not by what
    they have only announced. Raises `not-found`, `unknown-reference`, `invalid-field`,
    `unknown-node`, `over-return`.
    """
    if node_id is not None:
        await verify_places(connection, {(await any_sku(connection, order_id), node_id)})
    works = await lock_works(connection, order_id)
    lines = tuple(
        ReturnLine(
            number=number,
            line_id=each.line_id,
            sku=sku_of(works, each.line_id, each.sku),
            quantity=each.quantity,
            reason=each.reason,
            disposition=each.disposition,
        )
        for number, each in enumerate(entries, 1)
    )
    wanted: Counter[tuple[str, str]] = Counter()
    for line in lines:
        wanted[line.line_id, line.sku] += line.quantity
    room = returnable(works)
    if not arrived:
        room.subtract(announced(await records.find_of_order(connection, order_id)))
    verify_room(order_id, wanted, room)
    return_id = new_id()
    given = Return(
        order_id=order_id,
        return_id=return_id,
        reference=reference_of(return_id),
        node_id=node_id,
        actor=actor,
        announced_at=await shared_records.database_now(connection),
        lines=lines,
    )
    await records.insert_return(connection, given)
    await tell(connection, "return.announced", given, actor)
    return given


async def receive(
    connection: asyncpg.Connection,
    return_id: UUID,
    node_id: str,
    arrivals: Sequence[Arrived] | None,
    *,
    actor: str,
    currency: str,
) -> Return:
    """Take in what came back at a node, all that was announced unless lines are named.

    What is to be inspected or goes to the vendor is there and not for sale. Raises `not-found`,
    `illegal-state`, `duplicate-entry`, `invalid-field`, `unknown-node`, `over-return`.
    """
    given = verify_state(await records.lock_return(connection, return_id), return_id, "announced")
    await verify_places(connection, {(line.sku, node_id) for line in given.lines})
    lines = arrived_lines(given, arrivals)
    works = {
        work.order.fulfillment_order_id: work
        for work in await lock_works(connection, given.order_id)
    }
    kept: list[ReturnLine] = []
    changed: dict[UUID, Work] = {}
    for line in lines:
        if line.received:
            taken = take_back(
                given.order_id, [*works.values()], (line.line_id, line.sku), line.received
            )
            touched = {work.order.fulfillment_order_id: work for work in taken.works}
            works |= touched
            changed |= touched
            line = msgspec.structs.replace(line, amount_minor=taken.amount_minor)  # noqa: PLW2901
        kept.append(line)
    if changed:
        await work_records.save(connection, list(changed.values()))
    now = await shared_records.database_now(connection)
    done = msgspec.structs.replace(
        given, state="received", node_id=node_id, received_at=now, lines=tuple(kept)
    )
    done = await records.save(connection, ended(done, now))
    await move(connection, [each for line in kept for each in movements(done, line, actor)])
    await tell(connection, "return.received", done, actor, currency)
    return done


async def inspect(
    connection: asyncpg.Connection, return_id: UUID, decided: Sequence[Decided], *, actor: str
) -> Return:
    """Decide about units that came in and wait: on sale again, scrapped, or sent to the vendor.

    Raises `not-found`, `illegal-state`, `duplicate-entry`, `too-many-units`, `invalid-field`.
    """
    given = verify_state(await records.lock_return(connection, return_id), return_id, "received")
    verify_distinct("number", (each.number for each in decided))
    lines = {line.number: line for line in given.lines}
    name = new_id()
    moves: list[Movement] = []
    for each in decided:
        line = named(lines, each.number)
        units = each.restock + each.scrap + each.vendor
        if not 0 < units <= line.pending:
            raise Refused(
                "too-many-units",
                f"{line.pending} units of line {each.number} wait to be decided about, and {units} "
                "were named.",
                number=each.number,
                left=line.pending,
            )
        lines[each.number] = msgspec.structs.replace(
            line,
            restocked=line.restocked + each.restock,
            scrapped=line.scrapped + each.scrap,
            to_vendor=line.to_vendor + each.vendor,
        )
        moves += inspected(given, line, each, uuid5(name, str(each.number)), actor)
    now = await shared_records.database_now(connection)
    done = msgspec.structs.replace(given, lines=tuple(lines.values()))
    done = await records.save(connection, ended(done, now))
    await move(connection, moves)
    await tell(connection, "return.inspected", done, actor)
    return done


async def cancel(connection: asyncpg.Connection, return_id: UUID, *, actor: str) -> Return:
    """End a return that did not come; raises `not-found`, `illegal-state`."""
    given = verify_state(await records.lock_return(connection, return_id), return_id, "announced")
    now = await shared_records.database_now(connection)
    done = await records.save(
        connection, msgspec.structs.replace(given, state="cancelled", ended_at=now)
    )
    await tell(connection, "return.cancelled", done, actor)
    return done


async def find(connection: asyncpg.Connection, return_id: UUID) -> Return:
    """Return one return; raises `not-found`."""
    found = await records.find_return(connection, return_id)
    if found is None:
        raise unknown(return_id)
    return found


async def lock_works(connection: asyncpg.Connection, order_id: str) -> list[Work]:
    """Lock the work of an order and return it; raises `not-found` where there is none."""
    works = await records.lock_works(connection, order_id)
    if not works:
        raise no_order(order_id)
    return works


async def any_sku(connection: asyncpg.Connection, order_id: str) -> str:
    """Return a sku of an order; raises `not-found` where it has no work."""
    for work in await work_records.find_of_order(connection, order_id):
        for line in work.lines:
            return line.sku
    raise no_order(order_id)


def no_order(order_id: str) -> Refused:
    """Return the refusal for an order of which nothing was ever sent."""
    return Refused("not-found", f"There is no order {order_id} of which anything could come back.")


def reference_of(return_id: UUID) -> str:
    """Return the short name of a return, from the random bits of its id."""
    rest, letters = return_id.int & ((1 << 48) - 1), []
    for _ in range(REFERENCE_LENGTH):
        rest, letter = divmod(rest, len(LETTERS))
        letters.append(LETTERS[letter])
    return "R-" + "".join(letters)


def arrived_lines(given: Return, arrivals: Sequence[Arrived] | None) -> list[ReturnLine]:
    """Return the lines of a return with what came in of them.

    Raises `duplicate-entry`, `invalid-field` for a line it does not have or more than announced.
    """
    if arrivals is None:
        arrivals = [
            Arrived(number=line.number, quantity=line.quantity, disposition=None)
            for line in given.lines
        ]
    verify_distinct("number", (each.number for each in arrivals))
    lines = {line.number: line for line in given.lines}
    for each in arrivals:
        line = named(lines, each.number)
        if each.quantity > line.quantity:
            raise Refused(
                "invalid-field",
                f"Line {each.number} announces {line.quantity}, and {each.quantity} came; take the "
                "rest as a return of its own.",
                field="quantity",
            )
        disposition = each.disposition or line.disposition
        final = KEEPS.get(disposition)
        lines[each.number] = msgspec.structs.replace(
            line,
            disposition=disposition,
            received=each.quantity,
            **({final: each.quantity} if final else {}),
        )
    return list(lines.values())


def named(lines: Mapping[int, ReturnLine], number: int) -> ReturnLine:
    """Return a line by its number; raises `invalid-field`."""
    if number not in lines:
        raise Refused(
            "invalid-field",
            f"The return has no line {number}; it has {', '.join(map(str, lines))}.",
        )
    return lines[number]


def movements(given: Return, line: ReturnLine, actor: str) -> list[Movement]:
    """Return how the units of a line enter stock: for sale, set aside, or set aside and thrown out."""
    if not line.received:
        return []
    kinds = {"restock": ("return",), "scrap": ("return", "damage", "scrap")}
    return [
        moved(given, line, (kind, line.received, line.reason), actor)
        for kind in kinds.get(line.disposition, ("return", "damage"))
    ]


def inspected(
    given: Return, line: ReturnLine, decided: Decided, name: UUID, actor: str
) -> list[Movement]:
    """Return how units that were set aside go back on sale, or out."""
    wanted = (
        ("restore", decided.restock, "inspected"),
        ("scrap", decided.scrap, "inspected"),
        ("scrap", decided.vendor, "sent to the vendor"),
    )
    return [
        msgspec.structs.replace(
            moved(given, line, each, actor), movement_id=uuid5(name, f"{each[0]}/{each[2]}")
        )
        for each in wanted
        if each[1]
    ]


def moved(given: Return, line: ReturnLine, what: tuple[str, int, str], actor: str) -> Movement:
    """Return one movement of a return: `what` is its kind, units and reason."""
    kind, quantity, reason = what
    if given.node_id is None:
        raise ValueError(f"return {given.return_id} has not come in anywhere")
    return Movement(
        movement_id=uuid5(given.return_id, f"{line.number}/{kind}"),
        sku=line.sku,
        node_id=given.node_id,
        kind=kind,
        quantity=quantity,
        happened_at=None,
        actor=actor,
        reference=str(given.return_id),
        reason=reason,
    )


def ended(given: Return, now: datetime) -> Return:
    """Return a received return with when nothing was left to decide about it."""
    if any(line.pending for line in given.lines):
        return given
    return msgspec.structs.replace(given, ended_at=given.ended_at or now)


def verify_state(given: Return | None, return_id: UUID, state: str) -> Return:
    """Return a return that is in `state`; raises `not-found`, `illegal-state`."""
    if given is None:
        raise unknown(return_id)
    if given.state != state:
        allowed = {
            "announced": ("receive", "cancel", "exchange"),
            "received": ("inspect", "exchange"),
        }.get(given.state, ())
        raise Refused(
            "illegal-state",
            f"The return is {given.state}; it allows {', '.join(allowed) or 'nothing'}.",
            state=given.state,
            allowed=allowed,
        )
    return given


def unknown(return_id: UUID) -> Refused:
    """Return the refusal for a return that does not exist."""
    return Refused("not-found", f"There is no return {return_id}.")


async def tell(
    connection: asyncpg.Connection, kind: str, given: Return, actor: str, currency: str = ""
) -> None:
    """Append an event of a return; what was received says what to refund."""
    payload: dict[str, object] = {
        "return_id": str(given.return_id),
        "reference": given.reference,
        "node_id": given.node_id,
        "state": given.state,
        "lines": [msgspec.structs.asdict(line) for line in given.lines],
    }
    if kind == "return.received":
        refund = sum(line.amount_minor or 0 for line in given.lines)
        payload |= {"amounts_minor": {"refund": refund}, "currency": currency}
    if given.exchange_order_id is not None:
        payload["exchange"] = {
            "order_id": given.exchange_order_id,
            "allocation_id": str(given.exchange_allocation_id),
        }
    await shared_records.insert_events(
        connection, [Event(new_id(), kind, given.order_id, actor, payload)]
    )
