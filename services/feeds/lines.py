"""Lines of a text file: each of bounded length, with its number and, if unreadable, its reason."""

import os
from collections import deque
from typing import BinaryIO

import msgspec

from services.feeds.rows import SHOWN_MAX, Line, shown

LINE_BYTES_MAX = 65_536
"""A longer line is rejected; without a limit a file without line ends would fill the memory."""


class TextLine(msgspec.Struct, frozen=True, gc=False):
    """A physical line; with a `reason` it is unreadable and its text only for showing."""

    number: int
    text: str
    reason: str | None = None

    def rejected(self, reason: str) -> Line:
        """Return the row of this line as one that cannot be read."""
        return Line(self.number, {"text": shown(self.text.rstrip("\r\n"))}, reason)


class TextLines:
    """The lines of a UTF-8 file, which can be given back once taken."""

    def __init__(self, file: BinaryIO) -> None:
        """Read on from where `file` stands."""
        self.file = file
        self.size = os.fstat(file.fileno()).st_size
        self.number = 0
        self.returned: deque[TextLine] = deque()

    @property
    def position(self) -> int:
        """Bytes read, of `size`."""
        return self.file.tell()

    def take(self) -> TextLine | None:
        """Return the next line, or nothing at the end."""
        if self.returned:
            return self.returned.popleft()
        data = self.file.readline(LINE_BYTES_MAX)
        if not data:
            return None
        self.number += 1
        if len(data) == LINE_BYTES_MAX and not data.endswith(b"\n"):
            self.skip_rest()
            start = data[: 4 * SHOWN_MAX].decode(errors="replace")
            return TextLine(self.number, start, f"the line is longer than {LINE_BYTES_MAX:,} bytes")
        try:
            return TextLine(self.number, data.decode())
        except UnicodeDecodeError as error:
            reason = f"byte {error.start + 1} of the line is not UTF-8; save the file as UTF-8"
            return TextLine(self.number, data.decode(errors="replace"), reason)

    def skip_rest(self) -> None:
        """Read to the end of a line that is too long, without keeping it."""
        while (piece := self.file.readline(LINE_BYTES_MAX)) and not piece.endswith(b"\n"):
            pass

    def give_back(self, lines: list[TextLine]) -> None:
        """Let these lines be taken again, in their order."""
        self.returned.extendleft(reversed(lines))
