"""Reading coded video bit by bit, as far as headers need it."""

from __future__ import annotations

from collections.abc import Iterator


class Bits:
    """Numbers in `data`, one behind the other. All raise IndexError at its end."""

    def __init__(self, data: bytes) -> None:
        self._text = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def take(self, count: int) -> int:
        """A number of `count` bits."""
        end = self._at + count
        if end > len(self._text):
            raise IndexError("a header is cut short")
        number = int(self._text[self._at : end] or "0", 2)
        self._at = end
        return number

    def golomb(self) -> int:
        """An unsigned Exp-Golomb number, ue(v) in ITU-T H.264 9.1."""
        zeros = self._text.find("1", self._at) - self._at
        if zeros < 0:
            raise IndexError("a header is cut short")
        return self.take(2 * zeros + 1) - 1

    def signed(self) -> int:
        """A signed Exp-Golomb number, se(v) in ITU-T H.264 9.1.1."""
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def skip_golombs(self, count: int) -> None:
        """Pass over `count` Exp-Golomb numbers, signed or not: both are as long."""
        for _ in range(count):
            self.golomb()


def unescaped(data: bytes) -> bytes:
    """A NAL unit without the bytes that keep start codes out of it."""
    return data.replace(b"\0\0\3", b"\0\0")


def units_after_codes(data: bytes) -> Iterator[bytes]:
    """NAL units that follow start codes (Annex B)."""
    yield from (unit for part in data.split(b"\0\0\1")[1:] if (unit := part.rstrip(b"\0")))


def units_after_lengths(data: bytes, width: int) -> Iterator[bytes]:
    """NAL units that follow their length, a number of `width` bytes. Raises IndexError if one is cut short."""
    at = 0
    while at < len(data):
        end = at + width + int.from_bytes(data[at : at + width])
        if end > len(data) or end == at + width:
            raise IndexError("a NAL unit is cut short")
        yield data[at + width : end]
        at = end
