"""`probe`: looks at cameras now, without any database, by the same code that the service looks with."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import Progress

from streamwatch.cli.app import STDIN
from streamwatch.clock import SystemClock
from streamwatch.decoders.pool import DecoderPool, JailMode
from streamwatch.errors import UsageError
from streamwatch.findings import exit_of, finding, thresholds, worst_exit
from streamwatch.health import LoopLag
from streamwatch.ingest.session import heard_of
from streamwatch.looker import Looker
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.model.report import Ticket
from streamwatch.net.address import Guard, parse_networks, target_of
from streamwatch.net.canary import Canaries
from streamwatch.service.policies import looker_policy, verdict_policy
from streamwatch.settings import Settings, load
from streamwatch.verdict import Policy
from streamwatch.wire import transcript
from streamwatch.wire.redaction import masked_url
from streamwatch.wire.url import parse_address

MAX_URLS: Final = 200_000
MAX_DEADLINE_S: Final = 60.0
MAX_RECORDING_BYTES: Final = 64 * 2**20


async def probe(
    urls: Sequence[str],
    *,
    depth: str,
    transport: str,
    timeout_s: float,
    concurrency: int,
    explain: bool,
    record: Path | None,
    with_picture: bool,
    replay: Path | None,
    allow_basic: bool,
    as_json: bool,
) -> int:
    """The command. Raises UsageError for a call that cannot be meant."""
    if transport not in ("auto", "tcp"):
        raise UsageError(f"--transport {transport}: this version speaks RTSP over TCP (auto, tcp)")
    if not 0 < timeout_s <= MAX_DEADLINE_S:
        raise UsageError(f"--timeout {timeout_s:g}: more than 0 and at most {MAX_DEADLINE_S:g} seconds")
    if concurrency < 1:
        raise UsageError(f"--concurrency {concurrency}: at least 1")
    targets = _targets(urls)
    if replay is not None and (targets or record is not None):
        raise UsageError("--replay takes neither a URL nor --record: the file is the camera")
    if replay is None and not targets:
        raise UsageError("which camera? streamwatch probe rtsp://HOST/PATH, or - to read URLs from stdin")
    if record is not None and len(targets) != 1:
        raise UsageError(f"--record writes one conversation, but {len(targets)} cameras were named")
    settings = load(None, os.environ)
    policy = verdict_policy(settings)
    wanted = Depth(depth)
    async with _Prober(settings, wanted, timeout_s, concurrency, allow_basic=allow_basic) as prober:
        if replay is not None:
            seen = [await prober.replay(replay)]
        else:
            seen = await prober.look_at(targets, taped=explain or record is not None, quiet=as_json)
    if record is not None and seen[0].tape is not None:
        record.write_text(transcript.dump(seen[0].tape, with_picture=with_picture), encoding="utf-8")
    for one in seen:
        found = finding(one.look, masked_url(one.url), policy)
        if as_json:
            print(msgspec.json.encode(found).decode())
        elif explain:
            _explain(found, one, policy)
        else:
            print(_line(found))
    return worst_exit([exit_of(one.look, policy) for one in seen])


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """One camera's address, the look at it, and what crossed the wire where that was wanted."""

    url: str
    look: Look
    tape: transcript.Recorder | None = None


def _targets(urls: Sequence[str]) -> list[str]:
    found: list[str] = []
    for url in urls:
        found += [line.strip() for line in sys.stdin if line.strip()] if url == STDIN else [url]
    if len(found) > MAX_URLS:
        raise UsageError(f"{len(found)} cameras: at most {MAX_URLS} at once")
    for url in found:
        target_of(url)
    return found


