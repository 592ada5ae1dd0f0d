"""docs/library.md: its examples run, as they stand there, against the simulated farm; its names are the public ones."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamwatch import wire
from streamwatch.simulator.farm import Farm, FarmPlan

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".run" / "farm-cache"
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
PUBLIC = [
    "DEPACKETISERS", "Address", "Ask", "Authenticator", "Closed", "Conversation", "Credentials", "Datagram", "Depth",
    "H264Depacketiser", "H265Depacketiser", "Headers", "Interleaved", "JpegDepacketiser", "JpegUnit", "KeyUnit",
    "Keyframe", "LookError", "LookFailure", "Order", "Origin", "Reason", "Request", "Response", "RtpPacket",
    "RtspParser", "SequenceTracker", "SessionDescription", "Sps", "Step", "Transport", "UsageError", "VideoTrack",
    "masked_url", "parse_address", "parse_rtp", "parse_sdp", "parse_sps", "pick_video", "serialise", "split_annex_b",
]  # fmt: skip


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    running = Farm(FarmPlan(villages=1, cameras=2, bind="127.14.0.0/16", cache_dir=CACHE))
    await running.start()
    yield running
    await running.aclose()


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (0, r"h264 \d+ \d+ faults: \[\]\n\{\"url\":"),
        (1, r"(rtsp://\S+ up None\n){2}"),
        (2, r"\('h264', \d+, \d+, \d+\)"),
    ],
)
async def test_an_example_runs_as_it_stands(farm: Farm, tmp_path: Path, number: int, says: str) -> None:
    """With the addresses of simulated cameras in place of the page's; Python's development mode has no complaint, but
    of callbacks that took long, as on a busy machine any may."""
    text = EXAMPLES[number]
    for camera, written in zip(farm.cameras, ("192.0.2.7", "192.0.2.8"), strict=True):
        login = camera.url.replace("rtsp://", f"rtsp://{camera.username}:{camera.password}@")
        text = text.replace(f"rtsp://{written}/live", login)
    (tmp_path / "example.py").write_text(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", "-W", "error", "example.py",
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()

    complaints = [line for line in err.decode().splitlines() if not line.startswith("Executing ")]
    assert (process.returncode, complaints) == (0, [])
    assert re.match(says, out.decode()), out.decode()


def test_every_example_is_run() -> None:
    """Those above, and no other; the one of the protocol fits thirty lines."""
    assert len(EXAMPLES) == 3
    assert len([line for line in EXAMPLES[2].splitlines() if line.strip()]) <= 30


def test_the_public_names_of_the_protocol_are_pinned_and_documented() -> None:
    """A name comes or goes here, in `__all__` and in the page together; each is there and has a docstring."""
    documented = set(re.findall(r"`([A-Za-z_0-9]+)`", PAGE.partition("| names | for |")[2]))

    assert wire.__all__ == PUBLIC
    assert set(PUBLIC) <= documented
    assert [name for name in PUBLIC if not (getattr(wire, name).__doc__ or "").strip()] == []


def test_the_protocol_alone_needs_no_network_and_no_loop() -> None:
    """Importing it brings neither sockets nor asyncio, nor anything that decodes."""
    script = "import sys, streamwatch.wire; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert {"socket", "asyncio", "ssl", "threading", "av", "numpy"} & set(done.stdout.split()) == set()
