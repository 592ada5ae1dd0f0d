"""RTCP that we write, and BYE of the right source."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.wire.rtcp import is_rtcp, receiver_report, says_bye

BYE = struct.pack("!BBHI", 0x81, 203, 1, 7)
SENDER = struct.pack("!BBHI", 0x80, 200, 6, 7) + bytes(20)


@given(st.integers(0, 2**32 - 1))
def test_a_receiver_report_is_a_valid_compound(ssrc: int) -> None:
    """RFC 3550 section 6.1: whole words, first a report, then a CNAME that ends with zeros."""
    data = receiver_report(ssrc)
    assert is_rtcp(data) and len(data) % 4 == 0
    count, kind, words, source = struct.unpack_from("!BBHI", data)
    assert (count, kind, words, source) == (0x80, 201, 1, ssrc)
    count, kind, words, source = struct.unpack_from("!BBHI", data, 8)
    assert (count, kind, source) == (0x81, 202, ssrc) and 8 + (words + 1) * 4 == len(data)
    items = data[16:]
    assert items[0] == 1 and items[2 : 2 + items[1]] == f"{ssrc:08x}".encode()
    assert items[2 + items[1] :].strip(b"\0") == b"" and items[-1] == 0


@pytest.mark.parametrize(
    ("data", "ssrc", "expected"),
    [
        (BYE, 7, True),
        (SENDER + BYE, 7, True),
        (BYE, 8, False),
        (BYE, None, False),
        (SENDER, 7, False),
        (BYE[:6], 7, False),
        (struct.pack("!BBHII", 0x82, 203, 2, 8, 7), 7, True),
        (struct.pack("!BBHII", 0x81, 203, 2, 8, 7), 7, False),
        (b"", 7, False),
        (struct.pack("!BBH", 0x9F, 203, 0), 7, False),
        (BYE[:2] + b"\xff\xff" + BYE[4:], 7, False),
        (b"\x80\xc9\x00\x00" * 40 + BYE, 7, False),
    ],
)
def test_bye(data: bytes, ssrc: int | None, expected: bool) -> None:
    """Only of the source that is ours, only whole, only among the first packets of a compound."""
    assert says_bye(data, ssrc) is expected


@given(st.binary(max_size=80))
def test_any_bytes_are_survived(data: bytes) -> None:
    """Whatever comes to a port."""
    says_bye(data, 7)
    is_rtcp(data)
