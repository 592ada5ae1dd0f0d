"""`score` as a person or a script calls it: lines, statuses, the table, the sheet, and what a bad file costs."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamwatch.cli.call import call
from streamwatch.decoders.job import FileDone, FileJob, Frame
from streamwatch.decoders.link import Worker
from streamwatch.decoders.recognise import FileCode
from streamwatch.decoders.source import Source
from streamwatch.quality import MEASURES
from streamwatch.verdict import FAULTS, Policy
from tests.decoders.media import clip, live, picture, png_header
from tests.decoders.streams import blurred, street

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLACK = np.full((180, 320), 16.0)
Line = dict[str, Any]
Run = Callable[..., tuple[int, list[Line]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and clips, good and bad, and what is neither."""
    made = tmp_path_factory.mktemp("files")
    scene = street(320, 180)
    data = {
        "good.jpg": picture(scene),
        "good.png": picture(scene, "png"),
        "blurred.jpg": picture(blurred(street(640, 360), 6)),
        "black.jpg": picture(BLACK),
        "live.mp4": clip(live(4, width=320, height=180), gap_s=6),
        "frozen.mkv": clip([*live(3, width=320, height=180), *[scene] * 3], "mkv", gap_s=6),
        "村口 夜间.jpg": picture(scene),
        "text.jpg": b"this is no picture\n" * 10,
        "empty.jpg": b"",
        "cut.jpg": picture(scene)[:2000],
        "huge.png": png_header(100_000, 100_000),
        "noise.mp4": b"\x00\x00\x00\x18ftypisom" + bytes(range(256)) * 10,
    }
    for name, content in data.items():
        (made / name).write_bytes(content)
    (made / "folder").mkdir()
    os.mkfifo(made / "pipe")
    return made


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], folder: Path) -> Run:
    """`score --json` on files of the folder: its status and its lines."""

    def scored(*names: str, options: tuple[str, ...] = ()) -> tuple[int, list[Line]]:
        status = call(["score", *(str(folder / name) for name in names), "--json", *options])
        said = capsys.readouterr()
        assert said.err == ""
        return status, [json.loads(line) for line in said.out.splitlines()]

    return scored


def test_a_good_picture_has_no_fault(run: Run) -> None:
    """Exit 0, one line, frame 0, every score 60 or more, the measures of a probe."""
    status, (line,) = run("good.jpg")

    assert status == 0
    assert (line["frame"], line["faults"], line["pts_s"]) == (0, [], None)
    assert (line["codec"], line["width"], line["height"]) == ("mjpeg", 320, 180)
    assert set(line["scores"]) == {"blackout", "blur", "picture_broken"}
    assert min(line["scores"].values()) >= 60
    assert set(line["measures"]) <= set(MEASURES)
    assert line["measures"]["luma_mean"]["valid"]


def test_a_blurred_and_a_black_picture_have_their_fault(run: Run) -> None:
    """Exit 1; the fault, its score below 40; a black picture has no other score."""
    status, (soft, black) = run("blurred.jpg", "black.jpg")

    assert status == 1
    assert (soft["faults"], black["faults"]) == (["blur"], ["blackout"])
    assert soft["scores"]["blur"] < 40 <= soft["scores"]["blackout"]
    assert black["scores"]["blackout"] < 40 and "blur" not in black["scores"]


def test_a_clip_gives_a_line_a_keyframe_and_one_for_all(run: Run) -> None:
    """Index and time of each; the faults that need time only in the last line."""
    status, lines = run("live.mp4")

    assert status == 0
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, "all"]
    assert [line["pts_s"] for line in lines[:4]] == [0.0, 6.0, 12.0, 18.0]
    assert set(lines[-1]["scores"]) == {"frozen"} and lines[-1]["scores"]["frozen"] >= 60
    assert all("frozen" not in line["scores"] for line in lines[:-1])


def test_a_clip_whose_second_half_stands_still_is_frozen(run: Run) -> None:
    """Exit 1, and where it begins; no single picture is at fault."""
    status, lines = run("frozen.mkv")
    whole = lines[-1]

    assert status == 1
    assert (whole["frame"], whole["faults"], whole["pts_s"]) == ("all", ["frozen"], 18.0)
    assert whole["scores"]["frozen"] < 40
    assert whole["measures"]["same_textured"]["value"] > 0.9
    assert [line["faults"] for line in lines[:-1]] == [[]] * 6


def test_every_nth_keyframe(run: Run) -> None:
    """--every 2: two of the four, and the line for all says how many there are."""
    _, lines = run("live.mp4", options=("--every", "2"))

    assert [line["frame"] for line in lines] == [0, 2, "all"]
    assert "4 keyframes" in lines[-1]["detail"]


def test_what_cannot_be_read_has_a_code_and_the_rest_goes_on(run: Run, folder: Path) -> None:
    """Status 3; each bad file its code, in its place; the good ones before and behind are scored."""
    expected = {
        "missing.jpg": "file.missing",
        "text.jpg": "file.unknown",
        "empty.jpg": "file.empty",
        "folder": "file.directory",
        "pipe": "file.not_a_file",
        "cut.jpg": "media.broken",
        "huge.png": "media.too_large",
        "noise.mp4": "media.broken",
    }
    status, lines = run("good.jpg", *expected, "black.jpg", "good.png")

    assert status == 3
    assert [line["file"] for line in lines] == [
        str(folder / name) for name in ("good.jpg", *expected, "black.jpg", "good.png")
    ]
    assert [line["error"]["code"] for line in lines[1:-2]] == list(expected.values())
    assert all(set(line) == {"file", "error"} and line["error"]["detail"] for line in lines[1:-2])
    assert (lines[0]["faults"], lines[-2]["faults"], lines[-1]["faults"]) == ([], ["blackout"], [])


