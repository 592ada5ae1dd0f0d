"""Makers: by any of their names to the addresses of their streams; no guess where none is known."""

from __future__ import annotations

import pytest

from streamwatch.inventory.addresses import split_address
from streamwatch.inventory.columns import RECORDER_KINDS
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ParsedFile
from streamwatch.inventory.vendors import (
    VENDOR_OF_RECORDER,
    VENDORS,
    Addresses,
    VendorError,
    channel_number,
    stream_addresses,
    vendor_of,
)
from tests.inventory.written import refused, values


def cameras(head: str, *rows: str) -> ParsedFile:
    """A list of cameras that was read."""
    return parse_file("\n".join((head, *rows)).encode(), "cameras")


@pytest.mark.parametrize("name", ["海康", "海康威视", "Hikvision", "HIKVISION", "hik", "1", "１", " hik-vision"])
def test_a_maker_goes_by_many_names(name: str) -> None:
    """Chinese, English, short, and its number in 一机一档."""
    found = vendor_of(name)
    assert found is not None
    assert found.key == "hikvision"


@pytest.mark.parametrize(
    ("vendor", "port", "channel", "main", "sub"),
    [
        ("hikvision", None, None, "rtsp://192.0.2.7/Streaming/Channels/101", "rtsp://192.0.2.7/Streaming/Channels/102"),
        (
            "海康",
            8554,
            "D12",
            "rtsp://192.0.2.7:8554/Streaming/Channels/1201",
            "rtsp://192.0.2.7:8554/Streaming/Channels/1202",
        ),
        (
            "dahua",
            554,
            3,
            "rtsp://192.0.2.7:554/cam/realmonitor?channel=3&subtype=0",
            "rtsp://192.0.2.7:554/cam/realmonitor?channel=3&subtype=1",
        ),
        ("宇视", None, None, "rtsp://192.0.2.7/media/video1", "rtsp://192.0.2.7/media/video2"),
        ("宇视", None, "2", "rtsp://192.0.2.7/unicast/c2/s0/live", "rtsp://192.0.2.7/unicast/c2/s1/live"),
        ("tp-link", None, "1", "rtsp://192.0.2.7/stream1", "rtsp://192.0.2.7/stream2"),
    ],
)
def test_addresses_by_maker(vendor: str, port: int | None, channel: str | int | None, main: str, sub: str) -> None:
    """Main and sub stream; a recorder's channel where one is given."""
    assert stream_addresses(vendor, "192.0.2.7", port, channel) == Addresses(main, sub)


def test_every_template_is_an_address() -> None:
    """Of every maker that has one, for a camera and for a channel, at a name and at IPv6."""
    count = 0
    for vendor in VENDORS.values():
        for channel in (None, 1):
            for host in ("cam.example", "2001:db8::7"):
                if vendor.camera or vendor.channel:
                    found = stream_addresses(vendor.key, host, None, channel)
                    assert split_address(found.main).url == found.main
                    assert found.sub is None or split_address(found.sub).host == host
                    count += 1
    assert count > 12


@pytest.mark.parametrize(
    ("vendor", "host", "port", "channel", "column", "code"),
    [
        ("科达", "h.x", None, None, "vendor", "no_template"),
        ("雄迈", "h.x", None, None, "vendor", "no_template"),
        ("Acme", "h.x", None, None, "vendor", "no_template"),
        ("tplink", "h.x", None, 2, "channel", "no_template"),
        ("hik", "h.x", 8000, None, "port", "bad_port"),
        ("hik", "h.x", None, "0", "channel", "bad_number"),
        ("hik", "h.x", None, "1000", "channel", "bad_number"),
        ("hik", "192.0.2.256", None, None, "host", "bad_url"),
        ("hik", "a b", None, None, "host", "bad_url"),
    ],
)
def test_what_is_not_known_is_not_guessed(
    vendor: str, host: str, port: int | None, channel: str | int | None, column: str, code: str
) -> None:
    """The error says which column is at fault and asks for the whole address."""
    with pytest.raises(VendorError) as caught:
        stream_addresses(vendor, host, port, channel)
    assert (caught.value.column, caught.value.code) == (column, code)


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("01", 1), ("D3", 3), ("通道12", 12), ("CH-7", 7), ("IPC 5", 5)]
)
def test_channels_as_lists_write_them(text: str, number: int) -> None:
    """With a letter or word before the number."""
    assert channel_number(text) == number


