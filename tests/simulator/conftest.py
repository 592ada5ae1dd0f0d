"""One farm in a process of its own for all tests of this folder, and a plain-socket client with none of its code."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import md5, sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 10.0  # for what must come
CAMERAS = 18  # one village with every place: all scenes, and 18 draws from six dialects


@pytest.fixture(scope="session")
def clip_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where clips are kept, so that a test session renders each once."""
    return tmp_path_factory.mktemp("clips")


@dataclass
class Running:
    """The farm under test, seen from outside only."""

    control: str
    port: int
    cameras: list[dict[str, str]]
    folder: Path
    process: subprocess.Popen[bytes]

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """GET, or POST with a JSON body."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(self.control + path, data, timeout=PATIENCE_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def fault(self, camera: dict[str, str], name: str | None, until: str | None = None) -> None:
        """Switches one camera."""
        status, answer = self.ask("/faults", {"camera": camera["code"], "fault": name, "until": until})
        assert status == 200, answer

    def serving(self, *transports: str) -> list[dict[str, str]]:
        """The cameras that serve one of these transports."""
        items = self.ask("/cameras")[1]["items"]
        codes = [item["code"] for item in items if item["transport"] in transports]
        return [camera for camera in self.cameras if camera["code"] in codes]

    def log(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in (self.folder / "log.jsonl").read_text("utf-8").splitlines()]


def start(folder: Path, cache: Path, *more: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """A farm process and its ready line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streamwatch.simulator", "--inventory", str(folder), "--cache", str(cache), *more],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(f"the farm ended with {process.wait()} before it was ready")
    return process, json.loads(line)


@contextlib.contextmanager
def run(folder: Path, cache: Path, *more: str) -> Iterator[Running]:
    """A farm process with its inventory and its log, ended with exit status 0."""
    process, ready = start(folder, cache, "--villages", "1", "--log", str(folder / "log.jsonl"), *more)
    try:
        with (folder / "cameras.csv").open(encoding="utf-8", newline="") as file:
            cameras = list(csv.DictReader(file))
        yield Running(ready["control"], ready["port"], cameras, folder, process)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        process.stdout.close()  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, clip_cache: Path) -> Iterator[Running]:
    """The farm of this session: cameras that speak TCP, as most do."""
    with run(tmp_path_factory.mktemp("farm"), clip_cache, "--cameras", str(CAMERAS), "--bind", "127.9.0.0/24",
             "--udp", "0", "--both", "0") as farm:  # fmt: skip
        yield farm


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory, clip_cache: Path) -> Iterator[Running]:
    """A farm of twelve: six serve UDP only, three either, three TCP only."""
    with run(tmp_path_factory.mktemp("mixed"), clip_cache, "--cameras", "12", "--bind", "127.9.1.0/24",
             "--udp", "0.5", "--both", "0.25") as farm:  # fmt: skip
        yield farm


def _healthy(farm: Running) -> Iterator[Running]:
    yield farm
    for item in farm.ask("/faults")[1]["items"]:
        farm.ask("/faults", {"camera": item["camera"], "fault": None})


@pytest.fixture
def farm(running: Running) -> Iterator[Running]:
    """The farm, all cameras healthy before and after."""
    yield from _healthy(running)


@pytest.fixture
def either(mixed: Running) -> Iterator[Running]:
    """The mixed farm, all cameras healthy before and after."""
    yield from _healthy(mixed)


