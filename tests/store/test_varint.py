"""Numbers in as few bytes as they need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.store.varint import Reader, put_signed, put_unsigned


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_numbers_are_read_back(numbers: list[int]) -> None:
    """Any row of 64-bit numbers, of either sign, comes back; nothing is left over."""
    out = bytearray()
    for number in numbers:
        put_signed(out, number)
        put_unsigned(out, abs(number))
    reader = Reader(bytes(out))

    assert [(reader.signed(), reader.unsigned()) for _ in numbers] == [(number, abs(number)) for number in numbers]
    with pytest.raises(ValueError, match="ends at byte"):
        reader.byte()


@pytest.mark.parametrize(("number", "length"), [(0, 1), (-1, 1), (63, 1), (-64, 1), (64, 2), (8191, 2), (8192, 3)])
def test_small_numbers_are_short(number: int, length: int) -> None:
    """Seven bits a byte, the sign among them."""
    out = bytearray()
    put_signed(out, number)

    assert len(out) == length


def test_what_is_too_large_or_cut_off_is_refused() -> None:
    """A number beyond what can stand there, one without an end, and one that the data does not hold."""
    for data, words in ((b"\x05", "at most 4"), (b"\xff" * 20, "more than ten bytes"), (b"\x80", "ends at byte 1")):
        with pytest.raises(ValueError, match=words):
            Reader(data).unsigned(4)
