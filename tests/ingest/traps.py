"""A camera that tries to lead us elsewhere, and traps in those places that take down every byte that arrives."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.wire.camera import encode, frame, packetise, reply, sdp

US = "127.0.0.1"  # where Linux comes from when it goes to any other 127.x
HOST = "127.20.0.1"  # the camera's
ELSEWHERE = "127.20.0.66"  # where it must not lead us: hexadecimal 7f140042
PACKETS = packetise(encode(320, 240, pictures=2))
CHALLENGES = {
    "basic": 'Basic realm="{realm}"',
    "md5": 'Digest realm="{realm}", nonce="{nonce}"{stale}',
    "sha": 'Digest realm="{realm}", nonce="{nonce}", algorithm=SHA-256, qop="auth"{stale}',
    "odd": 'Digest realm="{realm}", nonce="{nonce}", algorithm=SM3{stale}',
}


@dataclass
class Asked:
    """One request as it came."""

    method: str
    url: str
    headers: dict[str, str]

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


@dataclass
class Lock:
    """How a camera asks for a password, and what it does with the answers.

    `refuses` are the methods whose answers it refuses, "" for all; None: it takes any answer to what it offers.
    """

    offers: tuple[str, ...] = ("md5",)  # of CHALLENGES, in this order
    one_header: bool = False
    realm: str = "r"
    new_nonce: bool = False
    stale: str = ""
    refuses: frozenset[str] | None = None
    later: tuple[str, ...] | None = None  # what it offers after it has taken an answer once
    later_at: frozenset[str] = frozenset()  # the methods that it then refuses once
    anew: tuple[str, ...] | None = None  # what it offers a new connection after it has taken an answer once
    refused: int = 0  # answers
    taken: int = 0
    _count: int = 0
    _asked_later: set[str] = field(default_factory=set)

    def challenge(self, asked: Asked) -> list[str] | None:
        """The headers of a 401, or None where the request is let in."""
        answer, offers = asked.authorization, self.offers
        if answer is None and self.taken and self.anew is not None:
            offers = self.anew
        elif answer is not None:
            if self.later is not None and asked.method in self.later_at and asked.method not in self._asked_later:
                self._asked_later.add(asked.method)
                offers = self.later
            elif self.refuses is None or not ({asked.method, ""} & self.refuses):
                self.taken += 1
                return None
            self.refused += 1
        self._count += self.new_nonce or self._count == 0
        stale = f", stale={self.stale}" if self.stale and answer is not None else ""
        texts = [CHALLENGES[name].format(realm=self.realm, nonce=f"n{self._count}", stale=stale) for name in offers]
        return [f"WWW-Authenticate: {text}" for text in ([", ".join(texts)] if self.one_header else texts)]


@dataclass
class Plan:
    """What the camera answers; by method."""

    status: dict[str, str] = field(default_factory=dict)
    headers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    before: dict[str, bytes] = field(default_factory=dict)  # pushed in front of the reply
    after: bytes = b""  # pushed behind the reply to PLAY, before any media
    description: bytes = field(default_factory=sdp)
    transport: str = ""  # further parameters of the Transport header
    closes_at: frozenset[str] = frozenset()
    silent: bool = False  # no media
    lock: Lock | None = None


class Listener:
    """A place that takes connections: whether anybody came, and all that was said. `answer` may keep them talking."""

    def __init__(self, answer: Callable[[Asked], bytes] | None = None) -> None:
        self.heard = bytearray()
        self.connections = 0
        self.requests: list[Asked] = []
        self.port = 0
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self, host: str, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, host, port, ssl=tls)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        buffer = b""
        try:
            while data := await reader.read(65_536):
                self.heard += data
                buffer += data
                while b"\r\n\r\n" in buffer:
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    asked = asked_of(head.decode("latin-1"))
                    self.requests.append(asked)
                    if self._answer is not None:
                        writer.write(self._answer(asked))
                        await writer.drain()
                        if self.ends(asked):
                            return
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def ends(self, asked: Asked) -> bool:
        """Whether the connection is closed after that answer."""
        return False


class Camera(Listener):
    """A whole conversation with all that its plan adds; media by TCP, or by UDP where that is asked for."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(self.reply_to)
        self.plan = plan
        self.datagrams: list[bytes] = []
        self._ports = (self._socket(), self._socket())
        self.media_ports = tuple(int(one.getsockname()[1]) for one in self._ports)
        self._client_port = 0
        self.client_ports: set[int] = set()  # where it sends media to

    def _socket(self) -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((HOST, 0))
        one.setblocking(False)
        return one

    async def close(self) -> None:
        await super().close()
        for one in self._ports:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.datagrams.append(one.recv(2000))
            one.close()

    def ends(self, asked: Asked) -> bool:
        return asked.method in self.plan.closes_at and self.connections == 1

    def reply_to(self, asked: Asked) -> bytes:
        plan, method = self.plan, asked.method
        cseq = int(asked.headers["cseq"])
        front = plan.before.get(method, b"")
        if plan.lock is not None and method != "OPTIONS":
            challenge = plan.lock.challenge(asked)
            if challenge is not None:
                return front + reply(cseq, "401 Unauthorized", *challenge)
        headers = list(plan.headers.get(method, ()))
        status = plan.status.get(method, "200 OK")
        if status != "200 OK":
            return front + reply(cseq, status, *headers)
        body = b""
        if method == "OPTIONS":
            headers.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
        elif method == "DESCRIBE":
            body = plan.description
        elif method == "SETUP":
            headers += ["Session: 9;timeout=60", f"Transport: {self._agreed(asked)}{plan.transport}"]
        answer = front + reply(cseq, status, *headers, body=body)
        if method == "PLAY" and not plan.silent:
            if not self._client_port:
                return answer + plan.after + b"".join(map(frame, PACKETS))
            for packet in PACKETS:
                self._ports[0].sendto(packet, (US, self._client_port))
        return answer

    def _agreed(self, asked: Asked) -> str:
        found = re.search(r"client_port=([0-9]+)", asked.headers.get("transport", ""))
        self._client_port = int(found[1]) if found else 0
        self.client_ports.add(self._client_port)
        if not found:
            return "RTP/AVP/TCP;unicast;interleaved=0-1"
        ports = "-".join(map(str, self.media_ports))
        return f"RTP/AVP;unicast;client_port={found[1]}-{int(found[1]) + 1};server_port={ports}"


