"""Hostile cameras do what their names say, seen by a plain socket; alone, and as cameras of the farm."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from streamwatch.errors import Reason
from streamwatch.simulator.hostile.bits import Bits, sps
from streamwatch.simulator.hostile.corpus import CORPUS, PLAIN, THEMES
from tests.simulator.conftest import PATIENCE_S, ROOT, Running, run

WAIT_S = 0.3  # for what must not come
FRAGMENT = b"\x7c\x85"  # RFC 6184 section 5.8: the first one of a keyframe


class Client:
    """Says requests and hears bytes; it knows nothing of how they are made."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S)
        self.number = 0
        self.heard = b""

    def ask(self, method: str, *headers: str) -> None:
        self.number += 1
        lines = [f"{method} {self.url} RTSP/1.0", f"CSeq: {self.number}", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def hear(self, wanted: bytes) -> bytes:
        """All that was heard since the last call, up to the first place that has `wanted`."""
        while wanted not in self.heard:
            data = self.socket.recv(65_536)
            assert data, f"closed after {self.heard[-200:]!r}"
            self.heard += data
        out, self.heard = self.heard, b""
        return out

    def silent(self) -> bool:
        """Nothing comes within WAIT_S."""
        self.socket.settimeout(WAIT_S)
        try:
            return self.socket.recv(1) is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE_S)

    def played(self) -> bytes:
        """Through to the first packet of media; gives that and what came with it."""
        self.ask("OPTIONS")
        self.hear(b"\r\n\r\n")
        self.ask("DESCRIBE", "Accept: application/sdp")
        self.hear(b"trackID=1\r\n")
        self.ask("SETUP", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        session = re.search(rb"Session: ([^;\r]+)", self.hear(b"\r\n\r\n"))
        assert session is not None
        self.ask("PLAY", f"Session: {session[1].decode()}")
        return self.hear(FRAGMENT).partition(b"\r\n\r\n")[2]


@contextlib.contextmanager
def served(cache: Path, *arguments: str) -> Iterator[dict[str, str]]:
    """Hostile cameras in a process of their own: addresses by name."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streamwatch.simulator.hostile", f"--cache={cache}", "--bind=127.72.0.0/16", *arguments],
        stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield {one["name"]: one["url"] for one in ready["cameras"]}
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


@pytest.fixture(scope="module")
def urls(clip_cache: Path) -> Iterator[dict[str, str]]:
    with served(clip_cache) as found:
        yield found


def test_every_row_of_the_corpus_says_what_it_is() -> None:
    """Names are words that stand once, each says what it does and what it deserves, and none lies in two themes."""
    rows = [one for theme in THEMES for one in theme.HOSTILITIES]

    assert len(rows) == len(CORPUS) >= 150
    for one in rows:
        assert re.fullmatch(r"[a-z0-9_]{4,32}", one.name), one.name
        assert one.does, one.name
        assert one.deserves, one.name
        assert not {reason for reason in one.deserves if reason and reason.startswith("ours.")}, one.name
    assert {one.name for one in PLAIN} == {one.name for one in rows if not one.name.startswith("tls_")}


def test_the_base_is_a_good_camera(urls: dict[str, str]) -> None:
    """What nothing is wrong with answers in order and sends parameter sets and a keyframe at once."""
    media = Client(urls["packet_after_crlf"]).played()

    assert media.startswith(b"\r\n\r\n\n\r\n$\x00")
    assert media.find(b"\x67") < media.find(b"\x68") < media.find(FRAGMENT)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("length_negative", b"Content-Length: -1\r\n"),
        ("length_list", b"Content-Length: 5, 6\r\n"),
        ("length_2e63", b"Content-Length: 9223372036854775808\r\n"),
        ("status_http", b"HTTP/1.1 200 OK\r\n"),
        ("status_reason_gbk", "RTSP/1.0 200 成功\r\n".encode("gbk")),
        ("cseq_ahead", b"CSeq: 9\r\n"),
        ("header_nul", b"X-A: a\x00b\r\n"),
        ("provisional_storm", b"RTSP/1.0 100 Trying\r\nCSeq: 2\r\n\r\n" * 40),
        ("redirect_metadata", b"Location: rtsp://169.254.169.254/latest\r\n"),
        ("auth_basic_digest_one_header", b'WWW-Authenticate: Basic realm="hostile", Digest realm="hostile", nonce='),
        ("sdp_media_1000_before", b"m=audio 0 RTP/AVP 8\r\n"),
        ("control_elsewhere", b"a=control:rtsp://127.255.1.1:554/x\r\n"),
    ],
)
def test_a_reply_to_describe_is_bent_as_its_name_says(urls: dict[str, str], name: str, words: bytes) -> None:
    """The second reply of the conversation has these bytes."""
    client = Client(urls[name])
    client.ask("OPTIONS")
    client.hear(b"\r\n\r\n")
    client.ask("DESCRIBE", "Accept: application/sdp")

    assert words in client.hear(words)


def test_silence_begins_where_its_name_says(urls: dict[str, str]) -> None:
    """silence_after_options answers OPTIONS, and DESCRIBE never."""
    client = Client(urls["silence_after_options"])
    client.ask("OPTIONS")
    client.hear(b"\r\n\r\n")
    client.ask("DESCRIBE")

    assert client.silent()


def test_a_trickle_is_a_byte_at_a_time(urls: dict[str, str]) -> None:
    """Of the reply one byte comes, and the next not at once."""
    client = Client(urls["trickle_options"])
    client.ask("OPTIONS")

    assert client.socket.recv(100) == b"R"
    assert client.silent()


def test_each_connection_is_cut_further_on(urls: dict[str, str]) -> None:
    """The n-th connection ends after n steps of bytes: the first one at once."""
    lengths = []
    for _ in range(4):
        client = Client(urls["cut_fin"])
        client.ask("OPTIONS")
        heard = b""
        while data := client.socket.recv(4096):
            heard += data
        lengths.append(len(heard))

    assert lengths == [0, 37, 74, 111]


def test_certificates_and_versions_are_what_they_say(urls: dict[str, str]) -> None:
    """Self-signed is TLS that an unchecking client speaks; TLS 1.0 is refused by a modern one."""
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lenient.check_hostname, lenient.verify_mode = False, ssl.CERT_NONE
    for name, speaks in (("tls_self_signed", True), ("tls_old", False)):
        parts = urlsplit(urls[name])
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as plain:
            try:
                lenient.wrap_socket(plain).close()
            except ssl.SSLError:
                assert not speaks, name
            else:
                assert speaks, name


def test_bits_are_written_as_the_standard_reads_them() -> None:
    """Exp-Golomb, and emulation prevention wherever three bytes would look like a start code."""
    assert Bits().ue(0).ue(1).ue(2).ue(3).unit(0x67) == bytes((0x67, 0b1_010_011_0, 0b0100_1_000))
    assert Bits().u(0, 24).u(1, 8).unit(0x67) == b"\x67\0\0\x03\0\x01\x80"
    assert len(sps(16_000, 16_000)) < 40


def test_the_list_names_every_hostility() -> None:
    """`--list` has a line each, and an unknown name is wrong usage."""
    command = [sys.executable, "-m", "streamwatch.simulator.hostile"]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(CORPUS)
    wrong = subprocess.run([*command, "--only=nothing"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (wrong.returncode, wrong.stderr) == (64, "no hostility 'nothing': --list names them\n")


def test_the_inventory_names_addresses_and_account(clip_cache: Path, tmp_path: Path) -> None:
    """cameras.csv has what `import` takes, by rotation where more are asked for than there are."""
    with served(clip_cache, "--only=garbage", "--only=tls_alert", "--cameras=3", f"--inventory={tmp_path}") as found:
        with (tmp_path / "cameras.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["name"] for row in rows] == ["garbage", "tls_alert", "garbage"]
        assert found["tls_alert"] == rows[1]["url"]
        assert rows[1]["url"].startswith("rtsps://127.72.0.2:")
        assert all(row["username"] and row["password"] for row in rows)


def test_a_camera_of_the_farm_turns_hostile_and_back(running: Running) -> None:
    """POST /faults takes hostile:NAME; the camera's sessions are cut, it is hostile, and then itself again."""
    camera = running.cameras[3]
    before = Client(camera["url"])
    before.ask("OPTIONS")
    before.hear(b"\r\n\r\n")
    running.fault(camera, "hostile:status_http")
    with contextlib.suppress(ConnectionResetError):
        assert before.socket.recv(1) == b""
    client = Client(camera["url"])
    client.ask("OPTIONS")
    client.hear(b"\r\n\r\n")
    client.ask("DESCRIBE")
    assert b"HTTP/1.1 200 OK" in client.hear(b"\r\n")
    listed = {one["code"]: one["fault"] for one in running.ask("/cameras")[1]["items"]}
    assert listed[camera["code"]] == "hostile:status_http"
    running.fault(camera, None)
    assert client.socket.recv(65_536) is not None
    again = Client(camera["url"])
    again.ask("OPTIONS")
    assert b"Hostile" not in again.hear(b"\r\n\r\n")
    assert [one["fault"] for one in running.log()[-2:]] == ["hostile:status_http", None]


@pytest.mark.parametrize("name", ["hostile:nothing", "hostile:", "hostile:tls_alert"])
def test_a_hostility_that_cannot_be_is_refused(running: Running, name: str) -> None:
    """Unknown names and those of rtsps:// are 400, and say where the names are listed."""
    status, answer = running.ask("/faults", {"camera": running.cameras[0]["code"], "fault": name})

    assert status == 400
    assert "--list" in answer["detail"]


def test_a_share_of_the_farm_is_hostile_from_the_start(clip_cache: Path, tmp_path: Path) -> None:
    """--hostile 0.5 of 8 cameras: four stand as hostile, each in another way; more than all is wrong usage."""
    with run(tmp_path, clip_cache, "--cameras", "8", "--hostile", "0.5", "--bind", "127.73.0.0/24") as farm:
        names = [one["fault"] for one in farm.ask("/faults")[1]["items"]]
        assert len(set(names)) == 4
        assert all(name.removeprefix("hostile:") in CORPUS for name in names)
    wrong = subprocess.run(
        [sys.executable, "-m", "streamwatch.simulator", "--hostile", "1.5"], capture_output=True, check=False, cwd=ROOT
    )
    assert wrong.returncode == 64


def test_reset_is_a_reset(urls: dict[str, str]) -> None:
    """reset_on_connect ends with RST, not with FIN."""
    with pytest.raises(ConnectionResetError):
        Client(urls["reset_on_connect"]).socket.recv(1)


def test_what_is_deserved_is_a_reason_of_the_interface() -> None:
    """Every reason that the corpus names, and the reasons that only the network below can bring are not among them."""
    named = {reason for one in CORPUS.values() for reason in one.deserves if reason is not None}

    assert Reason.NET_NAME not in named
    assert {Reason.RTSP_PROTOCOL, Reason.RTSP_AUTH, Reason.RTSP_REDIRECT, Reason.MEDIA_TOO_LARGE} <= named
