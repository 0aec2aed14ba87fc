"""What each row must be, and the sentence in which a rejected one is told what is wrong."""

import re
from datetime import UTC, datetime, time, timedelta

import pytest

from services.feeds.rows import KINDS, Line, NodeRow, RowError, StockRow, build_row

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

GOOD: dict[str, dict[str, object]] = {
    "nodes": {
        "node_id": "N",
        "kind": "store",
        "country": "US",
        "latitude": "41.9",
        "longitude": "-87.6",
        "time_zone": "America/Chicago",
        "calendar_id": "weekdays",
        "cut_off": "16:00:00",
    },
    "items": {"sku": "A", "weight_grams": "250"},
    "stock": {"sku": "A", "node_id": "N", "on_hand": "5"},
    "supply": {
        "sku": "A",
        "supply_id": "P1",
        "node_id": "N",
        "kind": "purchase_order",
        "expected_on": "2026-05-01",
        "quantity": "40",
    },
}
UNITS = "a whole number from 0 to 1,000,000,000"
KEY = "text of 1 to 100 characters, not * and with no space around it"
INSTANT = "an instant with its offset, such as 2026-01-31T08:00:00Z"
ALREADY = "it must lie between the year 2000 and now, 2026-03-01T12:00:00+00:00"

REJECTED: list[tuple[str, dict[str, object], str]] = [
    ("stock", {"on_hand": "-1"}, f"on_hand is '-1'; it must be {UNITS}"),
    ("stock", {"on_hand": "5.5"}, f"on_hand is '5.5'; it must be {UNITS}"),
    ("stock", {"on_hand": "5 pcs"}, f"on_hand is '5 pcs'; it must be {UNITS}"),
    ("stock", {"on_hand": "1,000"}, f"on_hand is '1,000'; it must be {UNITS}"),
    ("stock", {"on_hand": 10**30}, f"on_hand is '{10**30}'; it must be {UNITS}"),
    ("stock", {"on_hand": "9" * 5_000}, f"on_hand is '{'9' * 60}…'; it must be {UNITS}"),
    ("stock", {"on_hand": True}, f"on_hand is 'True'; it must be {UNITS}"),
    (
        "stock",
        {"unavailable": "6"},
        "unavailable is 6 and on_hand 5; what is unavailable is part of what is on hand",
    ),
    ("stock", {"sku": ""}, f"sku is ''; it must be {KEY}"),
    ("stock", {"sku": " A"}, f"sku is ' A'; it must be {KEY}"),
    ("stock", {"sku": "A "}, f"sku is 'A '; it must be {KEY}"),
    ("stock", {"sku": "*"}, f"sku is '*'; it must be {KEY}"),
    ("stock", {"sku": 12}, f"sku is '12'; it must be {KEY}"),
    ("stock", {"sku": "A" * 101}, f"sku is '{'A' * 60}…'; it must be {KEY}"),
    ("stock", {"node_id": "N\0"}, f"node_id is 'N\0'; it must be {KEY}"),
    ("stock", {"node_id": ["N"]}, f"node_id is '['N']'; it must be {KEY}"),
    ("stock", {"as_of": "2026-01-31"}, f"as_of is '2026-01-31'; it must be {INSTANT}"),
    (
        "stock",
        {"as_of": "2026-01-31T08:00:00"},
        f"as_of is '2026-01-31T08:00:00'; it must be {INSTANT}",
    ),
    (
        "stock",
        {"as_of": "2027-01-31T08:00:00Z"},
        f"as_of is 2027-01-31T08:00:00+00:00; {ALREADY}",
    ),
    (
        "stock",
        {"as_of": 5},
        f"as_of is 1970-01-01T00:00:05+00:00; {ALREADY}",
    ),
    (
        "stock",
        {"onhand": "5"},
        "the row has an unknown column 'onhand' (did you mean 'on_hand'?)",
    ),
    (
        "stock",
        {"x" * 500: "5"},
        f"the row has an unknown column '{'x' * 60}…' (known are sku, node_id, on_hand, unavailable, as_of)",
    ),
    ("items", {"weight_grams": "0.25"}, "weight_grams is '0.25'; it must be whole grams from 0 to"),
    ("items", {"length_mm": "0"}, "length_mm is '0'; it must be whole millimeters from 1 to"),
    ("items", {"name": "x" * 301}, "it must be text of at most 300 characters"),
    ("items", {"requires": ["a"] * 51}, "it must be a list of at most 50 words (in CSV separated"),
    ("items", {"requires": "hazmat"}, "requires is 'hazmat'; it must be a list of at most 50"),
    ("items", {"requires": [""]}, "requires is '['']'; it must be a list of at most 50 words"),
    ("nodes", {"kind": "shop"}, "kind is 'shop'; it must be warehouse, store, supplier or partner"),
    ("nodes", {"country": "usa"}, "country is 'usa'; it must be a country of two capital letters"),
    ("nodes", {"latitude": "91"}, "latitude is '91'; it must be degrees from -90 to 90"),
    ("nodes", {"latitude": "nan"}, "latitude is 'nan'; it must be degrees from -90 to 90"),
    ("nodes", {"longitude": "41,9"}, "longitude is '41,9'; it must be degrees from -180 to 180"),
    (
        "nodes",
        {"time_zone": "Central"},
        "time_zone is 'Central'; it must be an IANA name such as America/Chicago",
    ),
    ("nodes", {"cut_off": "4pm"}, "cut_off is '4pm'; it must be a local time such as 16:00:00"),
    ("nodes", {"cut_off": "16:00:00Z"}, "it must be a local time such as 16:00:00, without an"),
    ("nodes", {"handling_days": "400"}, "it must be a whole number of days from 0 to 365"),
    ("nodes", {"handling_unit_minor": "-1"}, "it must be whole minor units of money from 0 to"),
    ("nodes", {"enabled": "yes"}, "enabled is 'yes'; it must be true or false"),
    ("nodes", {"capacity_unit": "pallets"}, "it must be orders or units"),
    (
        "nodes",
        {"capacity_maximum": "5"},
        "capacity_unit and capacity_maximum are only of use together",
    ),
    (
        "nodes",
        {"capacity_unit": "orders", "capacity_maximum": "5", "capacity_planned": "6"},
        "capacity_planned is 6 and capacity_maximum 5; what is planned must fit into the maximum",
    ),
    ("supply", {"kind": "gift"}, "kind is 'gift'; it must be purchase_order, transfer or"),
    ("supply", {"expected_on": "01.05.2026"}, "it must be a date such as 2026-01-31"),
    ("supply", {"trust_percent": "101"}, "it must be a whole number from 0 to 100"),
]


