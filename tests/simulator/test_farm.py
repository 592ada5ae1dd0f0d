"""The farm as a library, and its process."""

from __future__ import annotations

import asyncio
import csv
import json
import random
import resource
import signal
import socket
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import ConfigError, NotFoundError, UsageError
from streamwatch.simulator.camera import IDLE_S, STRIDE
from streamwatch.simulator.carriage import Carriage, Serves, deal
from streamwatch.simulator.farm import Farm
from streamwatch.simulator.faults import Fault, befalls
from streamwatch.simulator.plan import FarmPlan, checked, sizes
from streamwatch.simulator.profile import Profile
from streamwatch.simulator.render import GOPS
from tests.simulator.conftest import PATIENCE_S, ROOT, Talk, start

OF_TRANSPORT = (Fault.UDP_LOST, Fault.TCP_REFUSED)


async def test_a_farm_starts_and_ends_inside_another_program(clip_cache: Path, tmp_path: Path) -> None:
    """start, write_inventory, set_fault, aclose; afterwards nothing listens, and aclose may be called again."""
    farm = Farm(
        FarmPlan(
            villages=2,
            cameras=4,
            bind="127.10.0.0/24",
            cache_dir=clip_cache,
            log=tmp_path / "log",
            installed_days_ago=7,
        )
    )
    await farm.start()
    farm.write_inventory(tmp_path / "inventory")
    camera = farm.cameras[0]
    change = farm.set_fault(camera.code, "refused")

    assert (change.camera, change.fault) == (camera.code, "refused")
    assert json.loads((tmp_path / "log").read_text())["fault"] == "refused"
    assert farm.control_url.startswith("http://127.0.0.1:")
    with (tmp_path / "inventory" / "cameras.csv").open(encoding="utf-8", newline="") as file:
        installed = [row["installed_on"] for row in csv.DictReader(file)]
    week_ago = datetime.now(timezone(timedelta(hours=8))).date() - timedelta(days=7)
    assert installed == [str(week_ago)] * 4
    with pytest.raises(NotFoundError, match="nobody"):
        farm.set_fault("nobody", None)
    with pytest.raises(UsageError, match="on_fire"):
        farm.set_fault(camera.code, "on_fire")
    await farm.aclose()
    await farm.aclose()
    for other in farm.cameras:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((other.address, farm.port), 1)


async def test_datagrams_end_where_nobody_is_heard_of(clip_cache: Path) -> None:
    """Who plays over UDP must ask or send RTCP now and then; who plays over TCP is seen to take it."""
    farm = Farm(FarmPlan(villages=1, cameras=3, bind="127.10.5.0/24", cache_dir=clip_cache, udp=0.7, both=0))
    await farm.start()
    by_datagrams, reporting, by_tcp = farm.cameras
    talks = []

    def play() -> None:
        for camera in farm.cameras:
            talk = Talk({"sub_url": camera.sub_url, "username": camera.username, "password": camera.password})
            talks.append(talk)
            reply = talk.datagrams() if camera.carriage.udp else talk.setup()
            assert talk.ask("PLAY").status == 200
            talk.packet()
            if camera is reporting:
                port = int(reply.headers["transport"].partition("server_port=")[2].split("-")[0]) + 1
                assert talk.ports is not None
                talk.ports[1].sendto(b"\x81\xc9\0\1\0\0\0\0", (camera.address, port))

    try:
        await asyncio.to_thread(play)
        for camera in farm.cameras:
            camera.sweep(asyncio.get_running_loop().time() + 2 * IDLE_S)
        await asyncio.sleep(0.05)  # for the transports to end
        assert [camera.sessions for camera in (by_datagrams, reporting, by_tcp)] == [0, 1, 1]
    finally:
        for talk in talks:
            talk.__exit__()
        await farm.aclose()


async def test_faults_come_and_go_by_themselves(clip_cache: Path, tmp_path: Path) -> None:
    """With a fault rate some cameras are faulty at once, each with an end, and ends come."""
    plan = FarmPlan(
        villages=1,
        cameras=18,
        bind="127.10.1.0/24",
        cache_dir=clip_cache,
        log=tmp_path / "log",
        fault_rate=0.5,
        fault_hold_s=0.5,
    )
    farm = Farm(plan)
    await farm.start()
    try:
        struck = farm.standing()
        assert len(struck) >= 9
        assert all(change.until_us is not None for change in struck)
        for _ in range(100):
            lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
            if any(line["fault"] is None for line in lines) and len(lines) > 25:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("no fault ended, or no new one came, in 5 s")
    finally:
        await farm.aclose()


