"""What systemd is told, over a socket as systemd's."""

from __future__ import annotations

import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamwatch.service.supervisor import notify
from tests.running import start


def listening(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.settimeout(60)
    sock.bind("\0" + address[1:] if address.startswith("@") else address)
    return sock


@pytest.fixture(params=["path", "abstract"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A socket that listens, and its name as NOTIFY_SOCKET has it."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@streamwatch-{secrets.token_hex(8)}"
    with listening(address) as sock:
        yield address, sock


def test_the_lines_arrive_in_one_datagram(supervisor: tuple[str, socket.socket]) -> None:
    """At a path and at an abstract name."""
    address, sock = supervisor
    notify({"NOTIFY_SOCKET": address}, "READY=1", "STATUS=well")

    assert sock.recv(1000) == b"READY=1\nSTATUS=well"


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:2:1", "/nonexistent/notify", "@" + "x" * 200])
def test_nobody_who_listens_is_no_trouble(address: str | None) -> None:
    """Not under systemd, or not in a way that we know: nothing happens."""
    notify({} if address is None else {"NOTIFY_SOCKET": address}, "READY=1")


def test_a_full_queue_does_not_hold_the_service(supervisor: tuple[str, socket.socket]) -> None:
    """A supervisor that reads nothing: what does not fit is lost, and nobody waits."""
    for _ in range(10_000):
        notify({"NOTIFY_SOCKET": supervisor[0]}, "WATCHDOG=1")

    assert supervisor[1].recv(100) == b"WATCHDOG=1"


def test_the_service_says_ready_alive_and_stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY once and only when /readyz is 200, WATCHDOG all the while, STOPPING at SIGTERM."""
    with listening(str(tmp_path / "notify")) as sock:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        running = start(tmp_path / "data")
        heard: list[str] = []
        try:
            while not any(lines.startswith("READY=1") for lines in heard):
                heard.append(sock.recv(1000).decode())
            assert running.ready()
            running.process.send_signal(signal.SIGTERM)
            while heard[-1] != "STOPPING=1":
                heard.append(sock.recv(1000).decode())
            assert running.process.wait(15) == 0
        finally:
            running.process.kill()
            running.process.wait()

    assert [lines for lines in heard if lines != "WATCHDOG=1"] == ["READY=1\nSTATUS=watching 0 cameras", "STOPPING=1"]
    assert heard.count("WATCHDOG=1") >= 1
