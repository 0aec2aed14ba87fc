"""What of an order can come back: what has left it, less what is back or announced. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from services.fulfillment.records import FulfillmentLine, Work
from services.problems import Refused
from services.returns.records import Return

Key = tuple[str, str]
"""line_id, sku"""


class Taken(msgspec.Struct, frozen=True):
    """What a return takes off the lines of an order's work."""

    works: list[Work]
    """The fulfillment orders that have changed."""
    amount_minor: int | None
    """What the customer paid for the units; none where no price was told."""


def returnable(works: Iterable[Work]) -> Counter[Key]:
    """Return the units of each line that are with the customer."""
    units: Counter[Key] = Counter()
    for work in works:
        for line in work.lines:
            units[line.line_id, line.sku] += line.dispatched - line.returned
    return units


def announced(returns: Iterable[Return], but: UUID | None = None) -> Counter[Key]:
    """Return the units that are announced and on their way back, those of one return left out."""
    units: Counter[Key] = Counter()
    for each in returns:
        if each.state == "announced" and each.return_id != but:
            for line in each.lines:
                units[line.line_id, line.sku] += line.quantity
    return units


def sku_of(works: Sequence[Work], line_id: str, sku: str | None) -> str:
    """Return the sku that a line of an order is about.

    Raises `unknown-reference` for a line the order does not have, `invalid-field` where it has
    several skus and none is named.
    """
    skus = sorted({line.sku for work in works for line in work.lines if line.line_id == line_id})
    if sku is not None and sku in skus:
        return sku
    if not skus or sku is not None:
        raise Refused(
            "unknown-reference",
            f"The order has no line {line_id}{'' if sku is None else f' of {sku}'}; name one of "
            "its lines.",
        )
    if len(skus) > 1:
        raise Refused(
            "invalid-field",
            f"Line {line_id} is of {', '.join(skus)}; name the sku that comes back.",
            field="sku",
        )
    return skus[0]


def verify_room(order_id: str, wanted: Counter[Key], room: Counter[Key]) -> None:
    """Raise `over-return` where more would come back than there is room for."""
    for key, units in sorted(wanted.items()):
        left = max(room[key], 0)
        if units > left:
            raise Refused(
                "over-return",
                f"Line {key[0]} of order {order_id} can give back {left} of {key[1]}, and {units} "
                "were named: what has not left, has come back, or is announced does not count.",
                line_id=key[0],
                sku=key[1],
                left=left,
            )


def take_back(order_id: str, works: Sequence[Work], key: Key, quantity: int) -> Taken:
    """Count units as returned on the lines they were dispatched from, the first made first.

    Raises `over-return`.
    """
    verify_room(order_id, Counter({key: quantity}), returnable(works))
    left = quantity
    amount: int | None = 0
    changed = []
    for work in works:
        lines: list[FulfillmentLine] = []
        for line in work.lines:
            fits = (line.line_id, line.sku) == key
            units = min(line.dispatched - line.returned, left) if fits else 0
            left -= units
            if units:
                price = line.unit_price_minor
                amount = None if amount is None or price is None else amount + units * price
            lines.append(msgspec.structs.replace(line, returned=line.returned + units))
        if tuple(lines) != work.lines:
            changed.append(Work(work.order, tuple(lines)))
    return Taken(changed, amount)
