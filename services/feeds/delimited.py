"""Comma separated values as people's tools write them, one broken row harming no other."""

import csv
from collections.abc import Iterator

from services.feeds.lines import TextLine, TextLines
from services.feeds.rows import LISTS, FileError, Kind, Line, RowError, check_columns

QUOTED_LINES_MAX = 20
"""Lines one quoted cell may span; beyond them the quote is taken for one that was never closed."""
WORD_END = "|"
"""What separates the words of a list within its cell."""

# What Python's parser says, and what it means for the person who has to mend the file.
MEANINGS = (
    ("new-line character", "a carriage return stands in a cell without quotes around it"),
    ("expected after", "text follows a closing quote; double every quote within a cell"),
    ("field larger", "a cell is longer than 131,072 characters"),
)


def read_csv(lines: TextLines, kind: Kind) -> Iterator[Line]:
    """Yield each row that is not blank; cells are texts, and an empty cell counts as absent.

    Raises `FileError` when the header cannot be read or its columns are not those of `kind`.
    """
    header = read_header(lines)
    check_columns(kind, header)
    lists = [name for name in header if name in LISTS]
    while (line := lines.take()) is not None:
        if line.reason is not None:
            yield line.rejected(line.reason)
            continue
        try:
            cells = parse_cells(line.text) or continue_quoted(line, lines)
        except RowError as error:
            yield line.rejected(str(error))
            continue
        if not any(cells):
            continue
        if len(cells) != len(header):
            reason = f"the row has {len(cells)} cells and the header {len(header)}"
            yield line.rejected(reason)
            continue
        fields: dict[str, object] = {
            name: cell for name, cell in zip(header, cells, strict=True) if cell
        }
        for name in lists:
            if name in fields:
                fields[name] = str(fields[name]).split(WORD_END)
        yield Line(line.number, fields)


def read_header(lines: TextLines) -> list[str]:
    """Return the names in the first line that is not blank; raises `FileError`."""
    while (line := lines.take()) is not None:
        try:
            cells = parse_cells(line.text)
        except RowError as error:
            raise FileError(f"The header in line {line.number} cannot be read: {error}.") from error
        if cells is None or line.reason is not None:
            reason = line.reason or "a quote is opened and not closed"
            raise FileError(f"The header in line {line.number} cannot be read: {reason}.")
        if any(cells):
            return refuse_other_separators([cell.strip() for cell in cells])
    raise FileError("The file has no header, only blank lines.")


def parse_cells(text: str) -> list[str] | None:
    """Return the cells of one row, or nothing when a quoted cell goes on in the next line.

    Raises `RowError` when it is no CSV.
    """
    try:
        # One parser per row: one that runs on would carry a broken quote into the rows after it.
        return next(csv.reader((text,), strict=True), None) or [""]
    except csv.Error as error:
        message = str(error)
        if message == "unexpected end of data":
            return None
        meaning = next((says for part, says in MEANINGS if part in message), message)
        raise RowError(meaning) from error


def continue_quoted(first: TextLine, lines: TextLines) -> list[str]:
    """Return the cells of a row whose quoted cell goes on over the next lines.

    A quote that is never closed must not swallow the rest of the file: after `QUOTED_LINES_MAX`
    lines `RowError` is raised for the first alone, and the others are read on their own.
    """
    taken: list[TextLine] = []
    text = first.text
    while len(taken) < QUOTED_LINES_MAX and (line := lines.take()) is not None:
        taken.append(line)
        if line.reason is not None:
            break
        text += line.text
        try:
            cells = parse_cells(text)
        except RowError:
            break
        if cells is not None:
            return cells
    lines.give_back(taken)
    raise RowError(f"a quote is opened and not closed within {QUOTED_LINES_MAX} lines")


def refuse_other_separators(header: list[str]) -> list[str]:
    """Return the header; raises `FileError` when something else than a comma separates it."""
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            raise FileError(f"The columns are separated by {name}; separate them by commas.")
    return header