@dataclass
class Reply:
    """Status, headers (lower case, joined values) and body of one reply."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass
class Talk:
    """One conversation over a plain socket; Digest where it is asked for."""

    camera: dict[str, str]
    stream: str = "sub_url"
    password: str | None = None
    timeout: float = PATIENCE_S
    session: str = ""
    sequence: int = 0
    authorization: dict[str, str] = field(default_factory=dict)
    algorithm: str = "MD5"
    ports: tuple[socket.socket, socket.socket] | None = None

    def __post_init__(self) -> None:
        self.url = self.camera[self.stream]
        parts = urlsplit(self.url)
        self.socket = socket.create_connection((parts.hostname, parts.port), self.timeout)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()
        for port in self.ports or ():
            port.close()

    def send(self, method: str, url: str, **headers: str) -> None:
        """Writes one request."""
        self.sequence += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self.sequence}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if self.session:
            lines.append(f"Session: {self.session}")
        if self.authorization:
            user, password = self.camera["username"], self.password or self.camera["password"]
            realm, nonce = self.authorization["realm"], self.authorization["nonce"]
            named = f"algorithm={self.algorithm}, " if self.algorithm != "MD5" else ""
            first, second = self._hex(f"{user}:{realm}:{password}"), self._hex(f"{method}:{url}")
            text = f'Digest {named}username="{user}", realm="{realm}", nonce="{nonce}", uri="{url}", '
            if "qop" in self.authorization:
                proof = self._hex(f"{first}:{nonce}:00000001:c0ffee:auth:{second}")
                text += f'qop=auth, nc=00000001, cnonce="c0ffee", response="{proof}"'
            else:
                text += f'response="{self._hex(f"{first}:{nonce}:{second}")}"'
            lines.append(f"Authorization: {text}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def _hex(self, text: str) -> str:
        return (md5 if self.algorithm == "MD5" else sha256)(text.encode()).hexdigest()

    def reply(self) -> Reply:
        """Reads one reply."""
        first = self.file.readline().decode()
        assert first.startswith("RTSP/1.0 "), first
        headers: dict[str, str] = {}
        while line := self.file.readline().decode().strip():
            name, _, value = line.partition(":")
            before = headers.get(name.lower())
            headers[name.lower()] = value.strip() if before is None else f"{before}, {value.strip()}"
        return Reply(int(first.split()[1]), headers, self.file.read(int(headers.get("content-length", 0))).decode())

    def ask(self, method: str, url: str | None = None, **headers: str) -> Reply:
        """One request and its reply; a first 401 is answered."""
        self.send(method, url or self.url, **headers)
        reply = self.reply()
        if reply.status == 401 and not self.authorization:
            self.authorization = dict(re.findall(r'(\w+)="([^"]*)"', reply.headers["www-authenticate"]))
            self.send(method, url or self.url, **headers)
            reply = self.reply()
        return reply

    def setup(self, transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1") -> Reply:
        """DESCRIBE and SETUP; the last reply."""
        described = self.ask("DESCRIBE")
        assert described.status == 200, described
        control = re.findall(r"a=control:(\S+)", described.body)[-1]
        base = described.headers.get("content-base", self.url + "/")
        reply = self.ask("SETUP", control if "://" in control else base + control, Transport=transport)
        self.session = reply.headers.get("session", "").partition(";")[0]
        return reply

    def play(self) -> Reply:
        """DESCRIBE, SETUP and PLAY; the last reply."""
        assert self.setup().status == 200
        return self.ask("PLAY")

    def datagrams(self, address: str = "127.0.0.1") -> Reply:
        """DESCRIBE, and SETUP over UDP to two ports of ours; the last reply."""
        self.ports = tuple(socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))  # type: ignore[assignment]
        for port in self.ports or ():
            port.bind((address, 0))
            port.settimeout(self.timeout)
        first, second = (port.getsockname()[1] for port in self.ports or ())
        return self.setup(f"RTP/AVP;unicast;client_port={first}-{second}")

    def packet(self) -> tuple[int, bytes]:
        """One RTP packet, and its channel where it is interleaved, else 0."""
        if self.ports is not None:
            return 0, self.ports[0].recv(2048)
        head = self.file.read(4)
        assert head[:1] == b"$", head
        return head[1], self.file.read(int.from_bytes(head[2:], "big"))

    def frame(self) -> list[bytes]:
        """The RTP packets of one access unit, up to its marker bit."""
        packets = []
        while True:
            _, packet = self.packet()
            packets.append(packet)
            if packet[1] & 0x80:
                return packets
