"""How makers' devices end connections around a login, over real sockets: what they do: what we do about it."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading

import pytest

from streamwatch.clock import SystemClock
from streamwatch.ingest.session import Limits, converse
from streamwatch.model.look import Depth
from streamwatch.model.report import Credentials
from streamwatch.net.address import Guard
from streamwatch.wire.conversation import Ask
from tests.wire.camera import frame, reply, sdp
from tests.wire.test_conversation import PACKETS

CHALLENGE = 'WWW-Authenticate: Digest realm="r", nonce="n1"'


def _answer(text: str, cseq: int) -> bytes:
    """A camera's reply to one request; 401 to a DESCRIBE without a login."""
    method = text.split()[0]
    if method == "DESCRIBE":
        if "Authorization" not in text:
            return reply(cseq, "401 Unauthorized", CHALLENGE)
        return reply(cseq, "200 OK", "Content-Type: application/sdp", body=sdp())
    if method == "SETUP":
        return reply(cseq, "200 OK", "Session: 9", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
    return reply(cseq) + (b"".join(map(frame, PACKETS)) if method == "PLAY" else b"")


def _read(connection: socket.socket) -> bytes:
    """What came; nothing where it ended, in whatever way."""
    try:
        return connection.recv(4096)
    except OSError:
        return b""


def _serve(listener: socket.socket, how: str, connections: list[int]) -> None:
    for number in range(2):
        connection, _ = listener.accept()
        connections.append(number)
        with connection:
            connection.settimeout(5)
            buffer = b""
            while data := _read(connection):
                buffer += data
                while b"\r\n\r\n" in buffer:
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    said = _answer(head.decode(), int(re.findall(rb"CSeq: (\d+)", head)[0]))
                    connection.sendall(said)
                    if b" 401 " in said and how == "close":
                        connection.shutdown(socket.SHUT_RDWR)
                        break  # whatever came meanwhile: our answer may have been faster than this thread
                if b" 401 " in said and how == "close":
                    break
                if b"401 " in said and how == "reset":
                    _read(connection)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
        if b"TEARDOWN" in head:
            return


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_vstarcam_ends_the_connection_behind_its_401(how: str) -> None:
    """The connection is closed or reset behind a 401 (retina #45): the picture comes by the next one."""
    connections: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=_serve, args=(listener, how, connections))
        thread.start()
        ask = Ask(
            f"rtsp://127.0.0.1:{listener.getsockname()[1]}/live", Depth.STREAM, Credentials("admin", "s3cret-Pa55")
        )
        async with asyncio.timeout(20):
            heard = await converse(ask, Limits(2.0, 2.0, 5.0), clock=SystemClock(), guard=Guard())
        await asyncio.to_thread(thread.join)

    assert heard.failure is None and heard.keyframe is not None
    assert connections == [0, 1]
