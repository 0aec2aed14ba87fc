"""Kinds of fields that several calls share, with their limits and examples."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

import msgspec
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from inventory.tables import ANY
from services.problems import Refused
from services.time_zones import time_zones

ID_LENGTH_MAX = 100
UNITS_MAX = 1_000_000_000
"""Units of one sku in one place; sums of a million such numbers still fit a 64-bit integer."""
MINOR_MAX = 1_000_000_000
SEQUENCE_MAX = 2**63 - 1
ENTRIES_MAX = 5_000
"""Entries of one bulk write."""
PAGE_MAX = 500
SKUS_MAX = 200
NODES_MAX = 500
"""Skus and nodes that one question may name."""
PAGE_DEFAULT = 100
HORIZON_DAYS = 366 * 5
"""How far from today a date of planning may lie."""
CLOCK_SKEW = timedelta(minutes=5)
"""By how much a caller's clock may be ahead of ours."""

# NUL cannot be stored in PostgreSQL text, and control characters have no place in an id.
ID_PATTERN = r"^[^\x00-\x1f\x7f]+$"
TEXT_PATTERN = r"^[^\x00-\x1f\x7f]*$"

IDS = {
    "items": Schema(
        type=OpenAPIType.STRING, min_length=1, max_length=ID_LENGTH_MAX, pattern=ID_PATTERN
    )
}

Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_MAX, pattern=ID_PATTERN)]
Text = Annotated[str, Meta(max_length=300, pattern=TEXT_PATTERN)]
Country = Annotated[
    str, Meta(pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2.", examples=["US"])
]
PostalCode = Annotated[str, Meta(max_length=20, pattern=TEXT_PATTERN)]
Latitude = Annotated[float, Meta(ge=-90, le=90, examples=[40.71])]
Longitude = Annotated[float, Meta(ge=-180, le=180, examples=[-74.01])]
TimeZone = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=ID_LENGTH_MAX,
        description="IANA name.",
        examples=["America/New_York"],
    ),
]
LocalTime = Annotated[time, Meta(tz=False, description="Local time of day.", examples=["16:00:00"])]
Instant = Annotated[datetime, Meta(tz=True, description="An instant with its offset, RFC 3339.")]
Units = Annotated[int, Meta(ge=0, le=UNITS_MAX)]
UnitsTaken = Annotated[int, Meta(ge=1, le=UNITS_MAX)]
Minor = Annotated[int, Meta(ge=0, le=MINOR_MAX, description="Money in minor units.")]
Days = Annotated[int, Meta(ge=0, le=365)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Ids = Annotated[list[Id], Meta(max_length=50)]

PathId = Annotated[str, PathParameter(min_length=1, max_length=ID_LENGTH_MAX, pattern=ID_PATTERN)]
QueryId = Annotated[
    str | None, QueryParameter(min_length=1, max_length=ID_LENGTH_MAX, pattern=ID_PATTERN)
]
Limit = Annotated[
    int, QueryParameter(ge=1, le=PAGE_MAX, description="Entries of one page at most.")
]
# The framework describes a list in an address without the limits of its items.
SkuQuery = Annotated[list[Id], QueryParameter(min_items=1, max_items=SKUS_MAX, schema_extra=IDS)]
SkuFilter = Annotated[list[Id] | None, QueryParameter(max_items=SKUS_MAX, schema_extra=IDS)]
NodeFilter = Annotated[
    list[Id] | None,
    QueryParameter(max_items=NODES_MAX, schema_extra=IDS, description="Only these nodes."),
]
Channel = Annotated[
    str,
    QueryParameter(
        min_length=1,
        max_length=ID_LENGTH_MAX,
        pattern=ID_PATTERN,
        description="Whose pool and buffers count.",
    ),
]
Cursor = Annotated[
    str | None,
    QueryParameter(
        max_length=1_000,
        pattern=r"^[A-Za-z0-9_-]*$",
        description="`next_cursor` of the page before; the first page without.",
    ),
]


def check_time_zone(name: str) -> None:
    """Raise `ValueError`, which the caller of the API gets to see, unless the zone exists."""
    if name not in time_zones():
        raise ValueError(f"{name!r} is no time zone; use an IANA name such as America/New_York")


def check_happened(name: str, instant: datetime | None, now: datetime) -> None:
    """Raise `invalid-field` when what has happened lies ahead, or before the year 2000.

    A count from the future would make every honest count until then look out of date.
    """
    if instant is None:
        return
    if instant.year < 2000 or instant > now + CLOCK_SKEW:
        raise Refused(
            "invalid-field",
            f"{name} is {instant.isoformat()}; it must lie between the year 2000 and now, "
            f"{now.isoformat(timespec='seconds')}.",
            field=name,
        )


def check_planned(name: str, on: date, now: datetime, kind: str = "invalid-field") -> None:
    """Raise the problem `kind` when a date of planning is more than five years away from today."""
    if abs((on - now.date()).days) > HORIZON_DAYS:
        raise Refused(
            kind, f"{name} is {on}; give a date within {HORIZON_DAYS} days of today.", field=name
        )


def utc_now() -> datetime:
    """Return this machine's clock, for checks that need no agreement with the database's."""
    return datetime.now(UTC)


def verify_named(name: str, in_address: str, in_body: str | None) -> None:
    """Raise `invalid-field` unless the body names what the address names, or nothing.

    `*` is no name: in buffer rules it means everything.
    """
    if in_address == ANY:
        raise Refused("invalid-parameter", f"{name} {ANY} means every one; choose another.")
    if in_body not in {None, in_address}:
        raise Refused(
            "invalid-field", f"{name} is {in_body} in the body and {in_address} in the address."
        )


def fields_of(body: msgspec.Struct, *but: str) -> dict[str, Any]:
    """Return the fields of a body by name, without those in `but`, lists as tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in msgspec.structs.asdict(body).items()
        if name not in but
    }
