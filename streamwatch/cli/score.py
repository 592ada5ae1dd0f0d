"""`score`: pictures and clips on disk, by the same measures, thresholds and jail as a probe."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from streamwatch.cli import show
from streamwatch.cli.app import STDIN
from streamwatch.cli.scored import Line, Scored, Scorer
from streamwatch.cli.sheet import FAULT, MAX_CELLS, NORMAL, UNREAD, WARNING, Cell, write_sheet
from streamwatch.decoders.job import Thumbnail
from streamwatch.decoders.pool import DecoderPool, JailMode
from streamwatch.errors import Exit, UsageError
from streamwatch.findings import worst_exit
from streamwatch.quality import MEASURES
from streamwatch.scores import NORMAL as NORMAL_SCORE
from streamwatch.service.policies import verdict_policy
from streamwatch.settings import load
from streamwatch.verdict import FAULTS

MAX_FILES: Final = 200_000
MAX_TIMEOUT_S: Final = 300.0  # a worker may use 600 s of CPU in its life
MAX_EVERY: Final = 1_000_000
MAX_PIXELS: Final = 50_000_000  # a telephone's largest; a camera's streams have their own limit in the settings
# 50 megapixels decoded (3 bytes each in 4:4:4, twice for a progressive JPEG's coefficients), luma of them copied,
# the file itself (64 MiB) twice. Address space, not memory: an ordinary picture touches a tenth of it.
HEADROOM_BYTES: Final = 768 * 2**20
THUMBNAILS_A_CLIP: Final = 12  # two rows of the sheet
ROWS_A_CLIP: Final = 12  # on a terminal; --json gives every keyframe
SCORES: Final = tuple(fault for fault in FAULTS if fault != "picture_broken")  # columns of the table
SHOWN: Final = {"luma": "luma_mean", "sharp": "sharpness", "coarse": "sharpness_coarse", "same": "same_textured"}


def list_measures(*, as_json: bool) -> int:
    """`score --list`: every measure with its unit, range and meaning."""
    if as_json:
        for row in MEASURES.values():
            print(msgspec.json.encode(row).decode())
    else:
        rows = [(row.name, row.unit, f"{row.low:g} to {row.high:g}", row.says) for row in MEASURES.values()]
        show.table(("measure", "unit", "range", "says"), rows)
    return Exit.OK


async def score(names: Sequence[str], *, sheet: Path | None, every: int, timeout_s: float, as_json: bool) -> int:
    """The command. Raises UsageError for a call that cannot be meant."""
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise UsageError(f"--timeout {timeout_s:g}: more than 0 and at most {MAX_TIMEOUT_S:g} seconds")
    if not 1 <= every <= MAX_EVERY:
        raise UsageError(f"--every {every}: from 1 (each keyframe) to {MAX_EVERY}")
    if sheet is not None and (sheet.is_dir() or not sheet.absolute().parent.is_dir()):
        raise UsageError(f"--sheet {sheet}: a file to be written, in a folder that is there")
    files = _named(names)
    settings = load(None, os.environ)
    workers = min(settings.limits.decodes(), len(files))
    pool = DecoderPool(
        workers=workers,
        jail=JailMode(settings.decoders.jail),
        max_pixels=MAX_PIXELS,
        recycle_jobs=1,  # what a hostile file makes of its worker ends with it; a new one takes 5 ms
        headroom_bytes=HEADROOM_BYTES,
    )
    thumbnails = 0 if sheet is None else THUMBNAILS_A_CLIP
    scorer = Scorer(pool, verdict_policy(settings), workers, every=every, timeout_s=timeout_s, thumbnails=thumbnails)
    statuses: set[Exit] = set()
    shown: list[Line] = []
    cells: list[Cell] = []
    await pool.start()
    try:
        with show.progress("scoring", len(files), unit="files") as bar:
            async for one in scorer.score(files):
                bar.advance()
                statuses.add(one.exit)
                if sheet is not None:
                    cells += _cells(one, len(cells) + 1)
                for line in one.lines if as_json else _few(one.lines):
                    if as_json:
                        print(msgspec.json.encode(line).decode())
                    else:
                        shown.append(line)
    finally:
        await pool.aclose()
    if not as_json:
        _print_tables(shown, numbered=sheet is not None)
    if sheet is not None:
        write_sheet(sheet, cells)
    return worst_exit(list(statuses))


def _named(names: Sequence[str]) -> list[str]:
    files: list[str] = []
    for name in names:
        files += [line.rstrip("\r\n") for line in sys.stdin if line.strip()] if name == STDIN else [name]
    if not files:
        raise UsageError("which files? streamwatch score PICTURE CLIP ..., or - to read names from stdin, one a line")
    if len(files) > MAX_FILES:
        raise UsageError(f"{len(files)} files: at most {MAX_FILES} at once")
    return files


def _few(lines: Sequence[Line]) -> Sequence[Line]:
    """What a terminal shows of one file: all, or of a long clip the keyframes with faults before the others."""
    if len(lines) <= ROWS_A_CLIP:
        return lines
    *frames, whole = lines
    chosen = sorted(frames, key=lambda line: not line["faults"])[: ROWS_A_CLIP - 1]
    note = f"{whole['detail']}, {len(chosen)} shown"
    return [*sorted(chosen, key=lambda line: int(line["frame"])), whole | {"detail": note}]


def _print_tables(lines: Sequence[Line], *, numbered: bool) -> None:
    """What was scored on stdout, what was not on stderr."""
    scored = [line for line in lines if "error" not in line]
    if scored:
        heads = ("file", "frame", "faults", *SCORES, *SHOWN)
        rows = [
            (
                line["file"],
                _frame(line),
                ", ".join(line["faults"]) or None,
                *(line["scores"].get(fault, "") for fault in SCORES),
                *(_number(line["measures"].get(measure)) for measure in SHOWN.values()),
            )
            for line in scored
        ]
        if numbered:
            heads = ("cell", *heads)
            rows = [(line.get("cell", ""), *row) for line, row in zip(scored, rows, strict=True)]
        show.table(heads, rows)
    failed = [(line["file"], line["error"]["code"], line["error"]["detail"]) for line in lines if "error" in line]
    if failed:
        sys.stdout.flush()
        show.table(("not scored", "code", "why, and what to do"), failed, file=sys.stderr)


def _frame(line: Line) -> str:
    if line["frame"] == "all":
        return f"all: {line['detail']}"
    return str(line["frame"]) if line["pts_s"] is None else f"{line['frame']} at {line['pts_s']:.1f} s"


def _number(measure: Line | None) -> str:
    if measure is None:
        return ""
    return f"{measure['value']:.3g}" if measure["valid"] else "–"


def _cells(one: Scored, first: int) -> list[Cell]:
    """The file's places on the sheet, and their numbers into its lines, which so become the legend."""
    found: list[Cell] = []
    pictured: list[tuple[Line, Thumbnail | None]] = [
        (line, thumbnail) for line, thumbnail in zip(one.lines, one.thumbnails, strict=False) if thumbnail is not None
    ]
    if "error" in one.lines[0]:
        pictured = [(one.lines[0], None)]
    for line, thumbnail in pictured:
        number = first + len(found)
        if number > MAX_CELLS:
            break
        line["cell"] = number
        found.append(_cell(number, Path(one.file).name, line, thumbnail))
    return found


def _cell(number: int, name: str, line: Line, thumbnail: Thumbnail | None) -> Cell:
    if "error" in line:
        return Cell(number, name, (line["error"]["code"], ""), UNREAD)
    at = "" if line["pts_s"] is None else f"{line['pts_s']:.1f}s "
    worst = min(line["scores"].values(), default=NORMAL_SCORE)
    colour = FAULT if line["faults"] else WARNING if worst < NORMAL_SCORE else NORMAL
    values = {key: _number(line["measures"].get(key)) for key in ("sharpness", "luma_mean", "texture")}
    numbers = f"{at}S{values['sharpness']} L{values['luma_mean']} T{values['texture']}"
    verdict = " ".join(line["faults"]) or ("near a threshold" if colour is WARNING else "normal")
    return Cell(number, name, (verdict, numbers), colour, thumbnail)
