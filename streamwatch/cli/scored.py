"""Files -> the lines of `score --json`: each file through the pool, each picture judged as a look at a camera is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamwatch.decoders.job import FileResult, Frame, Thumbnail
from streamwatch.decoders.pool import DecoderPool
from streamwatch.decoders.recognise import FileError
from streamwatch.decoders.source import Source
from streamwatch.errors import Exit
from streamwatch.model.look import Depth, Look, Measurement, StreamKind
from streamwatch.scores import scores_of
from streamwatch.sequence import NEED_TIME, together
from streamwatch.verdict import Policy, faults_of

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
    thinned = f", one in {result.every} scored" if result.every > 1 else ""
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