def tempting(asked: Asked) -> bytes:
    """The answers of a trap: it would like our password, and takes what comes."""
    cseq = int(asked.headers.get("cseq", "1"))
    if asked.method == "OPTIONS" or asked.authorization is not None:
        return reply(cseq, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN", body=b"")
    return reply(
        cseq, "401 Unauthorized", 'WWW-Authenticate: Basic realm="r"', 'WWW-Authenticate: Digest realm="r", nonce="n1"'
    )


@contextlib.asynccontextmanager
async def opened(listener: Listener, host: str, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The listener for as long as the block runs; gives its port."""
    await listener.open(host, port, tls)
    try:
        yield listener.port
    finally:
        await listener.close()


@contextlib.contextmanager
def deaf_datagrams(host: str, port: int = 0) -> Iterator[tuple[int, Callable[[], list[bytes]]]]:
    """A UDP port where nobody should knock; gives its number, and what came so far."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((host, port))
        one.setblocking(False)

        def came() -> list[bytes]:
            found: list[bytes] = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    found.append(one.recv(2000))
            return found

        yield int(one.getsockname()[1]), came


@dataclass
class Wire:
    """What this process asked its kernel for: connections, datagrams."""

    connects: list[tuple[Any, ...]] = field(default_factory=list)
    datagrams: list[tuple[Any, ...]] = field(default_factory=list)


def watched(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Takes down every connect and sendto of asyncio's loop and of our own sockets, before the kernel sees them.

    An address where nothing listens is seen by this too: a SYN to 169.254.169.254 leaves no other trace.
    """
    wire = Wire()
    connect, connect_ex, sendto = socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto

    def noted_connect(self: socket.socket, address: Any) -> None:
        wire.connects.append(tuple(address))
        connect(self, address)

    def noted_connect_ex(self: socket.socket, address: Any) -> int:
        wire.connects.append(tuple(address))
        return connect_ex(self, address)

    def noted_sendto(self: socket.socket, data: bytes, *rest: Any) -> int:
        wire.datagrams.append(tuple(rest[-1]))
        return sendto(self, data, *rest)

    monkeypatch.setattr(socket.socket, "connect", noted_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", noted_connect_ex)
    monkeypatch.setattr(socket.socket, "sendto", noted_sendto)
    return wire


def self_signed(folder: Path) -> ssl.SSLContext:
    """A camera's own certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "camera.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def asked_of(head: str) -> Asked:
    first, *lines = head.split("\r\n")
    method, url = [*first.split(" "), "", ""][:2]
    pairs = (line.partition(":") for line in lines)
    return Asked(method, url, {name.strip().lower(): value.strip() for name, _, value in pairs})
