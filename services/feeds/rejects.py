"""The rejects file: each row that was not applied, with its line and the reason in a sentence."""

from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from services.feeds.rows import FileError


class Rejected(msgspec.Struct, frozen=True):
    """One rejected row: its line in the file (Parquet: its row), the reason, and what it said."""

    line: int
    reason: str
    row: dict[str, object]


class RejectsFile:
    """Writes rejected rows as JSON Lines; without any, no file is left, not even an old one."""

    def __init__(self, path: Path, group: str | None = None) -> None:
        """Prepare to write to `path`, which is replaced on entering.

        With `group`, a column, the values it has in rejected rows are kept in `groups`.
        """
        self.path = path
        self.group = group
        self.groups: set[str] = set()
        self.rows = 0
        self.file: BinaryIO | None = None
        self.encode = msgspec.json.Encoder(enc_hook=str).encode

    def __enter__(self) -> Self:
        """Open the file; raises `FileError` when it cannot be written."""
        try:
            self.file = self.path.open("wb")
        except OSError as error:
            raise FileError(
                f"Rejected rows cannot be written to {self.path} ({error.strerror}); "
                "name another file with --rejects."
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file, and remove it when nothing was rejected."""
        if self.file is not None:
            self.file.close()
        if self.rows == 0:
            self.path.unlink(missing_ok=True)

    def write(self, rejected: Rejected) -> None:
        """Append a rejected row."""
        if self.file is None:
            raise RuntimeError(f"{self.path} is not open")
        self.file.write(self.encode(rejected) + b"\n")
        self.rows += 1
        value = rejected.row.get(self.group) if self.group else None
        if isinstance(value, str):
            self.groups.add(value)
