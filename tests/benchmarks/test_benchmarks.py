"""Every benchmark answers with the object that others rely on; no test looks at how fast anything was."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    continuous,
    crowd,
    floor,
    hold,
    hostile,
    inventory,
    measure,
    patrol,
    peers,
    probe,
    rivals,
    show,
    truth,
)
from benchmarks.cameras import FarmCamera, Pictures
from benchmarks.measure import BenchmarkError, CpuMeter, Result
from streamwatch.errors import UsageError
from streamwatch.model.report import Credentials

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered clips, made once for all tests here."""
    return tmp_path_factory.mktemp("clips")


def shaped(result: Result) -> dict[str, Any]:
    """The result as JSON gives it back, its shape checked."""
    found: dict[str, Any] = json.loads(json.dumps(result.to_json(measure.machine())))
    assert list(found) == ["benchmark", "machine", "fixture", "figures", "ratios", "notes"]
    assert found["fixture"]["full"] is False
    for name, spread in found["figures"].items():
        assert list(spread) == ["min", "median", "max", "n"], name
        assert 0 <= spread["min"] <= spread["median"] <= spread["max"], name
        assert spread["n"] >= 1, name
    assert all(ratio > 0 for ratio in found["ratios"].values())
    assert found["machine"]["cores"] >= 1
    return found


def test_probe_names_its_figures(cache: Path) -> None:
    """The probe benchmark gives CPU by depth, one at a time and many at once, and the overhead of a look."""
    other = {"paced": ("360p",)}
    plan = replace(probe.QUICK, cameras=1, villages=1, runs=1, rounds=2, sizes=("360p",), others=other)
    found = shaped(probe.run(plan, cache))
    wanted = {"us.reach.cpu_us", "us.stream_360p.cpu_ms", "us.picture_360p.cpu_ms", "look_overhead_us_360p"}
    wanted |= {"us.picture_360p.c1.looks_per_s", "us.stream_360p.cold.cpu_ms", "look_overhead_us_360p_paced"}
    assert wanted <= set(found["figures"])
    assert set(found["ratios"]) == {"us_over_floor_360p", "us_over_floor_360p_paced"}


def test_peers_are_measured_or_noted(cache: Path) -> None:
    """Each peer has its figure and ratio, or a note that names it: never a silent gap."""
    some = ("pyav", "pyav_c1", "opencv", "gstreamer", "ffmpeg", "ffprobe")
    plan = replace(peers.QUICK, cameras=2, runs=1, rounds=1, sizes=("360p",), slow_sizes=("360p",), rivals=some)
    found = shaped(peers.run(plan, cache))
    assert {"us.picture_360p.cpu_ms", "pyav.picture_360p.cpu_ms", "score_360p.cpu_ms"} <= set(found["figures"])
    wanted = {
        "pyav_c1_over_us_360p",
        "us_over_floor_360p",
        "us_over_floor_plain_360p",
        "looks_per_s_over_best_peer_360p",
    }
    assert wanted | {"looks_per_s_over_best_peer_360p"} <= set(found["ratios"])
    for peer in some:
        assert f"{peer}_over_us_360p" in found["ratios"] or any(note.startswith(peer) for note in found["notes"]), peer
    assert found["ratios"]["pyav_over_us_360p"] == pytest.approx(
        found["figures"]["pyav.picture_360p.cpu_ms"]["median"] / found["figures"]["us.picture_360p.cpu_ms"]["median"],
        rel=1e-2,
    )


