"""`probe` as a person sees it, without any camera: addresses that refuse."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from streamwatch.cli.call import call


def refusing() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"rtsp://admin:S3cret@127.0.0.1:{server.getsockname()[1]}/a-path-that-is-long-enough-to-be-folded"


def on_a_terminal(columns: int, *arguments: str) -> tuple[int, str]:
    """Exit status, and what a terminal of that width is told."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamwatch", *arguments],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL,
        env=os.environ | {"COLUMNS": str(columns), "TERM": "dumb"},
    )  # fmt: skip
    os.close(theirs)
    told = b""
    try:
        while more := os.read(ours, 65536):
            told += more
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    return process.wait(), told.decode().replace("\r\n", "\n")


def test_many_cameras_on_a_terminal_are_a_table_that_fits() -> None:
    """A row a camera under headings, folded to the width; no password."""
    status, told = on_a_terminal(70, "probe", refusing(), refusing(), "--depth", "reach")

    assert status == 2
    assert told.split()[:2] == ["state", "address"]
    assert told.count("down") == 2
    assert max(map(len, told.splitlines())) <= 70
    assert "S3cret" not in told


def test_one_camera_on_a_terminal_is_a_sentence_and_many_elsewhere_are_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No headings: what a script cuts out of a line stays where it is."""
    _, told = on_a_terminal(300, "probe", refusing(), "--depth", "reach")
    assert told.startswith("down     rtsp://***@127.0.0.1:")
    assert "net.refused at connect (camera): " in told

    assert call(["probe", refusing(), refusing(), "--depth", "reach"]) == 2
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["down", "down"]


def test_a_name_that_a_person_types_may_mean_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """localhost is dialled; in an inventory it would be ours.limit."""
    assert call(["probe", refusing().replace("127.0.0.1", "localhost"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["reason"] == "net.refused"


@pytest.mark.parametrize("transport", ["auto", "tcp", "udp"])
def test_the_transports_are_taken(transport: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each reaches the camera's address."""
    assert call(["probe", refusing(), "--transport", transport, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["reason"] == "net.refused"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--concurrency", "0"], "--concurrency 0: from 1 to 10000"),
        (["--timeout", "61"], "--timeout 61: more than 0 and at most 60 seconds"),
        (["--snapshot", "x.jpg", "--depth", "stream"], "--snapshot writes one picture: name one camera"),
        (["--snapshot", "x.jpg", "rtsp://192.0.2.8/x"], "--snapshot writes one picture: name one camera"),
    ],
)
def test_what_cannot_be_meant_is_64(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The option is named with what it takes."""
    assert call(["probe", "rtsp://192.0.2.7/x", *arguments]) == 64
    assert says in capsys.readouterr().err


def test_a_camera_without_a_picture_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The look says why, and that nothing was written; the exit status is the look's."""
    file = tmp_path / "picture.jpg"
    assert call(["probe", refusing(), "--snapshot", str(file)]) == 2
    assert not file.exists() and "no picture was decoded" in capsys.readouterr().err


def test_a_machine_without_a_jail_is_78_with_the_remedy_also_for_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message, not a trace of several."""
    (tmp_path / "sitecustomize.py").write_text("import platform\nplatform.machine = lambda: 'riscv64'\n")
    launcher = tmp_path / "python"
    launcher.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(launcher))

    assert call(["probe", refusing(), refusing()]) == 78
    assert "set decoders.jail to best_effort" in capsys.readouterr().err
