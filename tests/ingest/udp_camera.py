"""A test's own camera in a thread: RTSP over TCP, media as datagrams or interleaved, as its plan says.

A thread, not a task: it goes on while the event loop under test is blocked.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.wire.camera import encode, frame, packetise, reply, sdp

Packets = list[bytes]


def large_keyframe(size: int = 260_000) -> Packets:
    """A keyframe of that many bytes, in packets of 1,400: real parameter sets, a slice whose end is filler."""
    first, second, *slices = (unit for unit in encode(320, 240, pictures=1)[0] if unit[0] & 0x1F != 6)
    picture = (first, second, slices[0] + b"\xaa" * (size - len(slices[0])))
    return packetise([picture])


@dataclass
class Plan:
    """What the camera does; by transport, "tcp" or "udp"."""

    packets: Packets
    refuses: dict[str, str] = field(default_factory=dict)  # transport -> status of SETUP
    silent: frozenset[str] = frozenset()
    closes_after_refusal: bool = False
    answers_teardown: bool = True
    source_ip: str = "127.0.0.1"  # of its datagrams
    says_source: str | None = None
    bye: bytes = b""  # to our RTCP port, behind the media
    before_media: Callable[[], None] = lambda: None
    after_media: Callable[[], None] = lambda: None


@dataclass
class Camera:
    """A camera that runs, and what it has seen."""

    url: str
    requests: list[str] = field(default_factory=list)  # method, and the transport asked for at SETUP
    connections: int = 0
    datagrams: list[bytes] = field(default_factory=list)  # that came to its media ports


@contextlib.contextmanager
def udp_camera(plan: Plan) -> Iterator[Camera]:
    """Serves connections one after another until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    camera = Camera(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/live")
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                camera.connections += 1
                with connection, contextlib.suppress(OSError):
                    _converse(connection, plan, camera, stop)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield camera
    finally:
        stop.set()
        thread.join()
        listener.close()


def _converse(connection: socket.socket, plan: Plan, camera: Camera, stop: threading.Event) -> None:
    connection.settimeout(0.05)
    buffer, transport, client_port = b"", "tcp", 0
    with _media_pair() as (rtp, rtcp):
        while not stop.is_set():
            for one in (rtp, rtcp):
                with contextlib.suppress(BlockingIOError):
                    camera.datagrams.append(one.recv(2000))
            with contextlib.suppress(TimeoutError):
                data = connection.recv(4096)
                if not data:
                    return
                buffer += data
            while b"\r\n\r\n" in buffer:
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                text = head.decode()
                method, cseq = text.split()[0], int(re.findall(r"CSeq: (\d+)", text)[0])
                if method != "SETUP":
                    camera.requests.append(method)
                if method == "OPTIONS":
                    connection.sendall(reply(cseq, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"))
                elif method == "DESCRIBE":
                    connection.sendall(reply(cseq, body=sdp()))
                elif method == "SETUP":
                    found = re.findall(r"client_port=(\d+)", text)
                    transport, client_port = ("udp", int(found[0])) if found else ("tcp", 0)
                    camera.requests.append(f"SETUP {transport}")
                    if transport in plan.refuses:
                        connection.sendall(reply(cseq, plan.refuses[transport]))
                        if plan.closes_after_refusal:
                            return
                    else:
                        connection.sendall(
                            reply(cseq, "200 OK", "Session: 9;timeout=60", _transport(transport, rtp, plan))
                        )
                elif method == "PLAY":
                    connection.sendall(reply(cseq))
                    if transport not in plan.silent:
                        _play(connection, plan, transport, client_port)
                elif method == "TEARDOWN" and plan.answers_teardown:
                    connection.sendall(reply(cseq))


def _transport(transport: str, rtp: socket.socket, plan: Plan) -> str:
    if transport == "tcp":
        return "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
    source = f";source={plan.says_source}" if plan.says_source else ""
    port = rtp.getsockname()[1]
    return f"Transport: RTP/AVP;unicast{source};server_port={port}-{port + 1};ssrc=00000007"


def _play(connection: socket.socket, plan: Plan, transport: str, client_port: int) -> None:
    plan.before_media()
    if transport == "tcp":
        connection.sendall(b"".join(map(frame, plan.packets)))
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:  # not from server_port: some cameras do so
            sender.bind((plan.source_ip, 0))
            for packet in plan.packets:
                sender.sendto(packet, ("127.0.0.1", client_port))
            if plan.bye:
                sender.sendto(plan.bye, ("127.0.0.1", client_port + 1))
    plan.after_media()


@contextlib.contextmanager
def _media_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ports in a row."""
    while True:
        with contextlib.ExitStack() as stack:
            rtp, rtcp = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
            rtp.bind(("127.0.0.1", 0))
            try:
                rtcp.bind(("127.0.0.1", rtp.getsockname()[1] + 1))
            except (OSError, OverflowError):
                continue
            for one in (rtp, rtcp):
                one.setblocking(False)
            yield rtp, rtcp
            return
