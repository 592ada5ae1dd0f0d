"""Addresses: origin, path and credentials, as people and devices write them."""

from __future__ import annotations

import pytest

from streamwatch.errors import UsageError
from streamwatch.model.report import Credentials
from streamwatch.wire.url import Origin, parse_address


@pytest.mark.parametrize(
    ("url", "origin", "clean", "credentials"),
    [
        ("rtsp://192.0.2.7/live", Origin("rtsp", "192.0.2.7", 554), "rtsp://192.0.2.7/live", None),
        ("RTSP://Cam.Example.:8554", Origin("rtsp", "cam.example", 8554), "RTSP://Cam.Example.:8554", None),
        ("rtsps://h/x", Origin("rtsps", "h", 322), "rtsps://h/x", None),
        ("rtsp://[2001:db8::1]:99/x", Origin("rtsp", "2001:db8::1", 99), "rtsp://[2001:db8::1]:99/x", None),
        ("rtsp://::ffff:192.0.2.7/", Origin("rtsp", "192.0.2.7", 554), "rtsp://::ffff:192.0.2.7/", None),
        ("rtsp://u:p@h/a", Origin("rtsp", "h", 554), "rtsp://h/a", ("u", "p")),
        ("rtsp://u:p%40%3a@h/a", Origin("rtsp", "h", 554), "rtsp://h/a", ("u", "p@:")),
        ("rtsp://u:p@ss:w@h:554/a", Origin("rtsp", "h", 554), "rtsp://h:554/a", ("u", "p@ss:w")),
        ("rtsp://admin:pa/ss#1@h/a", Origin("rtsp", "h", 554), "rtsp://h/a", ("admin", "pa/ss#1")),
        ("rtsp://u:p:@/1@h:554/a", Origin("rtsp", "h", 554), "rtsp://h:554/a", ("u", "p:@/1")),
        ("rtsp://h/live@1?x=a@b", Origin("rtsp", "h", 554), "rtsp://h/live@1?x=a@b", None),
        ("rtsp://h:554/live@1", Origin("rtsp", "h", 554), "rtsp://h:554/live@1", None),
        ("rtsp://h?channel=1", Origin("rtsp", "h", 554), "rtsp://h?channel=1", None),
    ],
)
def test_addresses(url: str, origin: Origin, clean: str, credentials: tuple[str, str] | None) -> None:
    """Origin, the address without credentials, and the credentials."""
    found = parse_address(url)
    assert (found.origin, found.url) == (origin, clean)
    assert found.credentials == (None if credentials is None else Credentials(*credentials))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h/x",
        "http://h/",
        "file:///etc/passwd",
        "rtsp://",
        "rtsp:///x",
        "rtsp://h:0/",
        "rtsp://h:65536/",
        "rtsp://h:x/",
        "rtsp://h/a b",
        "rtsp://h/\r\nX: y",
        "rtsp://[::1/x",
        "rtsp://[::1]x/",
        "rtsp://h/" + "x" * 2048,
        "rtsp://u@h:/x@other/",  # without its credentials it would be the other's
    ],
)
def test_what_is_no_address(url: str) -> None:
    """The error says what is wrong with it."""
    with pytest.raises(UsageError):
        parse_address(url)


def test_the_error_never_repeats_a_password() -> None:
    """Also where the address is broken."""
    for url in ("rtsp://u:s3cret@h:99999/", "rtsp://u:s3cret@", "rtsp://u:s3cret@h/ x", "http://u:s3cret@h/"):
        with pytest.raises(UsageError) as raised:
            parse_address(url)
        assert "s3cret" not in str(raised.value)


def test_an_address_that_people_type_is_one_that_can_be_sent() -> None:
    """Characters without a byte on the wire are written as IRIs are; a host of such characters is refused by name."""
    assert parse_address("rtsp://192.0.2.7/通道1?é").url == "rtsp://192.0.2.7/%E9%80%9A%E9%81%931?é"
    with pytest.raises(UsageError, match="ASCII"):
        parse_address("rtsp://摄像头.cn/x")


def test_a_dot_at_the_end_hides_no_literal() -> None:
    """A host is the same with and without it, also where it is an address."""
    for with_dot, without in (
        ("[08::7.]", "[8::7]"),
        ("[::ffff:192.0.2.7.]", "192.0.2.7"),
        ("192.0.2.7.", "192.0.2.7"),
        ("h.", "h"),
    ):
        assert parse_address(f"rtsp://{with_dot}/").origin == parse_address(f"rtsp://{without}/").origin
