"""What a row of each kind of file must look like, and how to say in a sentence that it does not.

Each type carries the words that explain a rejected row; README.md lists the columns for people.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.time_zones import time_zones

UNITS_MAX = 1_000_000_000
"""Units of one sku at one node, or in one supply. Sums of a million such rows still fit a bigint."""
MINOR_MAX = 1_000_000_000
TEXT_MAX = 300
SHOWN_MAX = 60
"""Characters of an unusable value that a reason quotes."""

CLOCK_SKEW = timedelta(minutes=5)
"""By how much the clock of who counted may be ahead of the database's."""

# A key padded with a space is another key that looks the same; the star means "every one" in rules.
KEY = r"^(?!\*$)(?!\s)[^\x00-\x1f\x7f]+(?<!\s)$"
TEXT = r"^[^\x00-\x1f\x7f]*$"

Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=KEY,
        description="text of 1 to 100 characters, not * and with no space around it",
    ),
]
Text = Annotated[
    str,
    Meta(max_length=TEXT_MAX, pattern=TEXT, description=f"text of at most {TEXT_MAX} characters"),
]
Words = Annotated[
    tuple[Key, ...],
    Meta(max_length=50, description="a list of at most 50 words (in CSV separated by |)"),
]
Units = Annotated[
    int, Meta(ge=0, le=UNITS_MAX, description=f"a whole number from 0 to {UNITS_MAX:,}")
]
Minor = Annotated[
    int,
    Meta(ge=0, le=MINOR_MAX, description=f"whole minor units of money from 0 to {MINOR_MAX:,}"),
]
Grams = Annotated[int, Meta(ge=0, le=10_000_000, description="whole grams from 0 to 10,000,000")]
Millimeters = Annotated[
    int, Meta(ge=1, le=100_000, description="whole millimeters from 1 to 100,000")
]
Days = Annotated[int, Meta(ge=0, le=365, description="a whole number of days from 0 to 365")]
Percent = Annotated[int, Meta(ge=0, le=100, description="a whole number from 0 to 100")]
Latitude = Annotated[float, Meta(ge=-90, le=90, description="degrees from -90 to 90")]
Longitude = Annotated[float, Meta(ge=-180, le=180, description="degrees from -180 to 180")]
Country = Annotated[
    str, Meta(pattern="^[A-Z]{2}$", description="a country of two capital letters, such as US")
]
Instant = Annotated[
    datetime,
    Meta(tz=True, description="an instant with its offset, such as 2026-01-31T08:00:00Z"),
]
Day = Annotated[date, Meta(description="a date such as 2026-01-31")]
CutOff = Annotated[
    time, Meta(tz=False, description="a local time such as 16:00:00, without an offset")
]
Switch = Annotated[bool, Meta(description="true or false")]
NodeKind = Annotated[
    str,
    Meta(
        pattern="^(warehouse|store|supplier|partner)$",
        description="warehouse, store, supplier or partner",
    ),
]
SupplyKind = Annotated[
    str,
    Meta(
        pattern="^(purchase_order|transfer|production)$",
        description="purchase_order, transfer or production",
    ),
]
Quantity = Annotated[
    int, Meta(ge=1, le=10_000, description="a whole number of units from 1 to 10,000")
]
Method = Annotated[str, Meta(pattern="^(ship|pickup)$", description="ship or pickup")]
CapacityUnit = Annotated[str, Meta(pattern="^(orders|units)$", description="orders or units")]


