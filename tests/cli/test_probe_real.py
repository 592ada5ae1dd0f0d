"""`probe` against RTSP servers that nobody on the team wrote, as a person would call it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Running, aio_rtsp, encode_clip, gstreamer

PASSWORD = "Pa:ss@wo/rd#7"
ENCODED = "Pa%3Ass%40wo%2Frd%237"
STEPS = {"connect", "options", "describe", "setup", "play", "first_keyframe", "decode", "score", "total"}


@pytest.fixture(scope="module")
def clip(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[int, int]]:
    """A street scene as a surveillance camera saw it."""
    path = tmp_path_factory.mktemp("clips") / "vtest.mp4"
    return path, encode_clip(shared_data / "media" / "vtest.avi", path)


@pytest.fixture(scope="module")
def gst(clip: tuple[Path, tuple[int, int]]) -> Iterator[Running]:
    with gstreamer(*clip, "admin", PASSWORD) as running:
        yield running


def streamwatch(*arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "streamwatch", *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def probe(url: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    status, out, err = streamwatch("probe", url, "--json", *arguments)
    (line,) = out.splitlines()
    return status, json.loads(line), out + err


def with_login(url: str, password: str = ENCODED) -> str:
    return url.replace("rtsp://", f"rtsp://admin:{password}@")


def test_gstreamer_with_digest_is_up_with_codec_size_and_every_step_timed(gst: Running) -> None:
    """The right password: exit 0, the clip's codec and size, a time for each step, and no password in what is said."""
    status, found, said = probe(with_login(gst.url))

    assert status == 0, found
    assert (found["state"], found["reason"], found["faults"]) == ("up", None, [])
    assert (found["codec"], found["width"], found["height"], found["transport"]) == (
        "h264", gst.width, gst.height, "tcp",
    )  # fmt: skip
    assert set(found["timings_ms"]) == STEPS
    assert all(took >= 0 for took in found["timings_ms"].values())
    assert found["measures"]["luma_mean"]["valid"]
    assert PASSWORD not in said
    assert ENCODED not in said
    assert "***" in found["url"]


def test_a_wrong_password_is_rtsp_auth(gst: Running) -> None:
    """Exit 2, blame access, stopped at DESCRIBE; the wrong password is shown no more than the right one."""
    status, found, said = probe(with_login(gst.url, "wr0ngSecret"))

    assert (status, found["state"], found["reason"], found["blame"]) == (2, "down", "rtsp.auth", "access")
    assert found["step"] == "describe"
    assert "wr0ngSecret" not in said


def test_explain_shows_the_conversation_without_the_password(gst: Running) -> None:
    """Every request is there, the Authorization is not."""
    status, out, err = streamwatch("probe", with_login(gst.url), "--explain")

    assert status == 0
    for word in ("OPTIONS rtsp://", "DESCRIBE rtsp://", "SETUP rtsp://", "PLAY rtsp://", "TEARDOWN", "sharpness"):
        assert word in out
    for secret in (PASSWORD, ENCODED, 'response="'):
        assert secret not in out + err


def test_a_recording_replays_to_the_same_answer(gst: Running, tmp_path: Path) -> None:
    """What --record wrote, --replay says again, without a network; no secret is in the file."""
    tape = tmp_path / "camera.jsonl"
    _, live, _ = probe(with_login(gst.url), "--record", str(tape), "--with-picture")
    status, out, _ = streamwatch("probe", "--replay", str(tape), "--json")
    again = json.loads(out)

    assert status == 0
    for key in ("state", "codec", "width", "height", "reason", "faults", "measures", "keyframe_bytes"):
        assert again[key] == live[key], key
    text = tape.read_text()
    assert PASSWORD not in text
    assert ENCODED not in text


def test_the_picture_itself_goes_into_a_file(gst: Running, tmp_path: Path) -> None:
    """Of the live camera, and of a recording that kept its picture: the same JPEG."""
    live, again, tape = tmp_path / "live.jpg", tmp_path / "again.jpg", tmp_path / "camera.jsonl"
    status, _, _ = probe(with_login(gst.url), "--snapshot", str(live), "--record", str(tape), "--with-picture")
    assert status == 0 and live.read_bytes()[:3] == b"\xff\xd8\xff"
    assert streamwatch("probe", "--replay", str(tape), "--snapshot", str(again))[0] == 0
    assert again.read_bytes() == live.read_bytes()


def test_a_reduced_recording_says_the_same_of_the_stream(gst: Running, tmp_path: Path) -> None:
    """Without the picture the recording is small and still shows codec, size and that a keyframe came."""
    tape = tmp_path / "camera.jsonl"
    probe(with_login(gst.url), "--record", str(tape))
    status, out, _ = streamwatch("probe", "--replay", str(tape), "--json")
    again = json.loads(out)

    assert (status, again["state"], again["codec"], again["width"]) == (0, "up", "h264", gst.width)
    assert tape.stat().st_size < 100_000


def test_aio_rtsp_toolkit_is_up(clip: tuple[Path, tuple[int, int]]) -> None:
    """An independent server without a password: exit 0, right codec and size."""
    with aio_rtsp(*clip) as running:
        status, found, _ = probe(running.url)

    assert (status, found["state"]) == (0, "up"), found
    assert (found["codec"], found["width"], found["height"]) == ("h264", running.width, running.height)
    assert set(found["timings_ms"]) == STEPS


def test_a_closed_port_is_net_refused() -> None:
    """Exit 2 at once, step connect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    status, found, _ = probe(f"rtsp://127.0.0.1:{port}/live")

    assert (status, found["state"], found["reason"], found["step"]) == (2, "down", "net.refused", "connect")
    assert found["blame"] == "camera"


def test_a_silent_port_is_net_timeout_at_its_deadline() -> None:
    """Accepts and says nothing: exit 2 when the deadline falls, not before and not a second later."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, found, _ = probe(f"rtsp://127.0.0.1:{port}/live", "--timeout", "2")

    assert (status, found["reason"], found["step"]) == (2, "net.timeout", "options")
    assert 2000 <= found["timings_ms"]["total"] < 2500


def test_several_cameras_come_in_order_and_the_worst_counts(gst: Running) -> None:
    """Three URLs, three lines in their order; down beats up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    urls = [f"rtsp://127.0.0.1:{port}/a", with_login(gst.url), f"rtsp://127.0.0.1:{port}/b"]
    status, out, _ = streamwatch("probe", "-", "--json", "--depth", "stream", stdin="\n".join(urls))

    assert status == 2
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["down", "up", "down"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "which camera"),
        (("http://127.0.0.1/x",), "rtsp://"),
        (("rtsp://127.0.0.1/x", "--timeout", "0"), "--timeout"),
        (("rtsp://127.0.0.1/x", "--transport", "multicast"), '"auto", "tcp", "udp", "http"'),
        (("rtsp://127.0.0.1/x", "--depth", "deep"), "deep"),
        (("--replay", "/nonexistent"), "/nonexistent"),
    ],
)
def test_a_wrong_call_is_64_and_names_what_is_wrong(arguments: tuple[str, ...], says: str) -> None:
    """Nothing is looked at; the message names the thing."""
    status, out, err = streamwatch("probe", *arguments)

    assert status == 64
    assert says in err + out
