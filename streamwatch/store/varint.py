"""Whole numbers in as few bytes as they need: seven bits a byte, lowest first, the top bit set but in the last."""

from __future__ import annotations

from typing import Final

MAX_BITS: Final = 70  # ten bytes, as a 64-bit number needs


def put_unsigned(out: bytearray, number: int) -> None:
    """Appends a number >= 0."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def put_signed(out: bytearray, number: int) -> None:
    """Appends any number: small ones of either sign are short."""
    put_unsigned(out, number << 1 if number >= 0 else ~(number << 1))


class Reader:
    """Reads such numbers, and bytes, from the beginning on. Raises ValueError where the data ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise ValueError(f"packed data ends at byte {len(self._data)}, in the middle of a value")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def unsigned(self, most: int | None = None) -> int:
        """The next number >= 0; ValueError where it is more than `most`."""
        number = 0
        for shift in range(0, MAX_BITS, 7):
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte <= 0x7F:
                if most is not None and number > most:
                    raise ValueError(f"packed data has {number} where at most {most} can stand")
                return number
        raise ValueError("packed data has a number of more than ten bytes")

    def signed(self) -> int:
        """The next number of either sign."""
        number = self.unsigned()
        return number >> 1 if number & 1 == 0 else ~(number >> 1)
