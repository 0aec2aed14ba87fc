"""Prices beyond money that an order brings with it: of units by node and sku, of fulfillments.

They are part of the objective and never of the cost. Most orders have none, and then every array
here is empty, which compiled code takes for zeros.
"""

import zlib
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from routing.compiled import compiled
from routing.grid import Ints

__all__ = ["NOTHING", "Beyond", "beyond_of", "noted_beyond", "packed_beyond", "read_beyond"]

Bools = NDArray[np.bool_]

_NONE = np.zeros(0, np.int64)
_WIDTHS = (np.dtype("<u1"), np.dtype("<u2"), np.dtype("<u4"), np.dtype("<u8"))


class Beyond(NamedTuple):
    """The prices of P cells of stock and of R nodes of a terrain; each array may be empty."""

    worth: Ints
    """`[P]`: what a unit may be worth at the node otherwise; empty with `risk` or not at all."""
    risk: Ints
    """`[P]`: expected cost of the node refusing a unit."""
    surcharges: Ints
    """`[R]`: price of one more fulfillment at the node."""


NOTHING = Beyond(_NONE, _NONE, _NONE)


def packed_beyond(beyond: Beyond) -> Ints:
    """All of it as one array, for compiled code; `beyond_of` takes it apart."""
    return np.concatenate([[len(beyond.worth)], *beyond]).astype(np.int64)


@compiled
def beyond_of(packed: Ints) -> Beyond:
    """The prices that were packed; nothing where the array is empty."""
    if len(packed) == 0:
        return Beyond(packed, packed, packed)
    end = 1 + packed[0]
    return Beyond(packed[1:end], packed[end : end + packed[0]], packed[end + packed[0] :])


def noted_beyond(there: Bools, cells: tuple[Ints, Ints], beyond: Beyond) -> bytes:
    """The prices of some stock as a record keeps them, nothing where there are none.

    `there` `[S, R]` says which nodes have or expect any of each sku, `cells` are the sku and the
    row, or -1, of each cell.
    """
    if beyond is NOTHING:
        return b""
    skus, rows = cells
    units = []
    for prices in (beyond.worth, beyond.risk):
        table = np.zeros(there.shape, np.int64)
        if len(prices):
            table[skus[rows >= 0], rows[rows >= 0]] = prices[rows >= 0]
        units.append(_shrunk(table[there]))
    openings = beyond.surcharges[there.any(axis=0)] if len(beyond.surcharges) else _NONE
    fields = (*units, _shrunk(openings))
    return zlib.compress(msgspec.msgpack.encode(fields), 1) if any(fields) else b""


def read_beyond(noted: bytes, there: Bools) -> Beyond:
    """The prices that were noted of the same stock, cell by cell in order of sku and row."""
    if not noted:
        return NOTHING
    fields = msgspec.msgpack.decode(zlib.decompress(noted), type=tuple[bytes, bytes, bytes])
    holding = there.sum(axis=0) > 0
    surcharges = np.zeros(len(holding), np.int64)
    surcharges[holding] = _read(fields[2], int(holding.sum()))
    count = int(there.sum())
    return Beyond(_read(fields[0], count), _read(fields[1], count), surcharges)


def _shrunk(values: Ints) -> bytes:
    """Values that are not negative, as few bytes each as the largest takes, behind their width."""
    if not values.any():
        return b""
    largest = int(values.max())
    width = next(each for each in _WIDTHS if largest < 1 << 8 * each.itemsize)
    return bytes([width.itemsize]) + values.astype(width).tobytes()


def _read(shrunk: bytes, count: int) -> Ints:
    if not shrunk:
        return np.zeros(count, np.int64)
    width = next(each for each in _WIDTHS if each.itemsize == shrunk[0])
    return np.frombuffer(shrunk, width, offset=1).astype(np.int64)
