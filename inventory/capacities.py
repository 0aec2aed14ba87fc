"""What nodes can still do by date, as a view knows it: rows read, less what plans under way take."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from operator import itemgetter
from typing import Any

from inventory.locks import CapacityKey
from inventory.nodes import CapacityLeft
from inventory.viewed import DailyDefault, ViewedCapacity, daily_rows


class Capacities:
    """Capacity of limited nodes; a node that is not here has no limit but its daily default."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.rows: dict[str, dict[tuple[date, str], ViewedCapacity]] = {}
        """By node, then date and slot."""
        self.followers: list[set[str]] = []
        """For each who keeps figures of it, the nodes whose capacity has changed since their look."""
        self._left: dict[str, tuple[object, tuple[CapacityLeft, ...]]] = {}
        self._pending: dict[str, Counter[tuple[date, str, str]]] = {}

    def follow(self) -> set[str]:
        """Return a set that gets the nodes whose capacity changes; the caller empties it."""
        changed: set[str] = set()
        self.followers.append(changed)
        return changed

    def left(
        self, node_id: str, daily: DailyDefault | None, from_on: date, days: int
    ) -> tuple[CapacityLeft, ...]:
        """Return what a limited node has left from `from_on` on, by date; pending taken off.

        Dates without a row have what `daily` says, where it is given. The same tuple comes back
        until something changes, so that what is made of it can be kept beside it.
        """
        asked = (daily, from_on, days)
        known = self._left.get(node_id)
        if known is None or known[0] != asked:
            known = (asked, self._left_now(node_id, daily, from_on, days))
            self._left[node_id] = known
        return known[1]

    def least(
        self, node_id: str, daily: DailyDefault | None, from_on: date
    ) -> tuple[tuple[str, int], ...]:
        """Return, by unit, the least a limited node has left on any date from `from_on` on.

        Cheaper than `left`, for asking whether a closer look is needed.
        """
        least: dict[str, int] = {} if daily is None else {daily.unit: daily.maximum}
        pending = self._pending.get(node_id, Counter())
        for (work_on, slot), row in self.rows.get(node_id, {}).items():
            if work_on >= from_on:
                left = row.maximum - row.used - pending[work_on, slot, row.unit]
                least[row.unit] = min(left, least.get(row.unit, left))
        if daily is not None:
            taken = (units for key, units in pending.items() if key[2] == daily.unit)
            least[daily.unit] = min(daily.maximum - max(taken, default=0), least[daily.unit])
        return tuple(least.items())

    def orders_left(self, key: CapacityKey, maximum: int) -> tuple[int, int]:
        """Return what a row counted in orders has left, and how many of these plans under way take.

        A row that nobody has used yet has `maximum`.
        """
        node_id, work_on, slot = key
        row = self.rows.get(node_id, {}).get((work_on, slot))
        pending = self._pending.get(node_id, Counter())[work_on, slot, "orders"]
        return (maximum if row is None else row.maximum - row.used), pending

    def apply(self, rows: Sequence[Any]) -> None:
        """Put rows (node_id, work_on, slot, then the fields of `ViewedCapacity`) in, unless older."""
        for node_id, work_on, slot, *values in rows:
            row = ViewedCapacity(*values)
            own = self.rows.setdefault(node_id, {})
            known = own.get((work_on, slot))
            if known is None or row.version >= known.version:
                own[work_on, slot] = row
            self._note(node_id)

    def add_pending(self, takes: Iterable[tuple[str, date, str, int, int]], sign: int) -> None:
        """Add `sign` times takes (node_id, work_on, slot, orders, units) to what is pending."""
        for node_id, work_on, slot, orders, units in takes:
            own = self._pending.setdefault(node_id, Counter())
            own[work_on, slot, "orders"] += sign * orders
            own[work_on, slot, "units"] += sign * units
            self._pending[node_id] = +own
            self._note(node_id)

    def forget(self, node_ids: Iterable[str]) -> None:
        """Forget every row, as a load does; pending stays. All `node_ids` have changed then."""
        self.rows = {}
        self._left.clear()
        names = set(node_ids)
        for changed in self.followers:
            changed.update(names)

    def forget_before(self, day: date) -> None:
        """Forget the rows of dates before `day`."""
        for node_id, own in self.rows.items():
            for key in [key for key in own if key[0] < day]:
                del own[key]
            self._note(node_id)

    def _note(self, node_id: str) -> None:
        self._left.pop(node_id, None)
        for changed in self.followers:
            changed.add(node_id)

    def _left_now(
        self, node_id: str, daily: DailyDefault | None, from_on: date, days: int
    ) -> tuple[CapacityLeft, ...]:
        own = daily_rows(daily, from_on, days) | self.rows.get(node_id, {})
        pending = self._pending.get(node_id, Counter())
        end = from_on + timedelta(days=days)
        return tuple(
            row.left(node_id, work_on, slot, pending[work_on, slot, row.unit])
            for (work_on, slot), row in sorted(own.items(), key=itemgetter(0))
            if from_on <= work_on < end
        )
