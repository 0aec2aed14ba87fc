"""Reading a file a batch at a time: one larger than memory is no trouble.

What is wrong with one line is that line's reason; what is wrong with the whole file (its columns,
its encoding, its container) raises `FileError`.
"""

import codecs
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from services.feeds.delimited import read_csv
from services.feeds.lines import TextLines
from services.feeds.rows import FileError, Kind, Line, check_columns

BATCH_ROWS = 1_000
"""Rows read, checked and staged at a time."""
HASH_BYTES = 1 << 20
FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


class Batch(msgspec.Struct, frozen=True):
    """Some rows in the order of the file, and the share of the file read with them, 0 to 1."""

    lines: list[Line]
    share: float


def format_of(path: Path) -> str:
    """Return the format that a file's ending stands for; raises `FileError` at any other."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise FileError(
            f"The ending '{path.suffix}' stands for no format; give --format csv, jsonl or parquet."
        ) from None


def content_hash(path: Path) -> bytes:
    """Return the SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(HASH_BYTES):
            digest.update(piece)
    return digest.digest()


def read_batches(path: Path, form: str, kind: Kind) -> Iterator[Batch]:
    """Yield the rows of the file at `path`, of the format `form`.

    Raises `FileError` when the file is empty, not of its format, or lacks or exceeds the columns
    of its kind.
    """
    if path.stat().st_size == 0:
        raise FileError(
            "The file is empty, which is more likely a failed export than an empty network."
        )
    if form == "parquet":
        yield from read_parquet(path, kind)
        return
    with open_text(path) as text:
        rows = read_csv(text, kind) if form == "csv" else read_json_lines(text)
        while lines := list(islice(rows, BATCH_ROWS)):
            yield Batch(lines, text.position / text.size)


@contextmanager
def open_text(path: Path) -> Iterator[TextLines]:
    """Yield the lines of a UTF-8 file after its byte order mark; raises `FileError` at UTF-16."""
    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in start:
            raise FileError("The file is in UTF-16 or UTF-32; save it as UTF-8.")
        file.seek(len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0)
        yield TextLines(file)


def read_json_lines(lines: TextLines) -> Iterator[Line]:
    """Yield the object of each line that is not blank; null counts as absent."""
    decode = msgspec.json.Decoder().decode
    while (line := lines.take()) is not None:
        if line.reason is not None:
            yield line.rejected(line.reason)
            continue
        if not line.text.strip():
            continue
        try:
            fields = decode(line.text)
        except (msgspec.DecodeError, RecursionError) as error:
            yield line.rejected(f"the line is not JSON ({error})")
            continue
        if isinstance(fields, dict):
            yield Line(line.number, present(fields))
        else:
            yield line.rejected("the line is JSON, but not an object")


def read_parquet(path: Path, kind: Kind) -> Iterator[Batch]:
    """Yield the rows of a Parquet file; raises `FileError` when it is damaged."""
    try:
        with pq.ParquetFile(path) as file:
            check_columns(kind, file.schema_arrow.names)
            total, done = max(file.metadata.num_rows, 1), 0
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                rows = plain(batch).to_pylist()
                lines = [
                    Line(number, present(row)) for number, row in enumerate(rows, start=done + 1)
                ]
                done += len(lines)
                yield Batch(lines, done / total)
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"The file cannot be read as Parquet: {error}.") from error


def plain(batch: Any) -> Any:
    """Return the record batch with the types exporters choose turned into the ones we expect.

    Databases write whole numbers as decimals, which texts stand for; instants in nanoseconds have no
    Python value. Everything else is left to the check of the row.
    """
    columns = []
    for column in batch.columns:
        kind = column.type
        if pa.types.is_decimal(kind):
            columns.append(column.cast(pa.string()))
        elif pa.types.is_timestamp(kind):
            columns.append(column.cast(pa.timestamp("us", kind.tz), safe=False))
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def present(fields: dict[str, object]) -> dict[str, object]:
    """Return the fields that have a value."""
    if None not in fields.values():
        return fields
    return {name: value for name, value in fields.items() if value is not None}
