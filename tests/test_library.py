"""`from streamwatch import probe, Depth`: in programs that are not ours, against the simulated farm."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import streamwatch
from streamwatch import Depth, Finding, Prober, State, UsageError, probe
from streamwatch.decoders.jail import JailError
from streamwatch.decoders.still import decode_still
from streamwatch.errors import Exit, Reason
from streamwatch.findings import found
from streamwatch.model.look import Look, StreamKind
from streamwatch.simulator.farm import Farm, FarmPlan
from streamwatch.simulator.faults import Fault
from streamwatch.verdict import Policy
from tests.running import descendants

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".run" / "farm-cache"
KEYS = [
    "url", "depth", "stream", "state", "faults", "blame", "step", "reason", "detail", "codec", "width", "height",
    "transport", "server", "keyframe_bytes", "started_at", "timings_ms", "measures", "remarks",
]  # fmt: skip

PROGRAM = """
import asyncio, gc, json, logging, os, signal, sys, threading
import streamwatch
from streamwatch import Depth, Prober, probe

url, kind = sys.argv[1:]
stop = threading.Event()
for _ in range(3):
    threading.Thread(target=stop.wait, daemon=True).start()

def state():
    gc.collect()
    return {
        "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
        "wakeup": signal.set_wakeup_fd(-1),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "logging": [logging.getLogger().handlers, logging.getLogger().level, str(sys.excepthook)],
        "directory": os.getcwd(),
        "environment": dict(os.environ),
    }

async def main():
    single = await probe(url, depth=Depth.PICTURE, timeout=20, transport="auto")
    async with Prober(decoders=1) as prober:
        many = await asyncio.gather(*(prober.look(url) for _ in range(3)))
    tasks = len(asyncio.all_tasks())
    return [found.to_json() for found in (single, *many)], tasks

def run():
    if kind == "uvloop":
        import uvloop
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    return asyncio.run(main())

run()  # what Python itself keeps after a first loop is none of our business
before = state()
found, tasks = run()
after = state()
print(json.dumps({"found": [json.loads(one) for one in found], "tasks": tasks, "leaked": [
    name for name in before if before[name] != after[name]
]}))
"""

CALLER = """
import asyncio
from streamwatch import Depth, Finding, Prober, Reason, State, probe

async def main() -> bool:
    found: Finding = await probe("rtsp://192.0.2.7/live", depth=Depth.PICTURE, timeout=20, transport="auto")
    width: int | None = found.width
    reason: Reason | None = found.reason
    sharp: float = found.measures["sharpness"].value
    async with Prober(transport="udp", jail="best_effort") as prober:
        text: str = (await prober.look("rtsp://192.0.2.7/live", depth="stream")).to_json()
    found.nothing  # type: ignore[attr-defined]
    found.width = 3  # type: ignore[misc]
    await probe("rtsp://192.0.2.7/live", depth="deep")  # type: ignore[arg-type]
    return found.state is State.UP and bool(width and reason and sharp and text)

asyncio.run(main())
"""


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    running = Farm(FarmPlan(villages=2, cameras=12, bind="127.13.0.0/16", cache_dir=CACHE))
    await running.start()
    yield running
    await running.aclose()


def url_of(farm: Farm, number: int = 0) -> str:
    """An address with its login, as a person writes it."""
    camera = farm.cameras[number]
    return camera.url.replace("rtsp://", f"rtsp://{camera.username}:{camera.password}@")


def test_importing_the_package_is_cheap() -> None:
    """`import streamwatch` loads none of what a look needs, and none of asyncio; a wrong name is told as usual."""
    script = "import sys, streamwatch; print(*sys.modules); hasattr(streamwatch, 'nothing'); dir(streamwatch)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    heavy = {"asyncio", "numpy", "av", "msgspec", "pydantic", "structlog", "socket", "streamwatch.errors"}
    assert heavy & set(done.stdout.split()) == set()
    assert not hasattr(streamwatch, "nothing")


def test_every_public_name_leads_somewhere() -> None:
    """`__all__`, the table of homes and dir() name the same things."""
    names = set(streamwatch.__all__)

    assert names - set(dir(streamwatch)) == set()
    assert names - {"__version__"} == set(streamwatch._HOMES)
    assert all(getattr(streamwatch, name) is not None for name in names)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_program_with_threads_and_without_a_main_guard_probes(farm: Farm, tmp_path: Path, loop: str) -> None:
    """Up with codec and size; signals, threads, descriptors, logging and environment are as before; nothing else
    is printed, and no process or task stays."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    url = url_of(farm)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", "-W", "error", str(program), url, loop,
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    out, err = await process.communicate()
    told = json.loads(out)

    assert (process.returncode, err.decode()) == (0, "")
    assert told["leaked"] == []
    assert told["tasks"] == 1
    for one in told["found"]:
        assert (one["state"], one["codec"], one["width"] > 0, one["depth"]) == ("up", "h264", True, "picture"), one
        assert one["measures"]["luma_mean"]["valid"]
        assert list(one) == KEYS
        assert url not in out.decode()
        assert "***@" in one["url"]


