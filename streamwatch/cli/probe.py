"""`probe`: looks at cameras now, without any database, by the same code that the service looks with."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from streamwatch.cli.app import STDIN
from streamwatch.cli.show import progress, table
from streamwatch.errors import UsageError
from streamwatch.findings import (
    Finding,
    explained,
    in_words,
    noted,
    reason_in_words,
    thresholds,
    video_in_words,
    worst_exit,
)
from streamwatch.model.look import Transport
from streamwatch.net.address import Guard, parse_networks, target_of
from streamwatch.prober import MAX_CONCURRENCY, MAX_DEADLINE_S, DepthName, Prober, Seen
from streamwatch.service.policies import looker_policy, verdict_policy
from streamwatch.settings import load
from streamwatch.wire import transcript

MAX_URLS: Final = 200_000
HEADINGS: Final = ("state", "address", "video", "reason", "faults", "ms")


async def probe(
    urls: Sequence[str],
    *,
    depth: DepthName,
    transport: str,
    timeout_s: float,
    concurrency: int,
    explain: bool,
    record: Path | None,
    with_picture: bool,
    snapshot: Path | None,
    replay: Path | None,
    allow_basic: bool,
    as_json: bool,
) -> int:
    """The command. Raises UsageError for a call that cannot be meant."""
    targets = _targets(urls)
    if replay is not None and (targets or record is not None):
        raise UsageError("--replay takes neither a URL nor --record: the file is the camera")
    if replay is None and not targets:
        raise UsageError("which camera? streamwatch probe rtsp://HOST/PATH, or - to read URLs from stdin")
    if record is not None and len(targets) != 1:
        raise UsageError(f"--record writes one conversation, but {len(targets)} cameras were named")
    if snapshot is not None and (len(targets) > 1 or depth != "picture"):
        raise UsageError("--snapshot writes one picture: name one camera, and look with --depth picture")
    if not 0 < timeout_s <= MAX_DEADLINE_S:
        raise UsageError(f"--timeout {timeout_s:g}: more than 0 and at most {MAX_DEADLINE_S:g} seconds")
    if not 1 <= concurrency <= MAX_CONCURRENCY:
        raise UsageError(f"--concurrency {concurrency}: from 1 to {MAX_CONCURRENCY}")
    settings = load(None, os.environ)
    prober = Prober(
        timeout=timeout_s,
        transport=Transport(transport),
        concurrency=concurrency,
        decoders=settings.limits.decodes(),
        jail=settings.decoders.jail,
        allow_basic=allow_basic,
        looks=looker_policy(settings),
        thresholds=verdict_policy(settings),
        guard=Guard(parse_networks(settings.look.allow_networks), typed=True),
        decode_s=settings.decoders.wall_s,
    )
    async with prober:
        if replay is not None:
            seen = [await prober.replay(replay, snapshot=snapshot is not None)]
        else:
            taped = explain or record is not None
            seen = await _look_at(prober, targets, depth, taped=taped, snapshot=snapshot is not None)
    if record is not None and seen[0].tape is not None:
        record.write_text(transcript.dump(seen[0].tape, with_picture=with_picture), encoding="utf-8")
    if snapshot is not None:
        _keep(snapshot, seen[0].snapshot)
    found = [prober.judge(one) for one in seen]
    if as_json:
        for one in found:
            print(one.to_json())
    elif explain:
        for one, look in zip(found, seen, strict=True):
            print(explained(one, thresholds(prober.thresholds), _said(look)))
    elif len(found) > 1 and sys.stdout.isatty():
        table(HEADINGS, [_row(one) for one in found])
    else:
        for one in found:
            print(in_words(one))
    return worst_exit([one.exit for one in found])


def _keep(file: Path, picture: bytes | None) -> None:
    if picture is None:
        print(f"{file}: not written, for no picture was decoded", file=sys.stderr)
        return
    try:
        file.write_bytes(picture)
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror}; name a file in a folder of yours") from None


async def _look_at(prober: Prober, urls: Sequence[str], depth: DepthName, *, taped: bool, snapshot: bool) -> list[Seen]:
    """Every camera, in the order of the arguments; the first mistake of ours ends them all."""
    with progress("looking", len(urls), unit="cameras") as bar:

        async def one(url: str) -> Seen:
            seen = await prober.see(url, depth=depth, taped=taped, snapshot=snapshot)
            bar.advance()
            return seen

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(url)) for url in urls]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
    return [task.result() for task in tasks]


def _targets(urls: Sequence[str]) -> list[str]:
    found: list[str] = []
    for url in urls:
        found += [line.strip() for line in sys.stdin if line.strip()] if url == STDIN else [url]
    if len(found) > MAX_URLS:
        raise UsageError(f"{len(found)} cameras: at most {MAX_URLS} at once")
    for url in found:
        target_of(url)
    return found


def _row(one: Finding) -> tuple[object, ...]:
    """One camera as a row under HEADINGS."""
    total = round(one.timings_ms.get("total", 0))
    return (
        one.state,
        one.url,
        video_in_words(one),
        reason_in_words(one) or noted(one),
        ", ".join(one.faults) or None,
        total,
    )


def _said(seen: Seen) -> list[str] | None:
    """The conversation in lines, where one was taken down."""
    if seen.tape is None:
        return None
    return [line for part in transcript.dump(seen.tape).splitlines()[1:] for line in _part(json.loads(part))]


def _part(part: dict[str, Any]) -> list[str]:
    arrow = ">" if part["dir"] == "out" else "<"
    if "data" in part:
        return [f"  {part['t_ms']:9.1f} {arrow} {line}" for line in str(part["data"]).splitlines()]
    what = {key: value for key, value in part.items() if key not in ("t_ms", "dir", "b64")}
    if isinstance(what.get("media"), dict):
        what["media"].pop("b64", None)
    return [f"  {part['t_ms']:9.1f} {arrow} {json.dumps(what)}"]
