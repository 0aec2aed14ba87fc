"""Every kind of event there is: what it says in words, and exactly which fields its payload has.

A kind that is missing here, or whose payload has other fields, fails the tests that write it. Who
follows events may rely on a field for as long as it stands here; new fields may come at any time.
"""

from collections.abc import Mapping

import msgspec

from services.events import move_kinds, order_kinds, return_kinds, stock_kinds
from services.events.telling import KINDS

__all__ = ["DESCRIBED_IN", "KINDS", "in_words", "verify"]

DESCRIBED_IN = (order_kinds, return_kinds, move_kinds, stock_kinds)
"""The modules that describe kinds; loading them is what fills the catalogue."""


def verify(kind: str, payload: Mapping[str, object]) -> None:
    """Raise `ValueError` unless an event of this kind may have this payload."""
    if kind not in KINDS:
        raise ValueError(f"{kind} is not in the catalogue of events")
    try:
        msgspec.convert(payload, KINDS[kind].payload)
    except msgspec.ValidationError as error:
        raise ValueError(f"{kind}: {error}") from error


class Spoken(dict[str, object]):
    """The fields of a payload as a sentence takes them; one that is missing is left out."""

    def __missing__(self, name: str) -> str:
        """Return what stands for a field that a payload does not have."""
        return "…"


def in_words(kind: str, payload: Mapping[str, object]) -> str:
    """Return what happened in a sentence; of a kind that is not known any more, its name."""
    if kind not in KINDS:
        return kind
    said = {name: spoken(value) for name, value in payload.items()}
    return KINDS[kind].says.format_map(Spoken(said))


def spoken(value: object) -> object:
    """Return a value of a payload as it stands in a sentence."""
    if isinstance(value, list):
        if value and all(isinstance(each, dict) and "sku" in each for each in value):
            return ", ".join(f"{each.get('quantity', 'some')} of {each['sku']}" for each in value)
        return ", ".join(str(each) for each in value)
    return "nowhere" if value is None else value
