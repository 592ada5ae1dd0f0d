"""Targets beyond the wire: what other bytes come from outside: messages between processes, lists, settings, files."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

import msgspec

from streamwatch.decoders.recognise import HEAD_BYTES, FileError, recognise
from streamwatch.errors import ConfigError, UsageError
from streamwatch.inventory.lists import parse_file
from streamwatch.model.look import Depth, StreamKind
from streamwatch.model.report import Health, Report, Round, Ticket, VersionError, decode_report, decode_round, encode
from streamwatch.settings.load import load
from tests.fuzz.target import Target, filled
from tests.fuzz.text_targets import CREDENTIALS, DATA

SETTINGS = sorted((DATA / "settings").glob("*.toml"))


def check_round(data: bytes) -> None:
    """What was understood is said again in the same way."""
    found = decode_round(data)
    assert decode_round(encode(found)) == found


def check_report(data: bytes) -> None:
    """What was understood is said again in the same way."""
    found = decode_report(data)
    assert encode(decode_report(encode(found))) == encode(found)  # by bytes: a NaN is not equal to itself


def _round() -> bytes:
    ticket = Ticket(
        camera=7, url="rtsp://192.0.2.7/x", stream=StreamKind.MAIN, offset_ms=5, deadline_ms=30_000, host="192.0.2.7",
        credentials=CREDENTIALS, memory=b"\x01\x02",
    )  # fmt: skip
    return encode(Round(id="r", village=3, depth=Depth.STREAM, due_us=1, window_ms=5, tickets=(ticket,)))


def _report() -> bytes:
    health = Health(at_us=5, loop_lag_ms=1.5)
    return encode(
        Report(
            round_id="r", village=3, depth=Depth.STREAM, due_us=1, attempt=0, part=0, last=True, vantage="v",
            before=health, after=health,
        )
    )  # fmt: skip


def message_traps() -> dict[str, bytes]:
    return {
        "arrays": filled(b"\x91"),
        "empty arrays": filled(b"\x90", b"\xdc\xff\xff"),
        "a long array": b"\xdd\xff\xff\xff\xff\x01",
        "a long text": b"\x91\xdb\xff\xff\xff\xffx",
        "maps": filled(b"\x81\x01"),
        "zeros": filled(b"\x00", b"\x9a\x01"),
    }


KINDS = ("cameras", "villages", "recorders")


def parse_list(data: bytes) -> None:
    for kind in KINDS:
        parse_file(data, kind)


def check_list(data: bytes) -> None:
    """Every line of a list is taken, refused with line and reason, or empty; and no password is shown."""
    for kind in KINDS:
        try:
            found = parse_file(data, kind)
        except UsageError:
            continue
        assert all(len(row.values) == len(found.columns) for row in found.rows)
        lines = data.count(b"\n") + data.count(b"\r") + 1
        assert all(1 <= row.line <= lines for row in found.rows)


def list_seeds() -> list[bytes]:
    return [
        b"code,village,url,username,password\nc1,v1,rtsp://192.0.2.7/live,admin,secret\nc2,v1,rtsp://u:p@192.0.2.8/x,,\n",
        "编码,所属村,地址\nc1,v1,rtsp://192.0.2.7/live\n".encode("gb18030"),
        'code;name;region\nv1;"双\n河";青河县/双河镇\n'.encode(),
        b'{"code": "v1", "name": "A"}\n{"code": "v2"}\n',
        b'[{"code": "c1", "village": "v1", "url": "rtsp://192.0.2.7/x"}]',
        "code\tname\nr1\tx\n".encode("utf-16"),
    ]


@lru_cache(maxsize=1)
def _place() -> Path:
    return Path(tempfile.mkdtemp()) / "streamwatch.toml"


def read_settings(data: bytes) -> None:
    _place().write_bytes(data)
    load(_place(), {"HOME": "/nowhere"})


def parse_head(data: bytes) -> object:
    return recognise(data[:HEAD_BYTES])


TARGETS = [
    Target(
        "round", decode_round, check_round, lambda: [_round()], message_traps,
        declared=(msgspec.DecodeError, VersionError),
    ),
    Target(
        "report", decode_report, check_report, lambda: [_report()], message_traps,
        declared=(msgspec.DecodeError, VersionError),
    ),
    Target(
        "list", parse_list, check_list, list_seeds, dict,  # by the line, not by the byte: tests/benchmarks
        declared=(UsageError,),
        words=(b"code,", b"url,", b'"', "编码".encode(), b"rtsp://u:p@h/x", b"\xef\xbb\xbf", b'{"code":'),
    ),
    Target(
        "settings", read_settings, read_settings, lambda: [path.read_bytes() for path in SETTINGS], dict,
        declared=(ConfigError,),
        words=(b"[quality]\n", b"data_dir = ", b"= 5\n", b"[", b'"""', b"1979-05-27", b"inf\n"),
    ),
    Target(
        "recognise", parse_head, parse_head,
        lambda: [
            b"\xff\xd8\xff\xe0", b"RIFF....WEBP", b"\x00\x00\x00\x18ftypisom", (b"\x47" + bytes(187)) * 5,
            b"\x00\x00\x00\x01\x67\x64", b"#EXTM3U\n", b"<?xml?><MPD>",
        ],
        lambda: {"syncs": filled(b"\x47"), "blanks": filled(b" "), "markup": filled(b"<"), "zeros": filled(b"\x00")},
        declared=(FileError,),
        words=(b"\x00\x00\x01", b"ftyp", b"RIFF", b"#EXTM3U", b"<"),
    ),
]  # fmt: skip
