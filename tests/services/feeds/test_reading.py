"""What the readers make of files as people and their tools write them."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.feeds import delimited, lines, readers
from services.feeds.readers import format_of, read_batches
from services.feeds.rows import (
    KINDS,
    FileError,
    ItemRow,
    Line,
    RowError,
    StockRow,
    SupplyRow,
    build_row,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

Write = Callable[[str, bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes bytes into a file and returns its path."""

    def write_file(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write_file


def read(path: Path, kind: str = "stock") -> list[Line]:
    """Return every line of a file."""
    batches = read_batches(path, format_of(path), KINDS[kind])
    return [line for batch in batches for line in batch.lines]


def fields(path: Path, kind: str = "stock") -> list[dict[str, object]]:
    """Return the fields of every line, all of which must be readable."""
    found = read(path, kind)
    assert [line.reason for line in found if line.reason] == []
    return [line.fields for line in found]


PLAIN = [{"sku": "A", "node_id": "N", "on_hand": "5"}, {"sku": "B", "node_id": "N", "on_hand": "0"}]


@pytest.mark.parametrize(
    "content",
    [
        b"sku,node_id,on_hand\nA,N,5\nB,N,0\n",
        b"sku,node_id,on_hand\nA,N,5\nB,N,0",
        b"\xef\xbb\xbfsku,node_id,on_hand\nA,N,5\nB,N,0\n",
        b"sku,node_id,on_hand\r\nA,N,5\r\nB,N,0\r\n",
        b'"sku","node_id","on_hand"\n"A","N","5"\n"B","N","0"\n',
        b"\nsku, node_id ,on_hand\n\nA,N,5\n,,\nB,N,0\n\n",
        b"on_hand,node_id,sku,as_of\n5,N,A,\n0,N,B,\n",
    ],
    ids=["plain", "no end", "byte order mark", "CRLF", "quoted", "blank lines", "other order"],
)
def test_one_table_written_in_many_ways_reads_the_same(write: Write, content: bytes) -> None:
    """Spreadsheets, databases and scripts each have their own idea of CSV."""
    assert fields(write("stock.csv", content)) == PLAIN


def test_a_row_keeps_the_line_number_a_text_editor_shows(write: Write) -> None:
    """Whoever mends the file looks for that number."""
    path = write("items.csv", b'sku,name,weight_grams\n\nA,"two\nlines",1\nB,plain,2\n')

    assert [line.number for line in read(path, "items")] == [3, 5]


def test_quotes_hold_commas_and_quotes(write: Write) -> None:
    """A name may say 12" and contain a comma."""
    path = write("items.csv", b'sku,name,weight_grams\nA,"Pan, 12"" wide",900\nB,12" pan,900\n')

    assert [row["name"] for row in fields(path, "items")] == ['Pan, 12" wide', '12" pan']


def test_a_quote_that_is_never_closed_costs_one_row(write: Write) -> None:
    """A parser that runs on would take the rest of the file for one cell."""
    rows = b"".join(b"S%d,ok,1\n" % number for number in range(200))
    path = write("items.csv", b'sku,name,weight_grams\nA,"broken,1\n' + rows)

    found = read(path, "items")

    assert [line.reason for line in found if line.reason] == [
        f"a quote is opened and not closed within {delimited.QUOTED_LINES_MAX} lines"
    ]
    assert len(found) == 201


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"A,N", "the row has 2 cells and the header 3"),
        (b"A,N,5,6", "the row has 4 cells and the header 3"),
        (b'A,"N"x,5', "text follows a closing quote; double every quote within a cell"),
        (b"A,N\r,5", "a carriage return stands in a cell without quotes around it"),
        (b"A,caf\xe9,5", "byte 6 of the line is not UTF-8; save the file as UTF-8"),
        (b"A,N," + b"9" * 70_000, "the line is longer than 65,536 bytes"),
        (b"A,N," + b"9" * 700_000, "the line is longer than 65,536 bytes"),
    ],
    ids=["short", "long", "after quote", "lone CR", "latin-1", "huge", "larger than two buffers"],
)
def test_a_row_that_cannot_be_read_harms_no_other(write: Write, row: bytes, reason: str) -> None:
    """Of a million rows one is always odd."""
    path = write("stock.csv", b"sku,node_id,on_hand\nA,N,1\n" + row + b"\nB,N,2\n")

    found = read(path)

    assert [line.reason for line in found] == [None, reason, None]
    assert [line.number for line in found] == [2, 3, 4]
    assert len(str(found[1].fields)) < 200


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty, which is more likely a failed export than an empty network."),
        (b"\n\n", "The file has no header, only blank lines."),
        (b"sku,node_id\n", "The file lacks the column on_hand; stock need sku, node_id, on_hand."),
        (b"sku\n", "lacks the columns node_id, on_hand;"),
        (b"sku,node_id,onhand\n", "unknown column 'onhand' (did you mean 'on_hand'?)."),
        (b"sku,node_id,on_hand,colour\n", "unknown column 'colour' (known are sku, node_id,"),
        (b"sku,sku,node_id,on_hand\n", "The column 'sku' is there twice; leave one."),
        (b"sku;node_id;on_hand\n", "The columns are separated by semicolons; separate them by"),
        (b"sku\tnode_id\ton_hand\n", "The columns are separated by tabs; separate them by"),
        ("sku,node_id,on_hand\n".encode("utf-16"), "The file is in UTF-16 or UTF-32; save it as"),
        ("sku,node_id,on_hand\n".encode("utf-16-le"), "The file is in UTF-16 or UTF-32; save it"),
        (b"sku,node_id,caf\xe9\n", "The header in line 1 cannot be read: byte 16 of the line is"),
        (b'sku,"node_id,on_hand\n', "The header in line 1 cannot be read: a quote is opened"),
    ],
)
def test_a_table_with_the_wrong_columns_is_refused_by_name(
    write: Write, content: bytes, sentence: str
) -> None:
    """A misspelled optional column would otherwise be dropped in silence."""
    with pytest.raises(FileError) as refused:
        read(write("stock.csv", content))

    assert sentence in str(refused.value)


