"""Looks through HTTP: both connections, who answers what, how either ends, and that nothing stays open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Transport
from tests.certificates import certificate
from tests.ingest.tls_camera import answers, hear, left, peer, run, serving, settled, silent
from tests.ingest.tunnel_camera import Front, fronted

GOOD: dict[str, dict[str, Any]] = {
    "as is the custom": {},
    "byte by byte": {"sliced": True},
    "POST is answered": {"post": b"HTTP/1.0 200 OK\r\n\r\n"},
    "POST is shut by the device": {"shuts_post": True},
    "GET asks who we are": {"asks_get": True},
    "POST asks who we are": {"asks_post": True},
    "both ask": {"asks_get": True, "asks_post": True},
}


def with_login(url: str) -> str:
    return url.replace("://", "://admin:s3cret@")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("how", GOOD)
def test_a_tunnel_opens(how: str, loop: str) -> None:
    """OPTIONS is answered within, whatever the device does around it; then nothing of ours is left."""

    async def work() -> None:
        async with peer(answers) as inside, fronted(front := Front(inside.port, **GOOD[how])) as url:
            heard = await hear(with_login(url), transport=Transport.HTTP)

            assert heard.failure is None
            assert await settled(front.port) == (0, 1)
            methods = [head.partition(" ")[0] for head in front.heads]
            assert methods == ["GET"] * (1 + front.asks_get) + ["POST"] * (1 + (front.asks_post and not front.asks_get))

    run(work(), loop)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_tunnel_opens_within_tls(loop: str, tmp_path: Path) -> None:
    """rtsps and http: both connections by TLS, and the remark about the certificate."""

    async def work() -> None:
        context = serving(certificate(), tmp_path)
        async with peer(answers) as inside, fronted(front := Front(inside.port), context) as url:
            heard = await hear(url, transport=Transport.HTTP)

            assert (heard.failure, list(heard.remarks)) == (None, [Reason.TLS_UNTRUSTED])
            assert [head.partition(" ")[0] for head in front.heads] == ["GET", "POST"]
            assert await settled(front.port) == (0, 1)

    run(work(), loop)


BAD: dict[str, tuple[dict[str, Any], Reason, Step, str]] = {
    "404": ({"get": b"HTTP/1.1 404 Not Found\r\n\r\n"}, Reason.RTSP_TRANSPORT, Step.CONNECT, "404 Not Found"),
    "405": ({"get": b"HTTP/1.1 405 \r\n\r\n"}, Reason.RTSP_TRANSPORT, Step.CONNECT, "405"),
    "no HTTP": ({"get": b"RTSP/1.0 400 Bad\r\n\r\n"}, Reason.RTSP_TRANSPORT, Step.CONNECT, "which is not HTTP"),
    "a page": (
        {"get": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>"},
        Reason.RTSP_TRANSPORT,
        Step.CONNECT,
        "a page",
    ),
    "silent": ({"get": b""}, Reason.RTSP_TRANSPORT, Step.CONNECT, "no answer to the tunnel's GET"),
    "no second connection": ({"only_get": True}, Reason.NET_REFUSED, Step.CONNECT, ""),
    "POST is refused": ({"post": b"HTTP/1.1 404 No\r\n\r\n"}, Reason.RTSP_TRANSPORT, Step.CONNECT, "POST /live was"),
    "POST is cut": ({"drops_post": True}, Reason.NET_RESET, Step.OPTIONS, "the tunnel's POST"),
    "GET is cut": ({"drops_get": True}, Reason.NET_RESET, Step.OPTIONS, "closed the connection"),
}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("how", BAD)
def test_a_tunnel_that_fails_says_how(how: str, loop: str) -> None:
    """Reason, step and what was said; nothing of ours is left."""
    does, reason, step, says = BAD[how]

    async def work() -> None:
        script = silent if how in {"POST is cut", "POST is refused"} else answers
        async with peer(script) as inside, fronted(front := Front(inside.port, **does)) as url:
            heard = await hear(url, transport=Transport.HTTP, connect_s=0.5)

            assert heard.failure is not None
            assert (heard.failure.reason, heard.failure.step) == (reason, step)
            assert says in heard.failure.detail
            assert await settled(front.port) == (0, 1)

    run(work(), loop)


async def test_a_device_that_asks_and_no_password_is_known_is_access() -> None:
    """rtsp.auth, of the tunnel as of RTSP."""
    async with peer(answers) as inside, fronted(Front(inside.port, asks_get=True)) as url:
        heard = await hear(url, transport=Transport.HTTP)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.RTSP_AUTH, Step.CONNECT)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nothing_is_left_after_cancelled_tunnels(loop: str) -> None:
    """Cancelled while GET is not answered, and while RTSP within is not: both connections go."""

    async def work() -> None:
        async with peer(silent) as inside:
            waiting, within = Front(inside.port, get=b""), Front(inside.port)
            async with fronted(waiting) as first, fronted(within) as second:
                looks = [
                    asyncio.create_task(hear(url, transport=Transport.HTTP))
                    for url in (first, second)
                    for _ in range(10)
                ]
                while len(waiting.heads) < 10 or len(within.heads) < 20:
                    await asyncio.sleep(0.01)
                assert left(waiting.port, within.port)[0] == 30
                for look in looks:
                    look.cancel()
                await asyncio.gather(*looks, return_exceptions=True)
                assert all(look.cancelled() for look in looks)
                assert await settled(waiting.port, within.port) == (0, 1)

    run(work(), loop)