async def test_a_rival_says_what_is_missing_and_where_it_failed() -> None:
    """A library that is not here is a note; a look that brought no picture is told by its place in the order."""
    nowhere = FarmCamera("1", {"360p": "rtsp://127.0.0.1:1/"}, Credentials("a", "b"))
    async with rivals.field(("pyav", "ffprobe")) as (runners, _):
        for runner in runners.values():
            took = await runner.looks([nowhere, nowhere], "360p", 2)
            assert (len(took.took_ms), sorted(index for index, _ in took.failed)) == (2, [0, 1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        patch.setattr(
            rivals,
            "RIVALS",
            (rivals.Rival("opencv", "x", library="nothing"), rivals.Rival("ffmpeg", "y", "ffmpeg {url}")),
        )
        async with rivals.field() as (runners, notes):
            assert not runners
    assert [note.partition(":")[0] for note in notes] == ["opencv", "ffmpeg"]


def test_the_floor_tells_decoding_from_scoring(cache: Path) -> None:
    """The floor benchmark gives CPU to decode, by the product's options and by defaults, and to score."""
    found = shaped(floor.run(replace(floor.QUICK, cameras=1, villages=1, runs=1, sizes=("360p",)), cache))
    assert {"floor.decode_360p.cpu_ms", "floor.plain_360p.cpu_ms", "score_360p.cpu_ms"} <= set(found["figures"])
    assert set(found["ratios"]) == {"score_over_decode_360p", "plain_over_decode_360p"}


def test_a_watched_stream_is_compared_with_one_that_is_dropped(cache: Path) -> None:
    """The continuous benchmark gives CPU a stream second, ours and others', either way of sending."""
    few = Pictures(fps=25, gop=2)
    plan = replace(continuous.QUICK, streams=2, streams_paced=2, heavy=1, runs=1, pictures=few)
    found = shaped(continuous.run(replace(plan, seconds=0.4, settle_s=0.1, heavy_settle_s=0.6, slack=0.9), cache))
    for suffix in ("", "_paced"):
        figures = {f"{who}stream_second_cpu_ms{suffix}" for who in ("", "drop.", "swept.", "pyav.")}
        assert figures | {f"us.pictures_per_s{suffix}", f"drop.kbps{suffix}"} <= set(found["figures"])
        assert {f"us_over_drop{suffix}", f"us_over_swept{suffix}", f"pyav_over_us{suffix}"} <= set(found["ratios"])
    assert "ffmpeg_over_us" in found["ratios"] or any(note.startswith("ffmpeg") for note in found["notes"])


def test_held_connections_are_compared_with_bare_ones(cache: Path) -> None:
    """The hold benchmark asks anew and on connections that stay: ours, a bare protocol, asyncio's streams."""
    plan = replace(hold.QUICK, connections=4, cameras=4, runs=1, rounds=1, connect_rounds=1)
    found = shaped(hold.run(plan, cache))
    wanted = ("connect_options_us", "reach_held_us", "held_kb")
    assert {f"{who}{name}" for who in ("", "bare.", "streams.") for name in wanted} <= set(found["figures"])
    assert {"connect_options_us_over_bare", "reach_held_us_over_streams"} <= set(found["ratios"])


def test_fewer_connections_are_held_where_the_limit_is_low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the hard limit of open files is too low, as many are held as it allows, and a note says so."""
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (64, 1024))
    held, notes = hold._possible(9_900)
    assert held < 1024
    assert "9900" in notes[0] and "1024" in notes[0]
    assert hold._possible(100) == (100, [])


def test_inventory_counts_what_it_imported(cache: Path) -> None:
    """The inventory benchmark imports its list, and again, and says how many lines it had."""
    found = shaped(inventory.run(replace(inventory.QUICK, cameras=40, runs=1), cache))
    assert {"import_126000_s", "import_rss_mb", "import_same_s"} <= set(found["figures"])
    assert found["fixture"]["cameras"] == 40
    assert found["fixture"]["villages"] == 2


def test_who_notices_hostile_cameras_is_measured(cache: Path) -> None:
    """The hostile benchmark looks at both kinds, says how late the latest was, and what is left behind."""
    patience = crowd.Patience(1.0, 1.0, 1.0, 2.0)
    found = shaped(
        hostile.run(replace(hostile.QUICK, healthy=6, bad=6, window_s=0.5, runs=1, patience=patience), cache)
    )
    wanted = {
        "control_p99_ms",
        "healthy_p99_ms",
        "hostile_late_worst_ms",
        "rss_kb_per_session",
        "fds_left",
        "tasks_left",
    }
    assert wanted <= set(found["figures"])
    assert found["ratios"].keys() == {"healthy_p99_over_control"}


def test_the_patrol_is_compared_with_the_log_of_the_farm(cache: Path) -> None:
    """The patrol benchmark runs the whole service beside a farm and says what it cost, missed and got wrong."""
    plan = replace(truth.QUICK, cameras=8, villages=2, minutes=0.42, faulty=2)
    found = shaped(truth.run(plan, cache))
    wanted = {"lag_p99_s", "missed_rounds", "cores_busy", "rss_mb", "worst_error_s_per_transition"}
    wanted |= {f"cpu_ms_per_look.{part}" for part in ("service", "looker", "decoder", "web", "farm")}
    wanted |= {f"cores.{part}" for part in ("service", "looker", "decoder", "web")} | {"cores_of_farm"}
    assert wanted <= set(found["figures"])
    cores = {name: found["figures"][name]["median"] for name in ("cores_busy", "cores_of_service", "cores_of_farm")}
    assert cores["cores_busy"] == pytest.approx(cores["cores_of_service"] + cores["cores_of_farm"], rel=0.01)
    assert found["benchmark"] == "truth"
    assert found["figures"]["looks"]["median"] >= 8 * 4


def test_faults_that_cannot_end_in_time_are_refused(cache: Path) -> None:
    """A run that is too short for its faults says so instead of comparing halves."""
    with pytest.raises(BenchmarkError, match="too short"):
        patrol.run(replace(patrol.QUICK, cameras=4, villages=1, interval_s=5, minutes=0.1, faulty=1), cache)


def test_the_meter_counts_a_child_that_lives() -> None:
    """CPU of a child that is still running is counted, one that was set apart is not, a vanished one is an error."""
    script = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    plain = CpuMeter()
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        apart = CpuMeter([child.pid])
        child.stdout.readline()
        assert plain.spent().others_s >= 0.2
        assert apart.spent().others_s < 0.1
        seen = CpuMeter()
        child.communicate(b"\n")
        with pytest.raises(BenchmarkError, match="ended while"):
            seen.spent()
        assert plain.spent().others_s >= 0.2  # as a child that was waited for


def test_a_block_of_the_documentation_is_renewed(tmp_path: Path) -> None:
    """Only what stands between the marks of that benchmark changes; without marks nothing does."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- benchmark x -->\nold\n<!-- end of x -->\nb\n", encoding="utf-8")
    show.renew(page, "x", "new")
    assert page.read_text(encoding="utf-8") == "a\n<!-- benchmark x -->\nnew\n<!-- end of x -->\nb\n"
    with pytest.raises(UsageError, match="no lines"):
        show.renew(page, "y", "new")


def test_the_command_knows_its_benchmarks() -> None:
    """A wrong name is wrong usage; the list of benchmarks names them all."""
    command = [sys.executable, "-m", "benchmarks"]
    helped = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(
        name in helped.stdout for name in ("probe", "peers", "floor", "hold", "continuous", "inventory", "hostile")
    )
    wrong = subprocess.run([*command, "nothing"], cwd=ROOT, capture_output=True)
    assert wrong.returncode == 64


def _runs(path: Path) -> bool:
    """Whether that module is a benchmark."""
    text = path.read_text(encoding="utf-8")
    return "\nQUICK = Plan(" in text and "\ndef run(plan: Plan" in text
