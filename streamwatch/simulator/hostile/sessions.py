"""Hostile about the session: devices that ask, ids and channels that change, and words between packets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

from streamwatch.errors import Reason, Step
from streamwatch.simulator.hostile.rtsp import PROTOCOL, before, bent, header
from streamwatch.simulator.hostile.stage import Hostility, Reply, Script, Talk, camera, film, framed, hostility
from streamwatch.simulator.rtsp import Request


async def _speaks_first(talk: Talk) -> None:
    """A reply to something that nobody has asked."""
    await talk.send(b"RTSP/1.0 404 Not Found\r\nCSeq: 0\r\n\r\n")
    await camera()(talk)


def _requests() -> Iterator[Hostility]:
    """Devices that ask."""
    yield hostility("speaks_first", "a reply before any request", _speaks_first)
    asks = "{method} rtsp://you/ RTSP/1.0\nCSeq: 9\n"
    for method in ("OPTIONS", "ANNOUNCE", "REDIRECT", "SET_PARAMETER"):
        moves = method == "REDIRECT"  # who goes on sending after it may be believed or not
        message = asks.replace("{method}", method) + ("Location: rtsp://127.255.1.1/\n" if moves else "")
        deserves = (None, Reason.RTSP_REDIRECT) if moves else (None,)
        yield hostility(f"asks_{method.lower()}", f"asks {method} in mid-session", before("PLAY", message), *deserves)
    storm = [asks.replace("{method}", "OPTIONS")] * 100
    yield hostility("asks_storm", "a storm of requests", before("PLAY", *storm), PROTOCOL, at=Step.PLAY)
    yield hostility("teardown_unanswered", "never answers TEARDOWN", camera({"TEARDOWN": lambda _t, _q, _r: b""}))


def _sessions() -> Iterator[Hostility]:
    for kind, value in {
        "timeout_0": "1;timeout=0",
        "timeout_negative": "1;timeout=-1",
        "timeout_huge": "1;timeout=99999999",
        "timeout_text": "1;timeout=soon",
        "id_odd": "!#$%&'()*+,-./:<=>?@[]^_`{|}~",
    }.items():
        yield hostility(f"session_{kind}", f"Session: {value}", header("SETUP", "Session", value))
    yield hostility(
        "session_id_4k", "a session id of 4 KiB", header("SETUP", "Session", "a" * 4096), PROTOCOL, at=Step.SETUP
    )
    yield hostility("session_id_1k", "a session id of 1 KiB", header("SETUP", "Session", "a" * 1024), None, PROTOCOL)
    yield hostility("session_missing", "no Session", bent("SETUP", lambda _t, _q, r: r.without("Session")))
    yield hostility(
        "session_changes", "another session id in the reply to PLAY", header("PLAY", "Session", "another-1")
    )


def _channels() -> Iterator[Hostility]:
    def on(transport: str, channel: int | None) -> Script:
        def change(talk: Talk, _request: Request, reply: Reply) -> Reply:
            if reply.status == 200:
                talk.channel = talk.channel if channel is None else channel
                reply.having("Transport", transport)
            return reply

        return bent("SETUP", change)

    base = "RTP/AVP/TCP;unicast"
    for kind, transport, channel in (
        ("255", f"{base};interleaved=255-256", 255),
        ("same", f"{base};interleaved=0-0", 0),
        ("missing", base, None),
        ("out_of_range", f"{base};interleaved=300-301", None),
        ("text", f"{base};interleaved=a-b", None),
        ("other", f"{base};interleaved=4-5", 4),
        ("single", f"{base};interleaved=6", 6),
    ):
        yield hostility(f"channel_{kind}", transport, on(transport, channel))
    yield hostility("transport_missing", "no Transport header", bent("SETUP", lambda _t, _q, r: r.without("Transport")))
    yield hostility(
        "transport_multicast",
        "answers with multicast",
        on("RTP/AVP;multicast;destination=239.1.1.1;port=5000-5001", None),
        Reason.RTSP_TRANSPORT,
        at=Step.SETUP,
    )

    def elsewhere(_talk: Talk) -> Iterator[bytes]:
        filler = framed([bytes(1400)], 9) * 40
        yield from itertools.repeat(filler)

    def first(*pieces: bytes) -> Callable[[Talk], Iterator[bytes]]:
        return lambda talk: itertools.chain(pieces, film(talk))

    yield hostility(
        "channel_foreign",
        "all media on a channel that was never agreed on",
        camera(media=elsewhere, pace_s=0),
        PROTOCOL,
        at=Step.FIRST_KEYFRAME,
    )
    yield hostility(
        "channel_foreign_few", "some packets of another channel first", camera(media=first(framed([bytes(900)] * 9, 9)))
    )
    yield hostility("packet_empty", "interleaved packets of length 0", camera(media=first(b"$\0\0\0" * 9)))
    yield hostility(
        "packet_65535",
        "an interleaved packet of 65,535 bytes of nonsense",
        camera(media=first(framed([b"\xff" * 65_535], 0))),
    )
    yield hostility("packet_after_crlf", "empty lines before packets", camera(media=first(b"\r\n\r\n\n\r\n")))
    yield hostility(
        "text_between_packets", "text between packets", camera(media=first(b"Hello $ and $ 1.5\r\nRTSP or not\r\n"))
    )
    yield hostility("nul_between_packets", "NULs between packets", camera(media=first(bytes(100))))


HOSTILITIES: Final = (*_requests(), *_sessions(), *_channels())