def test_chance_draws_only_what_shows() -> None:
    """Faults of a transport befall those that have it: datagrams are lost unseen where TCP is served too."""
    drawn = {
        serves: {fault for fault in Fault if befalls(fault, Carriage(serves))} ^ ({*Fault} - {*OF_TRANSPORT})
        for serves in Serves
    }

    assert drawn == {Serves.TCP: set(), Serves.BOTH: {Fault.TCP_REFUSED}, Serves.UDP: {Fault.UDP_LOST}}


@given(
    st.integers(1, 300),
    st.floats(0, 1).flatmap(lambda udp: st.tuples(st.just(udp), st.floats(0, 1 - udp))),
    st.integers(0, 9),
)
def test_shares_are_dealt_exactly(count: int, shares: tuple[float, float], seed: int) -> None:
    """Rounded down, the first cameras UDP-only before any other, every other one of these refusing by 400."""
    dealt = deal(count, *shares, random.Random(seed))
    serves = [carriage.serves for carriage in dealt]
    only = [carriage.refusal for carriage in dealt if carriage.serves is Serves.UDP]

    assert len(dealt) == count
    assert (serves.count(Serves.UDP), serves.count(Serves.BOTH)) == tuple(int(count * share) for share in shares)
    assert serves[: min(2, len(only))] == [Serves.UDP] * min(2, len(only))
    assert only.count(400) == len(only) // 2
    assert dealt == deal(count, *shares, random.Random(seed))


@pytest.mark.parametrize(
    ("plan", "word"),
    [
        (FarmPlan(cameras=0), "cameras"),
        (FarmPlan(villages=10_000), "villages"),
        (FarmPlan(cameras=300, bind="127.1.0.0/24"), "wider"),
        (FarmPlan(bind="loopback"), "127.1.0.0/16"),
        (FarmPlan(port=70_000), "port"),
        (FarmPlan(fault_rate=1.5), "fault_rate"),
        (FarmPlan(udp=0.6, both=0.5), "both is 0.5"),
        (FarmPlan(udp=-0.1), "udp is -0.1"),
        (FarmPlan(sizes=("720p",)), "360p and 720p"),
        (FarmPlan(sizes=("360p", "720p", "4k")), "4k"),
        (FarmPlan(profile=Profile(fps=0)), "fps is 0"),
        (FarmPlan(profile=Profile(qp=5)), "qp is 5"),
        (FarmPlan(profile=Profile(kbps=1)), "kbps is 1"),
        (FarmPlan(cameras=254, bind="127.1.0.0/24"), "254 cameras and 20 recorders"),
    ],
)
def test_an_impossible_plan_is_refused_by_name(plan: FarmPlan, word: str) -> None:
    """Usage errors say which value and what it takes."""
    with pytest.raises(UsageError, match=word):
        Farm(plan)