class _Prober:
    """A looker without a service around it."""

    def __init__(
        self, settings: Settings, depth: Depth, timeout_s: float, concurrency: int, *, allow_basic: bool
    ) -> None:
        self.clock = SystemClock()
        self._depth = depth
        self._timeout_s = timeout_s
        self._concurrency = concurrency
        self._allow_basic = allow_basic
        self._max_pixels = settings.look.max_pixels
        self._user_agent = settings.look.user_agent
        self._lag = LoopLag(self.clock)
        self._beating: asyncio.Task[None] | None = None
        self._pool = DecoderPool(
            workers=min(settings.limits.decodes(), concurrency),
            jail=JailMode(settings.decoders.jail),
            wall_s=settings.decoders.wall_s,
            max_pixels=settings.look.max_pixels,
        )
        self._looker = Looker(
            "probe",
            pool=self._pool,
            clock=self.clock,
            policy=dataclasses.replace(
                looker_policy(settings),
                looks_in_flight=concurrency,
                connect_s=min(settings.look.connect_s, timeout_s),
            ),
            guard=Guard(parse_networks(settings.look.allow_networks)),
            canaries=Canaries((), self.clock, 60.0),
            lag=self._lag,
        )

    async def __aenter__(self) -> _Prober:
        if self._depth is Depth.PICTURE:
            await self._pool.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._depth is Depth.PICTURE:
            await self._pool.aclose()

    async def look_at(self, urls: Sequence[str], *, taped: bool, quiet: bool) -> list[Seen]:
        """Every camera, in the order of the arguments."""
        gate = asyncio.Semaphore(self._concurrency)
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
            bar = progress.add_task("looking", total=len(urls), visible=len(urls) > 1)

            async def one(number: int, url: str) -> Seen:
                async with gate:
                    ticket = self._ticket(url, number)
                    tape = None
                    if taped:
                        ask = self._looker.ask(ticket, self._depth)
                        tape = transcript.Recorder(ask, self.clock.utc_us(), self.clock.monotonic())
                    look = await self._looker.look(ticket, self._depth, tape=tape)
                progress.advance(bar)
                return Seen(url, look, tape)

            return list(await asyncio.gather(*(one(number, url) for number, url in enumerate(urls))))

    async def replay(self, file: Path) -> Seen:
        """The same code on a recording, without a network."""
        try:
            if file.stat().st_size > MAX_RECORDING_BYTES:
                raise UsageError(f"{file}: larger than {MAX_RECORDING_BYTES} bytes")
            recording = transcript.load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file}: cannot be read: {error}") from None
        except UsageError as error:
            raise UsageError(f"{file}: {error}") from None
        conversation = transcript.replay(recording)
        heard = heard_of(conversation, dict(conversation.timings_ms))
        depth = Depth.STREAM if recording.depth is Depth.PICTURE and not recording.with_picture else recording.depth
        begun = self.clock.monotonic()
        look = await self._looker.finish(self._ticket(recording.url, 0), depth, heard, recording.at_us, begun)
        return Seen(recording.url, look)

    def _ticket(self, url: str, number: int) -> Ticket:
        address = parse_address(url)
        return Ticket(
            camera=number,
            url=address.url,
            stream=StreamKind.MAIN,
            offset_ms=0,
            deadline_ms=int(self._timeout_s * 1000),
            host=address.origin.host,
            credentials=address.credentials,
            allow_basic=self._allow_basic,
        )


def _line(found: dict[str, Any]) -> str:
    """One camera on one line: state, address, what came, what is wrong."""
    parts = [f"{found['state']:<7}", found["url"]]
    if found["codec"]:
        size = f" {found['width']}x{found['height']}" if found["width"] else ""
        parts.append(f"{found['codec']}{size}")
    if found["reason"]:
        at = f" at {found['step']}" if found["step"] else ""
        parts.append(f"{found['reason']}{at} ({found['blame']}): {found['detail']}")
    if found["faults"]:
        parts.append(f"faults: {', '.join(found['faults'])}")
    parts.append(f"{found['timings_ms'].get('total', 0):.0f} ms")
    return "  ".join(parts)


def _explain(found: dict[str, Any], seen: Seen, policy: Policy) -> None:
    """The whole of one look, for a person: what was said, how long it took, what was measured, what it means."""
    print(f"# {found['url']}")
    if seen.tape is not None:
        print("\n## Conversation\n")
        for line in transcript.dump(seen.tape).splitlines()[1:]:
            _print_part(json.loads(line))
    print("\n## Steps\n")
    for step, took in found["timings_ms"].items():
        print(f"  {step:<15} {took:9.1f} ms")
    if seen.look.measures:
        print("\n## Measures\n")
        for measure in seen.look.measures:
            note = "" if measure.valid else f"  cannot judge: {measure.why}"
            print(f"  {measure.name:<18} {measure.value:10.4f}{note}")
        print("\n## Thresholds\n")
        for name, value in thresholds(policy).items():
            print(f"  {name:<26} {value:g}")
    print(f"\n## Verdict\n\n  {_line(found)}\n")


def _print_part(part: dict[str, Any]) -> None:
    arrow = ">" if part["dir"] == "out" else "<"
    if "data" in part:
        for line in str(part["data"]).splitlines():
            print(f"  {part['t_ms']:9.1f} {arrow} {line}")
    else:
        what = {key: value for key, value in part.items() if key not in ("t_ms", "dir", "b64")}
        if isinstance(what.get("media"), dict):
            what["media"].pop("b64", None)
        print(f"  {part['t_ms']:9.1f} {arrow} {json.dumps(what)}")
