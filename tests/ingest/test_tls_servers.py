"""GStreamer's own server by TLS and through HTTP: a keyframe comes, is recorded, and the recording says the same."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Depth, Transport
from streamwatch.net.tls import Trust, Verify
from tests.certificates import certificate
from tests.ingest.tls_camera import hear, run, settled
from tests.servers import Running, encode_clip, gstreamer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clip(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[int, int]]:
    path = tmp_path_factory.mktemp("clips") / "vtest.mp4"
    return path, encode_clip(shared_data / "media" / "vtest.avi", path)


@pytest.fixture(scope="module")
def by_tls(clip: tuple[Path, tuple[int, int]]) -> Iterator[Running]:
    with gstreamer(*clip, "admin", "s3cret", pem=certificate().pem) as running:
        yield running


@pytest.fixture(scope="module")
def in_the_clear(clip: tuple[Path, tuple[int, int]]) -> Iterator[Running]:
    with gstreamer(*clip, "admin", "s3cret") as running:
        yield running


def with_login(running: Running, password: str = "s3cret") -> str:
    return running.url.replace("://", f"://admin:{password}@")


WAYS = [("tls", Transport.AUTO), ("tls", Transport.HTTP), ("clear", Transport.HTTP)]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(("server", "transport"), WAYS)
def test_a_keyframe_comes(by_tls: Running, in_the_clear: Running, server: str, transport: Transport, loop: str) -> None:
    """Two looks with a password; right codec and size, and nothing of ours stays open."""
    running = by_tls if server == "tls" else in_the_clear

    async def work() -> None:
        trust = Trust()
        for _ in range(2):
            heard = await hear(with_login(running), trust, depth=Depth.STREAM, transport=transport)
            assert heard.failure is None
            assert (heard.codec, heard.width, heard.height) == ("h264", running.width, running.height)
            assert heard.transport == ("http" if transport is Transport.HTTP else "tcp")
            assert list(heard.remarks) == ([Reason.TLS_UNTRUSTED] if server == "tls" else [])
        assert await settled(running.port) == (0, 1)

    run(work(), loop)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(("server", "transport"), WAYS)
def test_a_look_is_cancelled_wherever_it_is(
    by_tls: Running, in_the_clear: Running, server: str, transport: Transport, loop: str
) -> None:
    """At 24 moments from the first dial to the farewell: descriptors and tasks are back within 5 s."""
    running = by_tls if server == "tls" else in_the_clear

    async def work() -> None:
        trust = Trust()
        for moment in range(24):
            look = asyncio.create_task(hear(with_login(running), trust, depth=Depth.STREAM, transport=transport))
            await asyncio.sleep(moment * 0.002)
            look.cancel()
            await asyncio.gather(look, return_exceptions=True)
        assert await settled(running.port) == (0, 1)

    run(work(), loop)


async def test_strict_ends_at_the_certificate(by_tls: Running) -> None:
    """tls.untrusted, before anything was said."""
    heard = await hear(with_login(by_tls), Trust(Verify.STRICT), depth=Depth.STREAM)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.TLS_UNTRUSTED, Step.CONNECT)


async def test_each_door_is_asked_in_its_own_way(by_tls: Running, in_the_clear: Running) -> None:
    """TLS at a plain port is tls.failed; plain RTSP at a TLS port is never taken for one that answers."""
    knocked = await hear(in_the_clear.url.replace("rtsp:", "rtsps:"))
    plain = await hear(by_tls.url.replace("rtsps:", "rtsp:"))

    assert knocked.failure is not None
    assert knocked.failure.reason is Reason.TLS_FAILED
    assert plain.failure is not None


async def test_a_wrong_password_is_access_in_a_tunnel_too(in_the_clear: Running) -> None:
    """rtsp.auth."""
    heard = await hear(with_login(in_the_clear, "wrong"), depth=Depth.STREAM, transport=Transport.HTTP)

    assert heard.failure is not None
    assert heard.failure.reason is Reason.RTSP_AUTH


def probe(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "streamwatch", "probe", *arguments],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize(("server", "transport"), WAYS)
def test_a_recording_says_what_the_look_said(
    by_tls: Running, in_the_clear: Running, server: str, transport: Transport, tmp_path: Path
) -> None:
    """State, transport, remarks and their sentence; the conversation is RTSP, whatever carried it."""
    running = by_tls if server == "tls" else in_the_clear
    tape = str(tmp_path / "tape.jsonl")
    call = (with_login(running), "--transport", transport.value, "--depth", "stream", "--json")
    status, out = probe(*call, "--record", tape)
    again, replayed = probe("--replay", tape, "--json")

    def told(line: str) -> dict[str, Any]:
        found = json.loads(line)
        return {key: found[key] for key in ("state", "reason", "detail", "codec", "width", "transport", "remarks")}

    assert (status, again, told(out)) == (0, 0, told(replayed))
    assert told(out)["remarks"] == (["tls.untrusted"] if server == "tls" else [])
    assert told(out)["transport"] == ("http" if transport is Transport.HTTP else "tcp")
    text = Path(tape).read_text()
    assert "OPTIONS rtsp" in text
    assert "x-sessioncookie" not in text
    assert "s3cret" not in text