async def test_a_third_stream_is_there_where_it_is_asked_for(clip_cache: Path, tmp_path: Path) -> None:
    """Every camera has it at an address of its own, and `streams.csv` names it by its size."""
    plan = FarmPlan(
        villages=1, cameras=2, bind="127.10.6.0/24", cache_dir=clip_cache, udp=0, both=0,
        sizes=sizes("360p, 720p,1080p"), profile=Profile(fps=10, gop_frames=1),
    )  # fmt: skip
    farm = Farm(checked(plan))
    try:
        await farm.start()
        farm.write_inventory(tmp_path)
        with (tmp_path / "streams.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        camera = farm.cameras[1]
        known = {"sub_url": rows[5]["url"], "username": camera.username, "password": camera.password}

        def described() -> tuple[str, int]:
            with Talk(known, timeout=60) as talk:
                body = talk.ask("DESCRIBE").body
                talk.setup()
                talk.ask("PLAY")
                return body, len(talk.frame())

        body, packets = await asyncio.to_thread(described)
    finally:
        await farm.aclose()

    assert [(row["code"], row["size"]) for row in rows] == [
        (camera.code, size) for camera in farm.cameras for size in ("360p", "720p", "1080p")
    ]
    assert len({row["url"] for row in rows}) == 6
    assert rows[3]["url"] == camera.sub_url and rows[4]["url"] == camera.url
    assert "a=x-dimensions:1920,1080" in body and "a=framerate:10" in body
    assert packets > 20


async def test_a_taken_address_is_named_and_nothing_stays_open(clip_cache: Path) -> None:
    """A fixed port that somebody has on one address is a ConfigError; the others are free again."""
    with socket.create_server(("127.10.2.2", 0)) as taken:
        port = taken.getsockname()[1]
        farm = Farm(FarmPlan(villages=1, cameras=3, bind="127.10.2.0/24", port=port, cache_dir=clip_cache))
        with pytest.raises(ConfigError, match=f"127.10.2.2:{port}"):
            await farm.start()
    for last in (1, 2, 3):
        socket.create_server((f"127.10.2.{last}", port)).close()


async def test_a_network_that_is_not_ours_is_refused_clearly(clip_cache: Path) -> None:
    """Where the addresses cannot be had the message says what to do."""
    farm = Farm(FarmPlan(villages=1, cameras=1, bind="192.0.2.0/24", cache_dir=clip_cache))

    with pytest.raises(ConfigError, match=r"127\.0\.0\.0/8"):
        await farm.start()


async def test_too_low_a_limit_of_open_files_is_said_before_anything_starts() -> None:
    """The message has the need, the limit and how many cameras would do."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not 1000 < hard < 900_000:
        pytest.skip(f"the hard limit of open files is {hard} here: no farm is too large for it")
    farm = Farm(FarmPlan(cameras=hard // 2, bind="127.0.0.0/8", wide=False))

    with pytest.raises(ConfigError, match="at most"):
        await farm.start()


def test_without_a_descriptor_a_camera_stays_as_it_was(clip_cache: Path, tmp_path: Path) -> None:
    """Playing dead takes a descriptor; where none is left the order is refused by name and nothing changes."""
    script = """
import asyncio, resource, sys, socket
from pathlib import Path
from streamwatch.errors import ConfigError
from streamwatch.simulator.carriage import Carriage, Serves, deal
from streamwatch.simulator.farm import Farm
from streamwatch.simulator.faults import Fault, befalls
from streamwatch.simulator.plan import FarmPlan, checked, sizes
from streamwatch.simulator.profile import Profile

async def main():
    farm = Farm(FarmPlan(villages=1, cameras=2, bind="127.10.4.0/24", cache_dir=Path(sys.argv[1])))
    await farm.start()
    code = farm.cameras[0].code
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        while True:
            taken.append(socket.socket())
    except OSError:
        pass
    try:
        farm.set_fault(code, "dead")
    except ConfigError as error:
        print(error, farm.standing(), farm.cameras[0].fault)
    taken.pop().close()
    print(farm.set_fault(code, "dead").fault)
    await farm.aclose()

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(clip_cache)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    first, second = done.stdout.splitlines()
    assert "ulimit" in first and first.endswith("[] None")
    assert second == "dead"


@pytest.mark.parametrize("stream", ["sub", "main"])
def test_a_stride_walks_the_whole_loop(stream: str) -> None:
    """No start comes back before all others were used, and there are more than four."""
    starts = [index * STRIDE[stream] % GOPS[stream] for index in range(GOPS[stream])]

    assert len(set(starts)) == GOPS[stream] > 4


def test_sigterm_ends_the_process_with_exit_0(clip_cache: Path, tmp_path: Path) -> None:
    """One ready line, then a clean end; a second start takes its clips from the cache."""
    process, ready = start(tmp_path, clip_cache, "--cameras", "2", "--villages", "1", "--bind", "127.10.3.0/24")

    assert ready.keys() == {"control", "cameras", "port"}
    assert ready["cameras"] == 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert process.stdout is not None
    assert process.stdout.read() == b""
    process.stdout.close()


def test_a_wrong_argument_ends_with_usage(tmp_path: Path) -> None:
    """Exit 64 and one line, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "streamwatch.simulator", "--cameras", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 64
    assert done.stderr.count("\n") == 1
