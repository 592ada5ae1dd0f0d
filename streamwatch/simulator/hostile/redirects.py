"""Hostile about where to go: redirects in circles, downwards, and to places that are nobody's business."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streamwatch.errors import Reason, Step
from streamwatch.simulator.hostile.rtsp import PROTOCOL, status
from streamwatch.simulator.hostile.stage import Hostility, Reply, Script, Talk, camera, hostility
from streamwatch.simulator.rtsp import Request


def _redirects() -> Iterator[Hostility]:
    moved, at = Reason.RTSP_REDIRECT, Step.DESCRIBE

    def to(target: str, code: int = 302, method: str = "DESCRIBE", times: int = 10**6) -> Script:
        """`{here}` is our own address, `{n}` how often we sent somebody on in this connection and before."""

        def said(talk: Talk, request: Request, reply: Reply) -> bytes:
            path = request.url.partition("://")[2].partition("/")[2]
            hops = int(path.rpartition("hop")[2].partition("/")[0] or 0) if "hop" in path else 0
            if hops >= times:
                return reply.encode()
            place = (
                target.replace("{here}", talk.authority).replace("{n}", str(hops + 1)).replace("{host}", str(talk.host))
            )
            return Reply(code, [("CSeq", request.headers.get("cseq", "0")), ("Location", place)]).encode()

        return camera({method: said})

    far = "rtsp://127.255.1.1:554/live"
    for kind, target in {
        "self": "rtsp://{here}/live",
        "loop": "rtsp://{here}/hop{n}",
        "file": "file:///etc/passwd",
        "http": "http://{here}/live",
        "long": "rtsp://{here}/" + "a" * 1900,
        "elsewhere": far,
        "ftp": "ftp://{here}/",
        "metadata": "rtsp://169.254.169.254/latest",
        "hex": "rtsp://0x7f000001/live",
        "mapped": "rtsp://[::ffff:127.0.0.1]/live",
        "name": "rtsp://no-such-host.invalid/live",
        "nonsense": "://",
        "empty": "",
        "multicast": "rtsp://239.1.1.1/live",
        "unbracketed": "rtsp://::1/live",
    }.items():
        yield hostility(f"redirect_{kind}", f"302 to {target[:40]}", to(target), moved, at=(at, Step.OPTIONS))
    yield hostility(
        "redirect_3k", "302 to an address of 3 KiB", to("rtsp://{here}/" + "a" * 3072), moved, PROTOCOL, at=at
    )
    yield hostility(
        "redirect_once", "301 to another path of the same device, once", to("rtsp://{here}/hop{n}", 301, times=1)
    )
    yield hostility("redirect_twice", "302 twice on the same device", to("rtsp://{here}/hop{n}", times=2))
    yield hostility(
        "redirect_thrice", "302 three times on the same device", to("rtsp://{here}/hop{n}", times=3), moved, at=at
    )
    yield hostility(
        "redirect_port", "302 to a closed port of the same device", to("rtsp://{host}:1/live"),
        moved, Reason.NET_REFUSED, at=(at, Step.CONNECT),
    )  # fmt: skip
    yield hostility("redirect_relative", "302 to /hop1, without a host", to("/hop{n}", times=1), None, moved)
    yield hostility(
        "redirect_tls",
        "302 to rtsps of the same device",
        to("rtsps://{here}/live"),
        moved,
        Reason.TLS_FAILED,
        Reason.NET_TIMEOUT,
        Reason.NET_RESET,
    )
    yield hostility(
        "redirect_with_password", "302 to an address with credentials", to("rtsp://a:b@127.255.1.1/live"), moved, at=at
    )
    yield hostility("redirect_without_location", "302 to nowhere", status("DESCRIBE", 302), moved, at=at)
    for method in ("SETUP", "PLAY"):
        step = Step.SETUP if method == "SETUP" else Step.PLAY
        yield hostility(
            f"redirect_at_{method.lower()}", f"302 elsewhere to {method}", to(far, method=method), moved, at=step
        )


HOSTILITIES: Final = tuple(_redirects())