@pytest.mark.parametrize(("kind", "change", "reason"), REJECTED)
def test_a_bad_value_is_named_with_what_it_must_be(
    kind: str, change: dict[str, object], reason: str
) -> None:
    """The sentence is all that whoever sent the file gets to see."""
    with pytest.raises(RowError, match="^" + ".*" * (reason[:2] == "it") + re.escape(reason)):
        build_row(KINDS[kind], Line(1, {**GOOD[kind], **change}), NOW)


@pytest.mark.parametrize(
    ("kind", "column"), [(kind, column) for kind in GOOD for column in GOOD[kind]]
)
def test_a_missing_value_is_named_with_what_it_must_be(kind: str, column: str) -> None:
    """An empty cell is a missing value."""
    fields = {name: value for name, value in GOOD[kind].items() if name != column}

    with pytest.raises(RowError, match=f"^{column} is missing; it must be [a-z]"):
        build_row(KINDS[kind], Line(1, fields), NOW)


def test_texts_stand_for_every_type() -> None:
    """CSV has nothing else."""
    change = {
        "enabled": "false",
        "handling_days": "2",
        "capabilities": ["hazmat", "bulky"],
        "capacity_unit": "orders",
        "capacity_maximum": "40",
    }

    row = build_row(KINDS["nodes"], Line(1, {**GOOD["nodes"], **change}), NOW)

    assert isinstance(row, NodeRow)
    assert (row.latitude, row.cut_off, row.enabled) == (41.9, time(16), False)
    assert (row.handling_days, row.capabilities) == (2, ("hazmat", "bulky"))
    assert (row.capacity_maximum, row.capacity_planned) == (40, None)


def test_a_clock_that_is_a_little_ahead_is_no_reason_to_reject() -> None:
    """The exporter's clock is not ours."""
    as_of = (NOW + timedelta(minutes=4)).isoformat()

    row = build_row(KINDS["stock"], Line(1, {**GOOD["stock"], "as_of": as_of}), NOW)

    assert isinstance(row, StockRow)
    assert row.as_of == NOW + timedelta(minutes=4)
