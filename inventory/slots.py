"""Slots: windows of a local date in which a customer receives an order, with places and a price.

A carrier service delivers in it to some zones, or a node hands over what is collected there. The
places of a date are a row of capacity that belongs to no node, so they are taken under the same
guard as a node's work, in the same transaction as stock, and go back where the rest goes back.
"""

from collections.abc import Sequence
from datetime import date, time

import asyncpg
import msgspec

from inventory import slot_records
from inventory.locks import NO_NODE, CapacityKey

__all__ = ["NO_NODE", "Slot", "SlotDate", "list_slots", "places_key", "put_slots"]


class SlotDate(msgspec.Struct, frozen=True):
    """A date on which a slot has places of its own; none when it is closed."""

    on: date
    places: int


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One window that comes again on some weekdays."""

    slot_id: str
    service: str | None = None
    """The carrier service that delivers in it; none where the customer collects."""
    zone_ids: tuple[str, ...] = ()
    """Where it delivers to."""
    node_id: str | None = None
    """Where the customer collects; none where it is delivered."""
    opens: time
    closes: time
    """Local to the destination, or to the node."""
    weekdays: tuple[int, ...]
    """ISO weekdays, Monday is 1."""
    places: int
    """Orders on a date that has no figure of its own."""
    price_minor: int = 0
    """What the customer pays for it."""
    lead_minutes: int = 0
    """Least time from the goods leaving their node, or being ready, to the opening."""
    days_ahead: int = 14
    """Days from today within which it can be chosen."""
    dates: tuple[SlotDate, ...] = ()

    def places_on(self, day: date) -> int:
        """Return how many orders it takes on a date: none on a weekday it does not come on."""
        for each in self.dates:
            if each.on == day:
                return each.places
        return self.places if day.isoweekday() in self.weekdays else 0


def places_key(slot_id: str, on: date) -> CapacityKey:
    """Return the row of capacity that counts a slot's places on a date."""
    return NO_NODE, on, slot_id


async def put_slots(connection: asyncpg.Connection, slots: Sequence[Slot]) -> None:
    """Insert or replace slots; places to come follow at once, and those taken stay taken.

    Fewer places than are taken are lawful: nothing more is taken until they suffice.
    """
    slot_ids = [each.slot_id for each in slots]
    await slot_records.put_slots(connection, msgspec.json.encode(slots).decode())
    await slot_records.lock_places(connection, slot_ids)
    await slot_records.renew_places(connection, slot_ids)


async def list_slots(
    connection: asyncpg.Connection, *, after: str = "", limit: int | None = None
) -> list[Slot]:
    """Return slots in order of their id, at most `limit` from the one after `after`."""
    return [_slot(row) for row in await slot_records.read_slots(connection, after, limit)]


def _slot(row: asyncpg.Record) -> Slot:
    lists = {name: tuple(row[name]) for name in ("zone_ids", "weekdays")}
    dates = msgspec.json.decode(row["dates"], type=tuple[SlotDate, ...])
    return Slot(**{**row, **lists, "dates": dates})
