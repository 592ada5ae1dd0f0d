"""One look at one address, now: without a configuration, a database or a service around it; `streamwatch probe` and
`from streamwatch import probe` are this.

It drives the same looker as the service does. Nothing here touches the process that it runs in: no signal handler, no
logging configuration, no event loop of its own. Decoders are processes started by `exec` (decoders/birth.py), so that
the caller may have threads, and needs no `if __name__ == "__main__"`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from streamwatch.clock import SystemClock
from streamwatch.decoders.jail import JailError
from streamwatch.decoders.job import DecodeJob, DecodeResult
from streamwatch.decoders.pool import DecoderPool, JailMode
from streamwatch.errors import UsageError
from streamwatch.findings import Finding, found
from streamwatch.health import LoopLag
from streamwatch.ingest.session import heard_of
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.look import Depth, Look, StreamKind, Transport
from streamwatch.model.report import Ticket
from streamwatch.net.address import Guard, target_of
from streamwatch.net.canary import Canaries
from streamwatch.verdict import Policy
from streamwatch.wire import transcript
from streamwatch.wire.redaction import masked_url
from streamwatch.wire.url import parse_address

MAX_DEADLINE_S: Final = 60.0  # a camera that has shown nothing in a minute will not in two
DEFAULT_TIMEOUT_S: Final = 20.0  # the patrol's own patience: connect, conversation, keyframe, decode
DEFAULT_CONCURRENCY: Final = 16
MAX_CONCURRENCY: Final = 10_000  # looks; over UDP each takes two of the 28,000 ports that Linux hands out
MAX_RECORDING_BYTES: Final = 64 * 2**20  # a replay: 8 MiB of media as base64, several times over
LOOKS: Final = LookerPolicy()
THRESHOLDS: Final = Policy()
EVERYWHERE: Final = Guard(typed=True)

DepthName = Literal["reach", "stream", "picture"]
TransportName = Literal["auto", "tcp", "udp", "http"]
JailName = Literal["required", "best_effort"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One address (with its credentials: not for people), the look at it, and what crossed the wire where wanted.

    `snapshot` is the picture that was scored, as a JPEG of at most 640 pixels, where it was wanted and there was one.
    """

    url: str
    look: Look
    tape: transcript.Recorder | None = None
    snapshot: bytes | None = None


