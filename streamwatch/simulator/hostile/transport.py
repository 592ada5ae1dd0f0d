"""Hostile below RTSP: silence, a byte a second, connections that end anywhere, and peers that speak something else."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Final

from streamwatch.errors import Reason, Step
from streamwatch.simulator.hostile.stage import FRAME_S, Bend, Hostility, Reply, Script, Talk, camera, film, hostility
from streamwatch.simulator.rtsp import Request

GARBAGE: Final = 4096  # bytes a piece
CUT_STEP: Final = 37  # bytes; coprime to all sizes here, so that the n-th connection is cut somewhere new
CUT_SPAN: Final = 24_000  # bytes: replies and the first keyframe

BEFORE: Final = {"OPTIONS": Step.OPTIONS, "DESCRIBE": Step.DESCRIBE, "SETUP": Step.SETUP, "PLAY": Step.PLAY}


async def _nothing(_talk: Talk, _request: Request, _reply: Reply) -> bytes:
    return b""


async def _trickled(talk: Talk, _request: Request, reply: Reply) -> bytes:
    await talk.trickle(reply.encode())
    return b""


async def _no_media(talk: Talk, _request: Request, reply: Reply) -> bytes:
    """PLAY is accepted, and then nothing comes."""
    await talk.send(reply.encode())
    await talk.stay()
    return b""


async def _unanswered(talk: Talk, _request: Request, _reply: Reply) -> bytes:
    """PLAY is never answered, and media flows all the same."""
    for piece in film(talk):
        await talk.send(piece)
        await asyncio.sleep(FRAME_S)
    return b""


async def _trickled_media(talk: Talk, _request: Request, reply: Reply) -> bytes:
    await talk.send(reply.encode())
    for piece in film(talk):
        await talk.trickle(piece)
    return b""


async def _mute(talk: Talk) -> None:
    await talk.stay()


async def _close(talk: Talk) -> None:
    talk.close()


async def _reset(talk: Talk) -> None:
    talk.reset()


async def _half_closed(talk: Talk) -> None:
    talk.half_close()
    await talk.stay()


async def _garbage(talk: Talk) -> None:
    while True:
        await talk.send(talk.rng.randbytes(GARBAGE))


async def _slow_garbage(talk: Talk) -> None:
    while True:
        await talk.trickle(talk.rng.randbytes(GARBAGE))


async def _endless_line(talk: Talk) -> None:
    """A header whose line never ends, a byte at a time."""
    await talk.request()
    await talk.send(b"RTSP/1.0 200 OK\r\nX-Filler: ")
    await talk.trickle(b"a" * GARBAGE)


async def _headers_for_ever(talk: Talk) -> None:
    """A header every now and then, and never the end of them."""
    await talk.request()
    await talk.send(b"RTSP/1.0 200 OK\r\n")
    for number in itertools.count():
        await talk.send(b"X-%d: a\r\n" % number)
        await asyncio.sleep(0.7)


def _says(*lines: bytes, end: bool) -> Script:
    async def serve(talk: Talk) -> None:
        for line in lines:
            await talk.send(line)
        if not end:
            await talk.stay()

    return serve


async def _busybody(talk: Talk) -> None:
    """Asks instead of answering, often enough never to be silent, seldom enough never to be a storm."""
    for number in itertools.count():
        await talk.send(b"OPTIONS rtsp://you/ RTSP/1.0\r\nCSeq: %d\r\n\r\n" % number)
        await asyncio.sleep(0.6)


def _cut(end: Callable[[Talk], None]) -> Script:
    """The good camera, ended after so many bytes as nobody before."""
    good = camera()

    async def serve(talk: Talk) -> None:
        left = talk.turn * CUT_STEP % CUT_SPAN
        whole = talk.send
        over = False

        async def send(data: bytes) -> None:
            nonlocal left, over
            if not over:
                await whole(data[:left])
                left -= len(data)
                if left <= 0:
                    over = True
                    end(talk)
            if over:
                raise ConnectionResetError("cut")

        talk.send = send  # type: ignore[method-assign]
        try:
            await good(talk)
        except ConnectionResetError:
            await talk.stay()  # of which only a half-closed connection has anything left

    return serve


def _families() -> Iterator[Hostility]:
    timeout, no_data = Reason.NET_TIMEOUT, Reason.MEDIA_NO_DATA
    yield hostility("silence_after_connect", "takes the connection and says nothing", _mute, timeout, at=Step.OPTIONS)
    methods = list(BEFORE)
    for method in methods[1:]:
        name = f"silence_after_{methods[methods.index(method) - 1].lower()}"
        bends: dict[str, Bend] = {method: _nothing}
        yield hostility(name, f"answers nothing to {method}", camera(bends), timeout, at=BEFORE[method])
    for method in methods:
        bends = {method: _trickled}
        yield hostility(
            f"trickle_{method.lower()}", f"answers {method} a byte a second", camera(bends), timeout, at=BEFORE[method]
        )
    keyframe = Step.FIRST_KEYFRAME
    yield hostility(
        "silence_after_play", "PLAY succeeds, nothing flows", camera({"PLAY": _no_media}), no_data, at=keyframe
    )
    yield hostility(
        "play_unanswered", "media flows, and PLAY is never answered", camera({"PLAY": _unanswered}),
        None, timeout, at=Step.PLAY,
    )  # fmt: skip
    yield hostility("trickle_media", "media a byte a second", camera({"PLAY": _trickled_media}), no_data, at=keyframe)
    for how, said, end in (
        ("fin", "FIN", Talk.close),
        ("rst", "RST", Talk.reset),
        ("half", "FIN of one direction", Talk.half_close),
    ):
        yield hostility(
            f"cut_{how}",
            f"{said} after so many bytes of a good conversation, each time elsewhere",
            _cut(end),
            Reason.NET_RESET,
            None,
        )


HOSTILITIES: Final = (
    *_families(),
    hostility("close_on_connect", "FIN at once", _close, Reason.NET_RESET, at=Step.OPTIONS),
    hostility("reset_on_connect", "RST at once", _reset, Reason.NET_RESET, at=(Step.CONNECT, Step.OPTIONS)),
    hostility(
        "half_close_on_connect", "FIN at once, and goes on reading", _half_closed, Reason.NET_RESET, at=Step.OPTIONS
    ),
    hostility("garbage", "random bytes as fast as they are taken", _garbage, Reason.RTSP_PROTOCOL, at=Step.OPTIONS),
    hostility("garbage_slow", "random bytes, one a second", _slow_garbage, Reason.NET_TIMEOUT, at=Step.OPTIONS),
    hostility("line_endless", "a header line that never ends", _endless_line, Reason.NET_TIMEOUT, at=Step.OPTIONS),
    hostility("headers_slow", "headers now and then, for ever", _headers_for_ever, Reason.NET_TIMEOUT, at=Step.OPTIONS),
    hostility(
        "busybody", "asks, and answers nothing", _busybody, Reason.NET_TIMEOUT, Reason.RTSP_PROTOCOL, at=Step.OPTIONS
    ),
    hostility(
        "http_server",
        "an HTTP server",
        _says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", end=True),
        Reason.RTSP_PROTOCOL,
        at=Step.OPTIONS,
    ),
    hostility(
        "ssh_server",
        "an SSH server",
        _says(b"SSH-2.0-OpenSSH_9.2p1\r\n", end=False),
        Reason.NET_TIMEOUT,
        Reason.RTSP_PROTOCOL,
        at=Step.OPTIONS,
    ),
    hostility(
        "sip_server",
        "a SIP server",
        _says(b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n", end=True),
        Reason.RTSP_PROTOCOL,
        at=Step.OPTIONS,
    ),
)
