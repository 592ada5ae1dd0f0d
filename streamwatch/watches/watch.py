"""What is known of one camera whose session stays open."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from streamwatch.decoders.job import DecodeResult
from streamwatch.ingest.continuous import Watcher
from streamwatch.ingest.session import Heard
from streamwatch.model.look import Depth
from streamwatch.model.report import Ticket
from streamwatch.watches.places import Taken
from streamwatch.wire.media import Keyframe
from streamwatch.wire.tally import Seen


@dataclass(frozen=True, slots=True)
class Pictured:
    """A keyframe of an open session, decoded and scored."""

    result: DecodeResult
    keyframe: Keyframe
    at_us: int  # UTC, when it was whole


@dataclass(frozen=True, slots=True)
class Answer:
    """What an open session says of its camera since the look before. `picture` where the depth asks for one."""

    heard: Heard  # the conversation that opened it
    seen: Seen
    picture: Pictured | None
    clock_offset_ms: float | None


@dataclass(slots=True)
class Watch:
    """One camera. `watcher` None: its session was lost."""

    ticket: Ticket
    depth: Depth
    asked_at: float  # the latest look
    heard: Heard
    retry_s: float  # until a session that is lost is opened again
    watcher: Watcher | None = None
    seen: Seen = field(default_factory=Seen)  # by sessions that were lost since the latest look
    picture_at: float = 0.0  # when a lost session brought its last
    picture: Pictured | None = None  # since the latest look
    scoring: asyncio.Task[None] | None = None
    waiting: asyncio.Future[None] | None = None  # for a picture
    opened_at: float = 0.0
    longest_s: float = 0.0  # between two looks
    retrying: asyncio.Task[None] | None = None
    unasked: asyncio.TimerHandle | None = None
    places: Taken = ()
