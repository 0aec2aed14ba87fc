"""How a reader is spoken to: names for ids, amounts in a currency, dates in words."""

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

DECIMALS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}
"""Currencies whose minor unit is not a hundredth (ISO 4217)."""
ITEMS_MAX = 4
"""Items of one fulfillment that are named."""


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader calls things; ids and bare amounts where nothing is known."""

    currency: str = ""
    """ISO 4217."""
    nodes: Mapping[str, str] = {}
    """Names by node id."""
    items: Mapping[str, str] = {}
    """Names by sku."""

    def money(self, minor: int) -> str:
        """An amount, such as 13.80 USD."""
        decimals = DECIMALS.get(self.currency, 2)
        return f"{minor / 10**decimals:.{decimals}f} {self.currency}".rstrip()

    def node(self, node_id: str) -> str:
        """What a node is called."""
        return self.nodes.get(node_id) or node_id

    def units(self, units: Iterable[tuple[str, int]]) -> str:
        """Units by sku, such as 2 Mug and 1 Lamp; the fewest words where there are many."""
        counts: dict[str, int] = {}
        for sku, count in units:
            counts[sku] = counts.get(sku, 0) + count
        named = [f"{count} {self.items.get(sku) or sku}" for sku, count in counts.items()]
        if len(named) > ITEMS_MAX:
            rest = named[ITEMS_MAX - 1 :]
            named = [*named[: ITEMS_MAX - 1], f"{len(rest)} more items"]
        return listed(named)


def listed(words: list[str]) -> str:
    """Words in a row: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def counted(count: int, noun: str) -> str:
    """A number with its noun: 1 unit, 2 units."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def on(day: date) -> str:
    """A date in words: Monday 23 November 2026."""
    return f"{day:%A} {day.day} {day:%B %Y}"


def between(first: date, last: date) -> str:
    """Two dates in words, or the one that they are."""
    if first == last:
        return f"on {on(last)}"
    short = on(first).removesuffix(f" {last.year}")
    return f"between {short} and {on(last)}"
