"""Server-sent events from bytes that may be split anywhere. It knows nothing of what the data means.

Rules: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream, except that an event
whose blank line never came is kept for `close` (some vendors end right after the last line).
"""

LONGEST_EVENT = 16 * 1024 * 1024
"""Bytes that are held for an event to become whole."""

BOM = b"\xef\xbb\xbf"


class SseParser:
    """Feed it what arrives; it gives back the data of the events that became complete, in order."""

    __slots__ = ("_after_cr", "_begun", "_data", "_data_size", "_line", "_line_size")

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._line_size = self._data_size = 0
        self._after_cr = False
        self._begun = False

    def feed(self, piece: bytes) -> list[bytes]:
        """Raises ValueError when an event is longer than `LONGEST_EVENT`."""
        events = self._feed(piece)
        if self._line_size + self._data_size > LONGEST_EVENT:
            raise ValueError("an event is too long")
        return events

    def _feed(self, piece: bytes) -> list[bytes]:
        if not self._begun and piece:
            self._begun = True
            piece = piece.removeprefix(BOM)
        if self._after_cr or b"\r" in piece:
            piece = self._without_cr(piece)
        if b"\n" not in piece:
            # A long line in small pieces: joined once, when it ends.
            if piece:
                self._line.append(piece)
                self._line_size += len(piece)
            return []
        lines = piece.split(b"\n")
        if self._line:
            lines[0] = b"".join((*self._line, lines[0]))
            self._line.clear()
        last = lines.pop()
        self._line_size = len(last)
        if last:
            self._line.append(last)
        return self._events(lines)

    def close(self) -> list[bytes]:
        """The event that was still open when the body ended, if any."""
        rest = b"".join(self._line)
        self._line.clear()
        return self._events([rest, b""] if rest else [b""])

    def _events(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        data = self._data
        for line in lines:
            if not line:
                if data:
                    events.append(data[0] if len(data) == 1 else b"\n".join(data))
                    data.clear()
                    self._data_size = 0
            elif line.startswith(b"data:"):
                self._data_size += len(line) + 1
                data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        return events

    def _without_cr(self, piece: bytes) -> bytes:
        """CRLF and CR alone end a line too; a CRLF may be split between two pieces."""
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
        if piece:
            self._after_cr = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class EventBlocks:
    """Cuts the bytes of a stream after the last event that is whole, and changes nothing of them."""

    __slots__ = ("_held", "_size", "_tail")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._tail = b""

    def feed(self, piece: bytes) -> bytes:
        """The events that are whole by now. Raises ValueError when one is longer than `LONGEST_EVENT`."""
        if not self._held and piece.endswith(b"\n\n"):
            return piece
        # A blank line may be split between two pieces.
        near = self._tail + piece
        bare, with_cr = near.rfind(b"\n\n"), near.rfind(b"\n\r\n")
        if bare < 0 and with_cr < 0:
            return self._hold(piece, near)
        end = bare + 2 if bare > with_cr else with_cr + 3
        end -= len(self._tail)
        block = b"".join((*self._held, piece[:end]))
        self._held, self._size, self._tail = [], 0, b""
        if rest := piece[end:]:
            self._hold(rest, rest)
        return block

    def close(self) -> bytes:
        """What came after the last whole event."""
        return b"".join(self._held)

    def _hold(self, piece: bytes, near: bytes) -> bytes:
        self._held.append(piece)
        self._size += len(piece)
        if self._size > LONGEST_EVENT:
            raise ValueError("an event is too long")
        self._tail = near[-2:]
        return b""
