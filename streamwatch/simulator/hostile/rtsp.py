"""Hostile in RTSP itself: lies about lengths, numbers and places, storms, and words that no grammar has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from streamwatch.errors import Reason, Step
from streamwatch.simulator.hostile.stage import Hostility, Reply, Script, Talk, camera, hostility
from streamwatch.simulator.rtsp import Request

Change = Callable[[Talk, Request, Reply], Reply]
STORM: Final = 40  # more of anything than is worth listening to
FLOOD: Final = 1_200_000  # bytes, above 1 MiB
PROTOCOL: Final = Reason.RTSP_PROTOCOL
GBK: Final = "成功".encode("gbk").decode("latin-1")
UTF8: Final = "成功".encode().decode("latin-1")


def bent(method: str, change: Change) -> Script:
    """The good camera whose replies to `method` are changed."""
    return camera({method: lambda talk, request, reply: change(talk, request, reply).encode()})


def header(method: str, name: str, value: str) -> Script:
    """… whose replies to `method` have this header instead."""
    return bent(method, lambda _talk, _request, reply: reply.having(name, value))


def raw(method: str, make: Callable[[bytes], bytes]) -> Script:
    """… whose replies to `method` are changed as bytes."""
    return camera({method: lambda _talk, _request, reply: make(reply.encode())})


def before(method: str, *messages: str) -> Script:
    """… that says these, `{cseq}` filled in, before its replies to `method`."""

    def said(_talk: Talk, request: Request, reply: Reply) -> bytes:
        cseq = request.headers.get("cseq", "0")
        head = "".join(one.replace("{cseq}", cseq).replace("\n", "\r\n") + "\r\n" for one in messages)
        return head.encode("latin-1") + reply.encode()

    return camera({method: said})


def status(method: str, code: int, *headers: tuple[str, str]) -> Script:
    """… that answers `method` with this."""

    def said(_talk: Talk, request: Request, _reply: Reply) -> bytes:
        return Reply(code, [("CSeq", request.headers.get("cseq", "0")), *headers]).encode()

    return camera({method: said})


def _start(line: str) -> Script:
    def change(_talk: Talk, _request: Request, reply: Reply) -> Reply:
        reply.start = line
        return reply

    return bent("DESCRIBE", change)


def _cseq(make: Callable[[int], str]) -> Script:
    def change(_talk: Talk, request: Request, reply: Reply) -> Reply:
        return reply.having("CSeq", make(int(request.headers.get("cseq", "0"))))

    return bent("DESCRIBE", change)


def _heads() -> Iterator[Hostility]:
    """Headers without end, measure or grammar."""
    at = Step.DESCRIBE
    for name, does, lines, good in (
        ("headers_10000", "10,000 headers", "".join(f"X-{n}: a\n" for n in range(10_000)), False),
        ("header_name_100", "a header name of 100 bytes", "X" * 100 + ": a\n", True),
        ("header_name_64k", "a header name of 64 KiB", "X" * 65_536 + ": a\n", False),
        ("header_value_64k", "a header value of 64 KiB", "X-A: " + "a" * 65_536 + "\n", False),
        (
            "header_folded",
            "continuation lines adding up past the limit",
            "X-A: a\n" + (" " + "a" * 200 + "\n") * 50,
            False,
        ),
        ("header_folded_empty", "10,000 empty continuation lines", "X-A: a\n" + " \n" * 10_000, False),
        ("header_continued_first", "a continuation line before any header", " a\n", False),
        ("header_without_colon", "a header without a colon", "nonsense\n", True),
        ("header_without_colon_300", "300 headers without a colon", "nonsense\n" * 300, False),
        ("header_without_name", "a header without a name", ": a\n", False),
        ("header_nul", "NUL in a header", "X-A: a\0b\n", False),
        ("header_cr", "a lone carriage return in a header", "X-A: a\rb\n", False),
        ("header_packet", "an interleaved packet between two headers", "$\0\0\x04abcd\n", False),
    ):
        wire = lines.replace("\n", "\r\n").encode("latin-1")
        script = raw("DESCRIBE", lambda data, wire=wire: data.replace(b"\r\n", b"\r\n" + wire, 1))  # type: ignore[misc]
        yield hostility(name, does, script, None if good else PROTOCOL, at=at)
    yield hostility(
        "line_feed_only",
        "lines end with LF alone",
        camera({m: lambda _t, _q, r: r.encode("\n") for m in ("OPTIONS", "DESCRIBE", "SETUP", "PLAY")}),
    )
    yield hostility(
        "carriage_return_only",
        "lines end with CR alone",
        camera({"DESCRIBE": lambda _t, _q, r: r.encode("\r")}),
        PROTOCOL,
        Reason.NET_TIMEOUT,
        at=at,
    )
    yield hostility(
        "start_nul", "NUL in the status line", _start("RTSP/1.0 200 O\0K"), PROTOCOL, Reason.NET_TIMEOUT, at=at
    )


def _lengths() -> Iterator[Hostility]:
    """Content-Length of the description."""
    lies = {
        "empty": "",
        "negative": "-1",
        "plus": "+5",
        "hex": "0x10",
        "list": "5, 6",
        "2e31": str(2**31),
        "2e63": str(2**63),
        "1e30": "1" + "0" * 30,
        "over_cap": "131073",
        "arabic": "\u00b2",
        "exponent": "1e2",
    }
    for kind, value in lies.items():
        script = header("DESCRIBE", "Content-Length", value)
        yield hostility(f"length_{kind}", f"Content-Length: {value[:12]}", script, PROTOCOL, at=Step.DESCRIBE)

    def twice(*, same: bool) -> Script:
        def change(_talk: Talk, _request: Request, reply: Reply) -> Reply:
            size = len(reply.body)
            reply.headers += [("Content-Length", str(size)), ("Content-Length", str(size if same else size + 9))]
            return reply

        return bent("DESCRIBE", change)

    def off(by: int, *, close: bool = False) -> Script:
        async def closing(talk: Talk, request: Request, reply: Reply) -> bytes:
            await talk.send(change(talk, request, reply).encode())
            talk.close()
            return b""

        def change(_talk: Talk, _request: Request, reply: Reply) -> Reply:
            return reply.having("Content-Length", str(len(reply.body) + by))

        return camera({"DESCRIBE": closing}) if close else bent("DESCRIBE", change)

    def smuggled(_talk: Talk, request: Request, reply: Reply) -> Reply:
        cseq = int(request.headers.get("cseq", "0"))
        reply.body += f"RTSP/1.0 404 Not Found\r\nCSeq: {cseq + 1}\r\n\r\n".encode()
        return reply

    def behind(_talk: Talk, request: Request, reply: Reply) -> Reply:
        size = len(reply.body)
        return smuggled(_talk, request, reply).having("Content-Length", str(size))

    yield hostility(
        "length_two_different", "two Content-Lengths that differ", twice(same=False), PROTOCOL, at=Step.DESCRIBE
    )
    yield hostility("length_two_same", "two Content-Lengths that agree", twice(same=True))
    yield hostility(
        "length_beyond", "a body shorter than said, then silence", off(50), Reason.NET_TIMEOUT, at=Step.DESCRIBE
    )
    yield hostility(
        "length_beyond_closed",
        "a body shorter than said, then FIN",
        off(50, close=True),
        Reason.NET_RESET,
        at=Step.DESCRIBE,
    )
    yield hostility("length_within", "a body longer than said", off(-21))
    yield hostility("length_smuggled", "a whole reply within the body", bent("DESCRIBE", smuggled))
    yield hostility(
        "length_smuggled_behind",
        "a whole reply behind the body, for a request not yet sent",
        bent("DESCRIBE", behind),
        None,
        Reason.RTSP_NOT_FOUND,
        PROTOCOL,
    )


def _statuses() -> Iterator[Hostility]:
    at = Step.DESCRIBE
    for kind, line in {
        "rtsp2": "RTSP/2.0 200 OK",
        "http": "HTTP/1.1 200 OK",
        "000": "RTSP/1.0 000 OK",
        "99999": "RTSP/1.0 99999 OK",
    }.items():
        yield hostility(f"status_{kind}", line, _start(line), PROTOCOL, at=at)
    yield hostility("status_without_reason", "RTSP/1.0 200", _start("RTSP/1.0 200"))
    for kind, text in {"gbk": GBK, "utf8": UTF8, "dollar": "O$\x20K$", "long": "K" * 1900}.items():
        yield hostility(f"status_reason_{kind}", "an odd reason phrase", _start(f"RTSP/1.0 200 {text}"))
    yield hostility(
        "status_line_64k",
        "a status line of 64 KiB",
        _start("RTSP/1.0 200 " + "K" * 65_536),
        PROTOCOL,
        Reason.NET_TIMEOUT,
        at=at,
    )
    for method, code, reason in (
        ("DESCRIBE", 403, Reason.RTSP_FORBIDDEN),
        ("DESCRIBE", 404, Reason.RTSP_NOT_FOUND),
        ("DESCRIBE", 500, PROTOCOL),
        ("DESCRIBE", 503, Reason.RTSP_BUSY),
        ("DESCRIBE", 551, PROTOCOL),
        ("SETUP", 453, Reason.RTSP_BUSY),
        ("SETUP", 459, PROTOCOL),
        ("SETUP", 461, Reason.RTSP_TRANSPORT),
        ("SETUP", 503, Reason.RTSP_BUSY),
        ("PLAY", 453, Reason.RTSP_BUSY),
        ("PLAY", 454, PROTOCOL),
        ("PLAY", 455, PROTOCOL),
        ("PLAY", 503, Reason.RTSP_BUSY),
    ):
        step = {"DESCRIBE": Step.DESCRIBE, "SETUP": Step.SETUP, "PLAY": Step.PLAY}[method]
        yield hostility(
            f"refuses_{method.lower()}_{code}", f"{code} to {method}", status(method, code), reason, at=step
        )
    for code in (403, 405, 501):
        yield hostility(f"refuses_options_{code}", f"{code} to OPTIONS", status("OPTIONS", code))


def _numbers() -> Iterator[Hostility]:
    at = Step.DESCRIBE
    yield hostility("cseq_missing", "no CSeq", bent("DESCRIBE", lambda _t, _q, r: r.without("CSeq")))
    yield hostility("cseq_ahead", "a CSeq that was never sent", _cseq(lambda n: str(n + 7)), PROTOCOL, at=at)
    yield hostility("cseq_text", "CSeq: abc", _cseq(lambda _n: "abc"), PROTOCOL, at=at)
    yield hostility("cseq_negative", "CSeq: -1", _cseq(lambda _n: "-1"), PROTOCOL, at=at)
    yield hostility("cseq_1e30", "CSeq: 1e30", _cseq(lambda _n: "1" + "0" * 30), PROTOCOL, at=at)
    yield hostility(
        "cseq_stale",
        "replies to what was answered before, and no others",
        _cseq(lambda _n: "1"),
        Reason.NET_TIMEOUT,
        at=at,
    )
    stale, trying = "RTSP/1.0 200 OK\nCSeq: 1\n", "RTSP/1.0 100 Trying\nCSeq: {cseq}\n"
    yield hostility("cseq_stale_few", "five stale replies before the right one", before("DESCRIBE", *[stale] * 5))
    yield hostility(
        "cseq_stale_storm", "a storm of stale replies", before("DESCRIBE", *[stale] * STORM), PROTOCOL, at=at
    )
    yield hostility("provisional_few", "100 Trying, three times", before("DESCRIBE", *[trying] * 3))
    yield hostility("provisional_storm", "a storm of 1xx", before("DESCRIBE", *[trying] * STORM), PROTOCOL, at=at)
    yield hostility(
        "replies_twice",
        "every reply twice",
        camera(dict.fromkeys(("OPTIONS", "DESCRIBE", "SETUP", "PLAY"), lambda _t, _q, r: r.encode() * 2)),
    )


HOSTILITIES: Final = (*_heads(), *_lengths(), *_statuses(), *_numbers())