def test_a_header_alone_is_a_table_without_rows(write: Write) -> None:
    """A feed with nothing to say is lawful."""
    assert read(write("stock.csv", b"sku,node_id,on_hand\n")) == []


def test_lists_are_words_between_bars(write: Write) -> None:
    """CSV has no lists, and a comma separates columns."""
    path = write("items.csv", b"sku,weight_grams,requires\nA,1,hazmat|bulky\nB,1,\n")

    assert [row.get("requires") for row in fields(path, "items")] == [["hazmat", "bulky"], None]


def test_json_lines_are_objects(write: Write) -> None:
    """Null counts as absent, so that an exporter may write every column."""
    path = write(
        "stock.jsonl",
        b'\xef\xbb\xbf{"sku":"A","node_id":"N","on_hand":5,"as_of":null}\r\n\n'
        b'{"sku":"B","node_id":"N","on_hand":"0"}',
    )

    assert fields(path) == [
        {"sku": "A", "node_id": "N", "on_hand": 5},
        {"sku": "B", "node_id": "N", "on_hand": "0"},
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1, 2]", "the line is JSON, but not an object"),
        (b'{"sku": ', "the line is not JSON (Input data was truncated)"),
        (b'{"sku": NaN}', "the line is not JSON (JSON is malformed: invalid character (byte 8))"),
        (b"[" * 5_000, "the line is not JSON ("),
        (b'{"sku":"\xff"}', "byte 9 of the line is not UTF-8; save the file as UTF-8"),
    ],
    ids=["array", "cut off", "not a number", "deeply nested", "latin-1"],
)
def test_a_line_that_is_no_object_harms_no_other(write: Write, line: bytes, reason: str) -> None:
    """As with CSV."""
    good = b'{"sku":"A","node_id":"N","on_hand":5}\n'

    found = read(write("stock.jsonl", good + line + b"\n" + good))

    assert [each.reason is None for each in found] == [True, False, True]
    assert str(found[1].reason).startswith(reason)


def test_parquet_types_that_databases_write_are_understood(tmp_path: Path) -> None:
    """Whole numbers come as decimals or floats, texts as dictionaries, instants in nanoseconds."""
    path = tmp_path / "stock.parquet"
    instant = datetime(2026, 1, 31, 8, tzinfo=UTC)
    table = pa.table(
        {
            "sku": pa.array(["A", "B"]).dictionary_encode(),
            "node_id": pa.array(["N", "N"], pa.large_string()),
            "on_hand": pa.array([Decimal(5), Decimal(0)], pa.decimal128(38, 0)),
            "as_of": pa.array([instant, None], pa.timestamp("ns", "America/Chicago")),
        }
    )
    pq.write_table(table, path)

    rows = [build_row(KINDS["stock"], line, NOW) for line in read(path)]

    assert rows == [
        StockRow(sku="A", node_id="N", on_hand=5, as_of=instant),
        StockRow(sku="B", node_id="N", on_hand=0),
    ]