class NodeRow(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A place that can supply or hand over goods."""

    node_id: Key
    kind: NodeKind
    name: Text = ""
    country: Country
    latitude: Latitude
    longitude: Longitude
    time_zone: Key
    calendar_id: Key
    cut_off: CutOff
    handling_days: Days = 0
    capabilities: Words = ()
    groups: Words = ()
    handling_order_minor: Minor = 0
    handling_unit_minor: Minor = 0
    enabled: Switch = True
    capacity_unit: CapacityUnit | None = None
    capacity_planned: Units | None = None
    capacity_maximum: Units | None = None
    partner_id: Key | None = None
    overload_minor: Minor | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` when the columns do not go together."""
        if self.time_zone not in time_zones():
            raise ValueError(
                f"time_zone is '{self.time_zone}'; it must be an IANA name such as America/Chicago"
            )
        if (self.capacity_unit is None) != (self.capacity_maximum is None):
            raise ValueError("capacity_unit and capacity_maximum are only of use together")
        if self.capacity_planned is not None and (
            self.capacity_maximum is None or self.capacity_planned > self.capacity_maximum
        ):
            raise ValueError(
                f"capacity_planned is {self.capacity_planned} and capacity_maximum "
                f"{self.capacity_maximum}; what is planned must fit into the maximum"
            )


class ItemRow(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What is stocked."""

    sku: Key
    name: Text = ""
    category: Text = ""
    weight_grams: Grams
    length_mm: Millimeters | None = None
    width_mm: Millimeters | None = None
    height_mm: Millimeters | None = None
    requires: Words = ()
    unit_margin_minor: Minor | None = None
    unit_price_minor: Minor | None = None
    markdown_on: Day | None = None
    markdown_price_minor: Minor | None = None
    style: Key | None = None
    size: Key | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` when the columns do not go together."""
        if (self.markdown_on is None) != (self.markdown_price_minor is None):
            raise ValueError("markdown_on and markdown_price_minor are only of use together")


class StockRow(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A count: how many units of a sku a node had at one instant."""

    sku: Key
    node_id: Key
    on_hand: Units
    unavailable: Units | None = None
    as_of: Instant | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` when more would be unavailable than is there."""
        if self.unavailable is not None and self.unavailable > self.on_hand:
            raise ValueError(
                f"unavailable is {self.unavailable} and on_hand {self.on_hand}; "
                "what is unavailable is part of what is on hand"
            )


class SupplyRow(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Units expected at a node on a date."""

    sku: Key
    supply_id: Key
    node_id: Key
    kind: SupplyKind
    expected_on: Day
    quantity: Units
    trust_percent: Percent = 100


class OrderRow(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Units of one line of an open order that one node is to give."""

    order_id: Key
    line_id: Key
    sku: Key
    quantity: Quantity
    node_id: Key
    method: Method
    service: Key | None = None
    channel: Key = "web"
    zone_id: Key | None = None
    country: Country | None = None
    postal_code: Key | None = None
    promise_earliest: Day | None = None
    promise_latest: Day
    ship_by: Instant | None = None
    unit_price_minor: Minor | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` when the columns do not go together."""
        if self.promise_earliest is not None and self.promise_earliest > self.promise_latest:
            raise ValueError(
                f"promise_earliest is {self.promise_earliest} and promise_latest "
                f"{self.promise_latest}; the earliest cannot come after the latest"
            )
        if (self.country is None) != (self.postal_code is None):
            raise ValueError("country and postal_code are only of use together")
        if self.method == "ship" and self.zone_id is None and self.country is None:
            raise ValueError("what is shipped needs a zone_id, or a country and postal_code")


Row = NodeRow | ItemRow | StockRow | SupplyRow | OrderRow


class Reference(msgspec.Struct, frozen=True):
    """A column whose value must exist in another table before the row can be applied."""

    column: str
    table: str
    remedy: str


ITEM = Reference("sku", "item", "import or PUT the item first")
NODE = Reference("node_id", "node", "import or PUT the node first")
CALENDAR = Reference("calendar_id", "calendar", "PUT the calendar first")


class Line(msgspec.Struct, frozen=True, gc=False):
    """One row as read: its line in the file (Parquet: its row, from 1) and its fields by column."""

    number: int
    fields: dict[str, object]
    reason: str | None = None
    """Why it could not be read; `fields` then holds what there is to show of it."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of file: its row, the columns that make its key, and what it refers to."""

    name: str
    row: type[Row]
    key: tuple[str, ...]
    references: tuple[Reference, ...] = ()
    together: bool = False
    """Whether rows that share the first column of the key are applied all or none."""

    @property
    def group(self) -> str | None:
        """The column whose value such rows share."""
        return self.key[0] if self.together else None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column a file of this kind may have."""
        return tuple(field.name for field in msgspec.structs.fields(self.row))

    @property
    def required(self) -> tuple[str, ...]:
        """The columns a file of this kind must have."""
        return tuple(field.name for field in msgspec.structs.fields(self.row) if field.required)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("nodes", NodeRow, ("node_id",), (CALENDAR,)),
        Kind("items", ItemRow, ("sku",)),
        Kind("stock", StockRow, ("sku", "node_id"), (ITEM, NODE)),
        Kind("supply", SupplyRow, ("sku", "supply_id"), (ITEM, NODE)),
        Kind("orders", OrderRow, ("order_id", "line_id", "node_id"), (ITEM, NODE), together=True),
    )
}

LISTS = {"capabilities", "groups", "requires"}


class RowError(ValueError):
    """The row cannot be used; the message is a sentence without its final stop."""


class FileError(ValueError):
    """The file as a whole cannot be used, and nothing of it was applied; says what to do."""


def check_columns(kind: Kind, names: Sequence[str]) -> None:
    """Raise `FileError` when the columns of a table are not those of its kind.

    In order of precedence: a column twice, an unknown one, a missing one. An unknown column is
    refused by name because a misspelled optional column would otherwise be dropped in silence.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise FileError(f"The column '{name}' is there twice; leave one.")
        seen.add(name)
        if name not in kind.columns:
            raise FileError(f"The file has an {unknown_column(kind, name)}.")
    missing = [name for name in kind.required if name not in seen]
    if missing:
        raise FileError(
            f"The file lacks the column{'s'[: len(missing) > 1]} {', '.join(missing)}; "
            f"{kind.name} need {', '.join(kind.required)}."
        )


def unknown_column(kind: Kind, name: str) -> str:
    """Return what to say about a column that the kind does not have, with the likeliest meant."""
    near = difflib.get_close_matches(name.strip().lower(), kind.columns, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(kind.columns)}"
    return f"unknown column '{shown(name)}' ({hint})"


def build_row(kind: Kind, line: Line, now: datetime) -> Row:
    """Return the row that a line holds; texts stand for numbers, instants and dates too.

    Raises `RowError` when it could not be read, a column is missing, unknown or unusable, columns
    contradict each other, or a count lies ahead of `now` or before the year 2000.
    """
    if line.reason is not None:
        raise RowError(line.reason)
    try:
        row = msgspec.convert(line.fields, kind.row, strict=False)
    except msgspec.ValidationError as error:
        raise RowError(sentence(kind, line.fields, str(error))) from error
    if isinstance(row, StockRow) and row.as_of is not None:
        check_counted(row.as_of, now)
    return row


def check_counted(as_of: datetime, now: datetime) -> None:
    """Raise `RowError` when a count lies ahead, or before the year 2000.

    A count from the future would make every honest count until then look out of date.
    """
    if as_of.year < 2000 or as_of > now + CLOCK_SKEW:
        raise RowError(
            f"as_of is {as_of.isoformat()}; it must lie between the year 2000 and now, "
            f"{now.isoformat(timespec='seconds')}"
        )


AT = re.compile(r" - at `\$\.(\w+)")
NAMED = re.compile(r"^Object (missing required|contains unknown) field `(.*)`", re.DOTALL)


def sentence(kind: Kind, fields: Mapping[str, object], message: str) -> str:
    """Return msgspec's message about `fields` in the words of the file."""
    if named := NAMED.match(message):
        column = named.group(2)
        if named.group(1) == "contains unknown":
            return f"the row has an {unknown_column(kind, column)}"
        return f"{column} is missing; it must be {expected(kind, column)}"
    if at := AT.search(message):
        column = at.group(1)
        given = fields.get(column)
        what = "empty" if given is None else f"'{shown(given)}'"
        return f"{column} is {what}; it must be {expected(kind, column)}"
    return message


def expected(kind: Kind, column: str) -> str:
    """Return what a column's value must be, from the description its type carries."""
    return describe(msgspec.inspect.type_info(kind.row), column)


def describe(row: msgspec.inspect.Type, column: str) -> str:
    """Find the description of `column` in the inspected row type."""
    fields = row.fields if isinstance(row, msgspec.inspect.StructType) else ()
    kind: Any = next(field.type for field in fields if field.name == column)
    if isinstance(kind, msgspec.inspect.UnionType):
        kind = kind.types[0]
    return str(kind.extra_json_schema["description"])


def shown(value: object) -> str:
    """Return `value` as text that fits into a sentence."""
    text = str(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