async def test_looks_of_one_prober_share_its_decoders(farm: Farm) -> None:
    """Twelve looks at once with one decoder: one zygote and one worker below us, and none after the block."""
    before = set(descendants(os.getpid()))
    async with Prober(decoders=1) as prober:
        assert set(descendants(os.getpid())) == before  # nothing starts before it is needed
        reached = await prober.look(url_of(farm), depth="reach")
        assert set(descendants(os.getpid())) == before
        looks = await asyncio.gather(*(prober.look(url_of(farm, number)) for number in range(12)))
        during = set(descendants(os.getpid())) - before

    assert (reached.state, reached.codec) == (State.UP, None)
    assert [look.state for look in looks] == [State.UP] * 12
    assert len(during) == 2
    assert set(descendants(os.getpid())) == before


async def test_the_picture_itself_comes_only_where_it_is_asked_for(farm: Farm) -> None:
    """As a JPEG of the shape that the camera has, and never with the next look."""
    async with Prober(decoders=1) as prober:
        shown = await prober.see(url_of(farm, 0), snapshot=True)
        plain = await prober.see(url_of(farm, 0))
        assert plain.snapshot is None and plain.look.reason is None
        assert shown.snapshot is not None
        picture = decode_still("mjpeg", shown.snapshot, 10**6)
        assert shown.look.width is not None and shown.look.height is not None
        shrink = min(1, 640 / shown.look.width)
        assert (picture.width, picture.height) == (640, round(shrink * shown.look.height))


async def test_a_fault_of_the_picture_is_found_and_is_exit_1(farm: Farm) -> None:
    """A black picture: up, with the fault, and what it means for a script."""
    farm.set_fault(farm.cameras[0].code, Fault.BLACKOUT)
    seen = await probe(url_of(farm))

    assert (seen.state, seen.faults, seen.exit) == (State.UP, ("blackout",), Exit.DEGRADED)


async def test_a_look_that_is_cancelled_closes_its_socket_and_leaves_the_prober_usable(farm: Farm) -> None:
    """Cancelled while a silent device is waited for: the device sees the end; the next look works."""
    ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    spoke = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        spoke.set()
        ended.set_result(await reader.read())
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server, Prober(decoders=1) as prober:
        port = server.sockets[0].getsockname()[1]
        looking = asyncio.create_task(prober.look(f"rtsp://127.0.0.1:{port}/x"))
        await spoke.wait()
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        async with asyncio.timeout(5):
            assert await ended == b""
        assert (await prober.look(url_of(farm))).state is State.UP


async def test_a_look_cancelled_while_decoders_start_takes_them_from_no_other(farm: Farm) -> None:
    """Two looks wait for the first decoder, one gives up: the other is answered, and no process stays."""
    before = set(descendants(os.getpid()))
    async with Prober(decoders=1) as prober:
        first = asyncio.create_task(prober.look(url_of(farm)))
        second = asyncio.create_task(prober.look(url_of(farm, 1)))
        await asyncio.sleep(0)  # both stand before the decoders
        first.cancel()
        assert (await second).state is State.UP
        with pytest.raises(asyncio.CancelledError):
            await first
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02), Prober(decoders=1) as prober:
                await prober.look(url_of(farm))

    assert set(descendants(os.getpid())) == before


async def test_a_prober_remembers_an_address_and_never_mixes_two(farm: Farm) -> None:
    """The second picture of one camera is compared with its first; the first of another with none."""
    async with Prober(decoders=1) as prober:
        one = await prober.look(url_of(farm, 0))
        other = await prober.look(url_of(farm, 1))
        again = await prober.look(url_of(farm, 0))

    whys = [look.measures["same_textured"].why for look in (one, other, again)]
    assert whys == ["no_reference", "no_reference", "too_soon"]