def test_a_playlist_opens_nothing(run: Run, folder: Path) -> None:
    """It names a file and an address of this machine: refused by name, and nobody called."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        there = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        (folder / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXTINF:1,\n{there}\n")
        status, (line,) = run("list.m3u8")
        with pytest.raises(BlockingIOError):
            server.accept()

    assert (status, line["error"]["code"]) == (3, "file.playlist")
    assert "root:" not in json.dumps(line)


def test_r19_no_worker_sees_two_files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that took its decoder over could lie about the next one: each gets a new decoder, locked in."""
    seen: list[tuple[int, bool]] = []

    class Watched(Worker):
        async def exchange_file(self, job: FileJob, source: Source) -> tuple[tuple[Frame, ...], FileDone]:
            seen.append((self.pid, self.jailed))
            return await super().exchange_file(job, source)

    monkeypatch.setattr("streamwatch.decoders.birth.Worker", Watched)
    run("good.jpg", "good.png", "black.jpg", "cut.jpg")

    assert len({pid for pid, _ in seen}) == len(seen) == 4
    assert all(jailed for _, jailed in seen)


def test_names_come_from_stdin_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """ "-": one name a line."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{folder / 'good.jpg'}\n\n{folder / 'black.jpg'}\n"))

    assert call(["score", "-", "--json"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_table_names_faults_and_what_was_not_scored(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Scores on stdout, what could not be read on stderr; a long clip is shown in part."""
    long = folder / "long.avi"
    long.write_bytes(clip([street(64, 64)] * 10, "avi", codec="mjpeg", pix_fmt="yuvj420p", options={"g": "1"}))
    status = call(["score", *(str(folder / name) for name in ("good.jpg", "blurred.jpg", "text.jpg", "long.avi"))])
    out, err = capsys.readouterr()

    assert status == 3
    head, good, soft, *rest = out.splitlines()
    assert "blackout" in head and "sharp" in head
    assert "good.jpg" in good and "blur " not in good
    assert "blurred.jpg" in soft and " blur " in soft
    assert "text.jpg" not in out
    assert "text.jpg" in err and "file.unknown" in err
    assert len(rest) == 12 and "30 keyframes, 11 shown" in rest[-1]


def test_measures_are_listed_with_unit_and_range(capsys: pytest.CaptureFixture[str]) -> None:
    """--list for people, and with --json for scripts; it needs no file."""
    assert call(["score", "--list"]) == 0
    said = capsys.readouterr().out
    assert [name for name in MEASURES if name not in said] == []

    assert call(["score", "--list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == list(MEASURES)
    assert all(row["unit"] and row["low"] < row["high"] for row in rows)


def test_the_sheet_shows_every_picture_and_numbers_lead_to_the_lines(run: Run, folder: Path, tmp_path: Path) -> None:
    """A PNG that a decoder reads: a cell each, its frame coloured by its faults; `cell` in the lines is the legend."""
    target = tmp_path / "out.png"
    names = ("good.jpg", "black.jpg", "村口 夜间.jpg", "text.jpg", "live.mp4")
    _, lines = run(*names, options=("--sheet", str(target)))

    assert [line.get("cell") for line in lines] == [1, 2, 3, 4, 5, 6, 7, 8, None]
    with av.open(str(target)) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert shown.shape == (2 * 258, 6 * 338, 3)
    frames = [tuple(int(level) for level in shown[4, 338 * at + 10]) for at in range(6)]
    green, red, grey = (70, 150, 90), (208, 60, 52), (120, 120, 126)
    assert frames == [green, red, green, grey, green, green]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "which files"),
        (("x.jpg", "--timeout", "0"), "--timeout"),
        (("x.jpg", "--timeout", "301"), "--timeout"),
        (("x.jpg", "--every", "0"), "--every"),
        (("x.jpg", "--sheet", "/nonexistent/out.png"), "--sheet"),
    ],
)
def test_a_wrong_call_is_64_and_names_what_is_wrong(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    """Before anything is scored, where that can be known."""
    assert call(["score", *arguments]) == 64
    assert says in capsys.readouterr().err


def test_natural_pictures_and_clips(capsys: pytest.CaptureFixture[str], shared_data: Path) -> None:
    """Surveillance clips of others are live and sharp; a photograph moved during exposure is blurred."""
    media = [shared_data / "media" / name for name in ("vtest.avi", "car-detection.mp4", "bottle-detection.mp4")]
    photographs = sorted((shared_data / "images" / "blur-pairs").glob("*.JPG"))
    status = call(["score", "--json", *map(str, [*media, *photographs])])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    faults: Mapping[str, list[str]] = {
        str(path): [fault for line in lines if line["file"] == str(path) for fault in line["faults"]]
        for path in [*media, *photographs]
    }

    assert status == 1
    assert [faults[str(path)] for path in media] == [[], [], []]
    assert {path.stem[-1]: faults[str(path)] for path in photographs}["M"] == ["blur"]
    assert {path.stem[-1]: faults[str(path)] for path in photographs}["S"] == []


def test_the_page_on_quality_names_all_measures_faults_and_codes() -> None:
    """docs/quality.md says what each is, and every threshold as it is."""
    text = (DOCS / "quality.md").read_text(encoding="utf-8")
    told = text.partition("| fault | raised (score")[2].partition("\n\n")[0]
    thresholds = [f"{value:g}" for name, value in dataclasses.asdict(Policy()).items() if "confirmations" not in name]

    assert [name for name in (*MEASURES, *FAULTS, *FileCode) if f"`{name}`" not in text] == []
    assert [value for value in thresholds if not re.search(rf"(?<![\d.]){re.escape(value)}(?![\d.])", told)] == []