def test_parquet_floats_dates_and_lists_are_understood(tmp_path: Path) -> None:
    """A column with gaps becomes floats in many tools."""
    supply, items = tmp_path / "supply.parquet", tmp_path / "items.parquet"
    row = {"sku": "A", "supply_id": "P", "node_id": "N", "kind": "transfer"}
    dated = {"expected_on": date(2026, 5, 1), "quantity": 7.0, "trust_percent": None}
    pq.write_table(pa.Table.from_pylist([row | dated]), supply)
    pq.write_table(
        pa.Table.from_pylist([{"sku": "A", "weight_grams": 10, "requires": ["hazmat"]}]), items
    )

    (received,) = [build_row(KINDS["supply"], line, NOW) for line in read(supply, "supply")]
    (item,) = [build_row(KINDS["items"], line, NOW) for line in read(items, "items")]

    assert received == SupplyRow(
        sku="A",
        supply_id="P",
        node_id="N",
        kind="transfer",
        expected_on=date(2026, 5, 1),
        quantity=7,
        trust_percent=100,
    )
    assert item == ItemRow(sku="A", weight_grams=10, requires=("hazmat",))


def test_parquet_rows_of_a_wrong_type_say_so(tmp_path: Path) -> None:
    """A number has lost its leading zeros before it got here, so it is no sku."""
    path = tmp_path / "stock.parquet"
    naive = pa.array([datetime(2026, 1, 31, 8)], pa.timestamp("us"))  # noqa: DTZ001
    pq.write_table(pa.table({"sku": ["A"], "node_id": [7], "on_hand": [1], "as_of": naive}), path)
    (line,) = read(path)

    with pytest.raises(RowError, match=r"^node_id is '7'; it must be text of 1 to 100"):
        build_row(KINDS["stock"], line, NOW)
    with pytest.raises(RowError, match=r"^as_of is '2026-01-31 08:00:00'; it must be an instant"):
        build_row(KINDS["stock"], Line(1, {**line.fields, "node_id": "N"}), NOW)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path, write: Write) -> None:
    """An upload that broke off half way is the usual cause."""
    whole = tmp_path / "whole.parquet"
    pq.write_table(
        pa.table({"sku": ["A"] * 100, "node_id": ["N"] * 100, "on_hand": [1] * 100}), whole
    )

    for content in (whole.read_bytes()[:-20], b"PAR1, not really", whole.read_bytes()[20:]):
        with pytest.raises(FileError, match=r"^The file cannot be read as Parquet: "):
            read(write("cut.parquet", content))


def test_an_unknown_parquet_column_is_refused_by_name(tmp_path: Path) -> None:
    """As with CSV."""
    path = tmp_path / "stock.parquet"
    pq.write_table(pa.table({"sku": ["A"], "node": ["N"], "on_hand": [1]}), path)

    with pytest.raises(FileError, match=r"unknown column 'node' \(did you mean 'node_id'\?\)"):
        read(path)


def test_an_ending_that_stands_for_no_format_is_refused(tmp_path: Path) -> None:
    """Guessing from the content would one day guess wrong."""
    with pytest.raises(FileError, match=r"'.xlsx' stands for no format; give --format csv, jsonl"):
        format_of(tmp_path / "stock.xlsx")


def test_a_file_is_never_in_memory_as_a_whole(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches have a limit, and so has every line, with or without an end."""
    monkeypatch.setattr(readers, "BATCH_ROWS", 10)
    monkeypatch.setattr(lines, "LINE_BYTES_MAX", 100)
    path = write("stock.csv", b"sku,node_id,on_hand\n" + b"A,N,5\n" * 35 + b"x" * 1_000)

    batches = list(read_batches(path, "csv", KINDS["stock"]))

    assert [len(batch.lines) for batch in batches] == [10, 10, 10, 6]
    assert [batch.share for batch in batches] == sorted(batch.share for batch in batches)
    assert batches[-1].share == 1.0
    assert batches[-1].lines[-1].reason == "the line is longer than 100 bytes"