async def test_the_transport_is_the_one_that_was_asked_for() -> None:
    """A camera of both: by UDP and by TCP as said, by one of them with auto; one that serves UDP only refuses TCP."""
    both = Farm(FarmPlan(villages=1, cameras=1, bind="127.15.0.0/16", cache_dir=CACHE, udp=0.0, both=1.0))
    only = Farm(FarmPlan(villages=1, cameras=1, bind="127.16.0.0/16", cache_dir=CACHE, udp=1.0, both=0.0))
    await both.start()
    await only.start()
    try:
        async with Prober(decoders=1, transport="udp") as prober:
            by_default = await prober.look(url_of(both))
            told = {name: await prober.look(url_of(both), transport=name) for name in ("auto", "tcp", "udp")}
            refused = await prober.look(url_of(only), transport="tcp")
            found_out = await prober.look(url_of(only), transport="auto")
    finally:
        await both.aclose()
        await only.aclose()

    assert (by_default.state, by_default.transport) == (State.UP, "udp")
    assert [(look.state, look.transport) for look in (told["tcp"], told["udp"])] == [
        (State.UP, "tcp"),
        (State.UP, "udp"),
    ]
    assert told["auto"].state is State.UP
    assert (refused.state, refused.reason) == (State.DOWN, Reason.RTSP_TRANSPORT)
    assert (found_out.state, found_out.transport) == (State.UP, "udp")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"url": "http://192.0.2.7/x"}, "rtsp://"),
        ({"url": "rtsp://192.0.2.7/x", "depth": "deep"}, "depth deep: one of reach, stream, picture"),
        ({"url": "rtsp://192.0.2.7/x", "depth": Depth.RECORD}, "depth record"),
        ({"url": "rtsp://192.0.2.7/x", "timeout": 0}, "timeout 0: more than 0 and at most 60 seconds"),
        ({"url": "rtsp://192.0.2.7/x", "timeout": float("nan")}, "timeout nan"),
        ({"url": "rtsp://192.0.2.7/x", "transport": "mail"}, "transport mail: one of auto, tcp, udp"),
    ],
)
async def test_what_cannot_be_meant_is_a_usage_error(arguments: dict[str, Any], says: str) -> None:
    """Before anything starts; the message names the value and what there is."""
    with pytest.raises(UsageError, match=says):
        await probe(**arguments)


async def test_a_closed_prober_refuses(farm: Farm) -> None:
    """A look after the block is told so, and starts nothing."""
    before = set(descendants(os.getpid()))
    async with Prober() as prober:
        pass
    with pytest.raises(UsageError, match="closed"):
        await prober.look(url_of(farm))

    assert set(descendants(os.getpid())) == before


async def test_without_a_complete_jail_nothing_is_decoded_unless_wanted(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine that the jail does not know: JailError with the remedy, `stream` still works, best_effort decodes."""
    site = tmp_path / "sitecustomize.py"
    site.write_text("import platform\nplatform.machine = lambda: 'riscv64'\n")
    launcher = tmp_path / "python"
    # decoders get no PYTHONPATH of ours
    launcher.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(launcher))
    with pytest.raises(JailError, match=r"Prober\(jail='best_effort'\)"):
        await probe(url_of(farm))
    assert (await probe(url_of(farm), depth="stream")).state is State.UP
    assert (await probe(url_of(farm), jail="best_effort")).measures["luma_mean"].valid


def test_the_keys_are_those_of_the_interface() -> None:
    """All of them always, in this order; None where one does not apply; the value cannot be changed."""
    look = Look(camera=1, depth=Depth.STREAM, stream=StreamKind.MAIN, started_us=1_700_000_000_250_000,
                duration_us=1, vantage="here", reason=Reason.RTSP_BUSY)  # fmt: skip
    value = found(look, "rtsp://192.0.2.7/live", Policy())

    assert list(json.loads(value.to_json())) == KEYS
    assert json.loads(value.to_json()) == value.to_dict()
    assert json.loads(value.to_json())["started_at"] == "2023-11-14T22:13:20.250000Z"
    assert (value.state, value.blame, value.codec, value.exit) == (State.UNKNOWN, "recorder", None, Exit.UNKNOWN)
    assert msgspec.json.decode(value.to_json(), type=Finding) == value
    with pytest.raises(AttributeError):
        value.state = State.UP  # type: ignore[misc]


def test_a_callers_program_is_typed_by_the_installed_package(tmp_path: Path) -> None:
    """The wheel holds py.typed, and mypy --strict knows what every name is: right uses pass, wrong ones are found."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "installed", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "installed").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        assert "streamwatch/py.typed" in archive.namelist()
        archive.extractall(site)
    (site / "others.pth").write_text(f"{Path(msgspec.__file__).parents[1]}\n")
    (tmp_path / "caller.py").write_text(CALLER)
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--python-executable", str(tmp_path / "installed/bin/python"),
            "--cache-dir", str(tmp_path / "cache"), "caller.py",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n")