def test_kinds_of_recorders_have_makers_with_channels() -> None:
    """What the store fills in for cameras behind a recorder."""
    for kind, vendor in VENDOR_OF_RECORDER.items():
        assert kind in RECORDER_KINDS
        assert VENDORS[vendor].channel is not None


def test_a_bare_host_beside_its_maker_is_enough() -> None:
    """In url with or without port, or in a column of its own; an address that is given wins."""
    file = cameras(
        "code,name,village,url,vendor,channel,host,sub_url",
        "1,a,V,192.0.2.7,海康,,,",
        "2,a,V,192.0.2.7:8554,dahua,2,,",
        "3,a,V,,unv,,192.0.2.8,",
        "4,a,V,rtsp://192.0.2.9/x,海康,,192.0.2.8,",
        "5,a,V,,hik,,2001:db8::7,rtsp://u:p@[2001:db8::7]/y",
    )

    assert refused(file) == []
    assert [(row["url"], row["sub_url"]) for row in values(file)] == [
        ("rtsp://192.0.2.7/Streaming/Channels/101", "rtsp://192.0.2.7/Streaming/Channels/102"),
        (
            "rtsp://192.0.2.7:8554/cam/realmonitor?channel=2&subtype=0",
            "rtsp://192.0.2.7:8554/cam/realmonitor?channel=2&subtype=1",
        ),
        ("rtsp://192.0.2.8/media/video1", "rtsp://192.0.2.8/media/video2"),
        ("rtsp://192.0.2.9/x", None),
        ("rtsp://[2001:db8::7]/Streaming/Channels/101", "rtsp://[2001:db8::7]/y"),
    ]
    assert values(file)[4]["username"] == "u"


def test_a_camera_behind_a_recorder_needs_no_address() -> None:
    """Recorder and channel are taken: the import makes its addresses. One of the two is too little."""
    head = "code,name,village,recorder,recorder_channel"
    file = cameras(head, "1,a,V,R1,3", "2,a,V,R1,", "3,a,V,,3")
    half = cameras(f"{head},sub_url", "1,a,V,R1,3,rtsp://h/")

    assert values(file) == [
        {
            "code": "1",
            "name": "a",
            "village": "V",
            "recorder": "R1",
            "recorder_channel": "3",
            "url": None,
            "username": None,
            "password": None,
        }
    ]
    assert file.quiet == ("url", "username", "password")
    remedy = "give an rtsp address; or vendor with the IP address in url or host; or recorder with recorder_channel"
    assert refused(file) == [(3, "url", "missing", remedy), (4, "url", "missing", remedy)]
    assert refused(half) == [(2, "url", "missing", remedy)]


def test_lines_without_a_template_are_refused_with_what_to_give() -> None:
    """The column at fault and the remedy."""
    file = cameras(
        "code,name,village,vendor,host,port", "1,a,V,科达,192.0.2.7,", "2,a,V,海康,192.0.2.7,8000", "3,a,V,海康,h,"
    )

    assert [bad[:3] for bad in refused(file)] == [
        (2, "vendor", "no_template"),
        (3, "port", "bad_port"),
        (4, "host", "bad_url"),
    ]
    assert refused(file)[0][3].endswith("give the whole address in url")
    assert refused(file)[1][3] == "this is Hikvision's own protocol's port; give RTSP's, mostly 554, or leave it out"


def test_a_maker_that_is_not_known_is_kept_and_said() -> None:
    """Lists have makers of one county only; their addresses are given in full."""
    file = cameras("code,name,village,url,vendor", "1,a,V,rtsp://h/,Acme 相机")

    assert values(file)[0]["vendor"] == "Acme 相机"
    assert [note.code for note in file.remarks] == ["unknown_vendor"]