class _Album(DecoderPool):
    """A pool that keeps the small pictures, which a Look does not carry, until they are taken."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._kept: dict[int, bytes] = {}

    async def score(self, job: DecodeJob) -> DecodeResult:
        """As any pool does."""
        result = await super().score(job)
        if result.snapshot is not None and job.stream is not None:
            self._kept[job.stream] = result.snapshot
        return result

    def take(self, ticket: Ticket) -> bytes | None:
        """The picture of the look that just ended, once."""
        return self._kept.pop(ticket.camera << 1, None)  # the stream that the looker names a main stream by


class Prober:
    """Looks at addresses; all its looks share one pool of decoders. Use it from one event loop:

        async with Prober() as prober:
            found = await prober.look("rtsp://192.0.2.7/live")

    Decoders start with the first look that needs them and end with the block. Any number of looks may run at the same
    time; more than `concurrency` of them wait for their turn. Of an address that it looked at before it remembers what
    the service would (bounded, and never a secret): the last picture's fingerprint, so that `frozen` can be seen.
    """

    def __init__(
        self,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        transport: Transport | TransportName = Transport.AUTO,
        concurrency: int = DEFAULT_CONCURRENCY,
        decoders: int | None = None,
        jail: JailMode | JailName = JailMode.REQUIRED,
        allow_basic: bool = False,
        looks: LookerPolicy = LOOKS,
        thresholds: Policy = THRESHOLDS,
        guard: Guard = EVERYWHERE,
        decode_s: float = 2.0,
    ) -> None:
        """`timeout`: seconds of one look over all its steps, at most 60; `transport`: how media is asked for.

        `decoders`: processes, and so pictures decoded at once (one a core); `jail`: `required` refuses to decode where
        the jail cannot be complete (anything but Linux on x86-64 or arm64), `best_effort` decodes with what there is.
        `allow_basic` sends passwords in the clear to cameras that ask for Basic. `looks`, `thresholds`, `guard` and
        `decode_s` (seconds for one picture) take what settings may say. Raises UsageError for what cannot be meant.
        """
        if not 1 <= concurrency <= MAX_CONCURRENCY:
            raise UsageError(f"concurrency {concurrency}: from 1 to {MAX_CONCURRENCY}")
        if decoders is not None and decoders < 1:
            raise UsageError(f"decoders {decoders}: at least 1")
        self.thresholds = thresholds
        self._timeout_s = _seconds(timeout)
        self._transport = _transport(transport)
        self._allow_basic = allow_basic
        self._clock = SystemClock()
        self._turns = asyncio.Semaphore(concurrency)
        self._starting: asyncio.Task[None] | None = None  # of the decoders
        self._closed = False
        self._pool = _Album(
            workers=min(decoders or _cores(), concurrency),
            jail=JailMode(jail),
            wall_s=decode_s,
            max_pixels=looks.max_pixels,
        )
        self._looker = Looker(
            "probe",
            pool=self._pool,
            clock=self._clock,
            # nothing is known of a camera's keyframes here: the whole timeout is for waiting
            policy=replace(looks, looks_in_flight=concurrency, keyframe_s=MAX_DEADLINE_S),
            guard=guard,
            canaries=Canaries((), self._clock, 60.0),
            lag=LoopLag(self._clock),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the decoders. Looks that still run end as `ours.worker`; new ones are refused."""
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await self._pool.aclose()

    async def look(
        self,
        url: str,
        *,
        depth: Depth | DepthName = Depth.PICTURE,
        timeout: float | None = None,
        transport: Transport | TransportName | None = None,
    ) -> Finding:
        """Looks at `url` (rtsp[s]://[USER:PASSWORD@]HOST[:PORT]/PATH) and says what this look alone says.

        Whatever a device does becomes a finding; it never raises for that. Raises UsageError for an address or a
        value that cannot be meant; where a picture is asked for, JailError if the jail is not complete and
        StreamwatchError if no decoder can be started. Cancelling it closes the camera's session and socket.
        """
        seen = await self.see(url, depth=depth, timeout=timeout, transport=transport)
        return self.judge(seen)

    def judge(self, seen: Seen) -> Finding:
        """What that look says under the thresholds of this prober."""
        return found(seen.look, masked_url(seen.url), self.thresholds)

    async def see(
        self,
        url: str,
        *,
        depth: Depth | DepthName = Depth.PICTURE,
        timeout: float | None = None,
        transport: Transport | TransportName | None = None,
        taped: bool = False,
        snapshot: bool = False,
    ) -> Seen:
        """The look itself, with `taped` the conversation, with `snapshot` the small picture. As `look` otherwise."""
        target_of(url)  # a wrong address is told before anything starts
        wanted = _depth(depth)
        ticket = self._ticket(
            url,
            self._timeout_s if timeout is None else _seconds(timeout),
            self._transport if transport is None else _transport(transport),
            snapshot=snapshot,
        )
        if self._closed:
            raise UsageError("this Prober is closed: look within its `async with` block")
        if wanted is Depth.PICTURE:
            await self._start_decoders()
        async with self._turns:
            tape = None
            if taped:
                ask = self._looker.ask(ticket, wanted)
                tape = transcript.Recorder(ask, self._clock.utc_us(), self._clock.monotonic())
            try:
                look = await self._looker.look(ticket, wanted, tape=tape)
            finally:
                picture = self._pool.take(ticket)
            return Seen(url, look, tape, picture)

    async def replay(self, file: Path, *, snapshot: bool = False) -> Seen:
        """The same code on a recording of `probe --record`, without a network. Raises UsageError naming the file.

        A recording without its picture is looked at no deeper than `stream`.
        """
        try:
            if file.stat().st_size > MAX_RECORDING_BYTES:  # noqa: ASYNC240 - one file, before anything runs
                raise UsageError(f"{file}: larger than {MAX_RECORDING_BYTES} bytes")
            recording = transcript.load(file.read_text(encoding="utf-8"))  # noqa: ASYNC240
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise UsageError(f"{file}: cannot be read: {why}; name a file that probe --record wrote") from None
        except UsageError as error:
            raise UsageError(f"{file}: {error}") from None
        conversation = transcript.replay(recording)
        heard = heard_of(
            conversation, dict(conversation.timings_ms), zero_us=recording.at_us, remarks=recording.remarks
        )
        depth = Depth.STREAM if recording.depth is Depth.PICTURE and not recording.with_picture else recording.depth
        if depth is Depth.PICTURE:
            await self._start_decoders()
        begun = self._clock.monotonic()
        ticket = self._ticket(recording.url, self._timeout_s, self._transport, snapshot=snapshot)
        look = await self._looker.finish(ticket, depth, heard, recording.at_us, begun)
        return Seen(recording.url, look, snapshot=self._pool.take(ticket))

    async def _start_decoders(self) -> None:
        """Once, whoever asks first: a look that is cancelled meanwhile takes it from no other."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._pool.start(), name="decoders start")
        try:
            await asyncio.shield(self._starting)
        except JailError as error:
            raise JailError(f"{error} (as a library: Prober(jail='best_effort'))") from None

    def _ticket(self, url: str, timeout_s: float, transport: Transport, *, snapshot: bool) -> Ticket:
        address = parse_address(url)
        return Ticket(
            camera=_number(url),
            url=address.url,
            stream=StreamKind.MAIN,
            offset_ms=0,
            deadline_ms=int(timeout_s * 1000),
            host=address.origin.host,
            credentials=address.credentials,
            allow_basic=self._allow_basic,
            transport=transport,
            snapshot=snapshot,
        )


async def probe(
    url: str,
    *,
    depth: Depth | DepthName = Depth.PICTURE,
    timeout: float = DEFAULT_TIMEOUT_S,
    transport: Transport | TransportName = Transport.AUTO,
    allow_basic: bool = False,
    jail: JailMode | JailName = JailMode.REQUIRED,
) -> Finding:
    """One look at one camera, with one decoder of its own. For several cameras share a `Prober`; see it for the rest.

    `timeout` bounds the look; starting and ending the decoder (depth picture) adds about half a second to it.
    """
    async with Prober(
        timeout=timeout, transport=transport, concurrency=1, jail=jail, allow_basic=allow_basic
    ) as prober:
        return await prober.look(url, depth=depth)


def _number(url: str) -> int:
    """What the looker's memory knows an address by: 63 bits, so that no two addresses meet and none is kept."""
    return int.from_bytes(hashlib.blake2b(url.encode(), digest_size=8).digest()) >> 1


def _cores() -> int:
    """CPU cores that this process may use; of the machine where the system does not tell."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:  # noqa: RET505 - the type checker knows where it is
        return os.cpu_count() or 1


def _seconds(timeout: float) -> float:
    if not 0 < timeout <= MAX_DEADLINE_S:
        raise UsageError(f"timeout {timeout:g}: more than 0 and at most {MAX_DEADLINE_S:g} seconds")
    return timeout


def _depth(name: Depth | DepthName) -> Depth:
    if name not in (Depth.REACH, Depth.STREAM, Depth.PICTURE):
        raise UsageError(f"depth {name}: one of reach, stream, picture")
    return Depth(name)


def _transport(name: Transport | TransportName) -> Transport:
    try:
        return Transport(name)
    except ValueError:
        raise UsageError(f"transport {name}: one of {', '.join(Transport)}") from None
