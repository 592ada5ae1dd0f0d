"""`score`: pictures and clips on disk, by the same measures, thresholds and jail as a probe."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from streamwatch.cli import show
from streamwatch.cli.app import STDIN
from streamwatch.cli.sheet import FAULT, MAX_CELLS, NORMAL, UNREAD, WARNING, Cell, write_sheet
from streamwatch.decoders.job import FileResult, Frame, Thumbnail
from streamwatch.decoders.pool import DecoderPool, JailMode
from streamwatch.decoders.recognise import FileError
from streamwatch.decoders.source import Source
from streamwatch.errors import Exit, UsageError
from streamwatch.findings import worst_exit
from streamwatch.model.look import Depth, Look, Measurement, StreamKind
from streamwatch.quality import MEASURES
from streamwatch.scores import NORMAL as NORMAL_SCORE
from streamwatch.scores import scores_of
from streamwatch.sequence import NEED_TIME, together
from streamwatch.service.policies import verdict_policy
from streamwatch.settings import load
from streamwatch.verdict import FAULTS, Policy, faults_of

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

Line = dict[str, Any]
"""One object of `score --json`."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of one file: an object for each picture, and for a clip one more; or one with the error."""

    file: str
    lines: tuple[Line, ...]
    thumbnails: tuple[Thumbnail | None, ...]

    @property
    def exit(self) -> Exit:
        """3 where it could not be read, 1 with a fault, 0 without."""
        if "error" in self.lines[0]:
            return Exit.UNKNOWN
        return Exit.DEGRADED if any(line["faults"] for line in self.lines) else Exit.OK


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


class Scorer:
    """Files through the pool, a few at a time; results in the order of the files."""

    def __init__(
        self, pool: DecoderPool, policy: Policy, at_once: int, *, every: int, timeout_s: float, thumbnails: int
    ) -> None:
        self._pool = pool
        self._policy = policy
        self._every = every
        self._timeout_s = timeout_s
        self._thumbnails = thumbnails
        self._begun = 2 * at_once  # files open at once: one waits for each that is being decoded
        self._gate = asyncio.Semaphore(at_once)

    async def score(self, files: Sequence[str]) -> AsyncIterator[Scored]:
        """Each file's result as soon as it and those before it are done."""
        waiting: deque[asyncio.Task[Scored]] = deque()
        try:
            for file in files:
                waiting.append(asyncio.create_task(self.one(file)))
                if len(waiting) >= self._begun:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()

    async def one(self, file: str) -> Scored:
        """What one file shows. Whatever is wrong with it is in the result."""
        async with self._gate:
            try:
                with await asyncio.to_thread(Source.open, Path(file)) as source:
                    still = source.known.still
                    result = await self._pool.score_file(
                        source, every=self._every, thumbnails=self._thumbnails, wall_s=self._timeout_s
                    )
            except FileError as error:
                return _unread(file, error.code, error.detail)
        if result.failure is not None:
            return _unread(file, result.failure.reason.value, result.failure.detail)
        frames = tuple((frame, _look(frame)) for frame in result.frames)
        lines = [_line(file, frame, look, self._policy, still=still) for frame, look in frames]
        if not still:
            lines.append(_all(file, result, [look for _, look in frames], self._policy))
        return Scored(file, tuple(lines), tuple(frame.thumbnail for frame, _ in frames))


def _unread(file: str, code: str, detail: str) -> Scored:
    return Scored(file, ({"file": file, "error": {"code": code, "detail": detail}},), ())


def _look(frame: Frame) -> Look:
    """The frame as the look that it would have been."""
    failure = frame.failure
    return Look(
        camera=0,
        depth=Depth.PICTURE,
        stream=StreamKind.MAIN,
        started_us=frame.at_us,
        duration_us=0,
        vantage="file",
        reason=failure.reason if failure else None,
        step=failure.step if failure else None,
        detail=failure.detail if failure else "",
        codec=frame.codec or None,
        width=frame.width,
        height=frame.height,
        measures=frame.measures,
        reference_us=frame.reference_us,
    )


def _line(file: str, frame: Frame, look: Look, policy: Policy, *, still: bool) -> Line:
    return {
        "file": file,
        "frame": frame.index,
        "pts_s": None if still else frame.at_us / 1_000_000,
        "codec": look.codec,
        "width": look.width,
        "height": look.height,
        "faults": [fault for fault in faults_of(look, policy) if fault not in NEED_TIME],
        "scores": {fault: score for fault, score in scores_of(look, policy).items() if fault not in NEED_TIME},
        "measures": _measured(frame.measures),
        "detail": look.detail or None,
    }


def _all(file: str, result: FileResult, looks: Sequence[Look], policy: Policy) -> Line:
    """The clip as a whole; `pts_s` is where its fault begins."""
    found = together(looks, policy)
    first = looks[0]
    thinned = f", every {result.every}th was scored" if result.every > 1 else ""
    return {
        "file": file,
        "frame": "all",
        "pts_s": None if found.since_us is None else found.since_us / 1_000_000,
        "codec": first.codec,
        "width": first.width,
        "height": first.height,
        "faults": list(found.faults),
        "scores": dict(found.scores),
        "measures": _measured(found.measures),
        "detail": f"{result.keyframes} keyframes{thinned}",
    }


def _measured(measures: Sequence[Measurement]) -> Line:
    return {
        one.name: {"value": one.value, "valid": one.valid} | ({} if one.why is None else {"why": one.why})
        for one in measures
    }


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
