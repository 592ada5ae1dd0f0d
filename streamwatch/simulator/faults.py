"""What may be wrong with a simulated camera, by its name on the control port, and the log of every change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

import msgspec

from streamwatch.clock import rfc3339, to_datetime
from streamwatch.errors import UsageError
from streamwatch.simulator.carriage import Carriage, Serves
from streamwatch.simulator.render import Variant


class Fault(StrEnum):
    """A defect that can be switched at run time; none of them is a healthy camera."""

    DEAD = "dead"  # no SYN is answered
    REFUSED = "refused"  # nothing listens
    SILENT = "silent"  # connections are taken, nothing is ever answered
    AUTH = "auth"  # the password was changed
    NOT_FOUND = "not_found"  # 404 to DESCRIBE and SETUP: who remembers the address finds no more than who asks
    BUSY = "busy"  # 453 to SETUP
    NO_DATA = "no_data"  # PLAY succeeds, nothing flows
    NO_KEYFRAME = "no_keyframe"  # only P frames flow
    LOSS = "loss"  # packets are lost on the way, some of every key frame
    UDP_LOST = "udp_lost"  # SETUP and PLAY succeed, no datagram arrives: a firewall
    TCP_REFUSED = "tcp_refused"  # a camera that served both transports serves datagrams only
    BLACKOUT = "blackout"
    BLUR = "blur"
    FROZEN = "frozen"  # one picture for ever, the clock runs on


def fits(fault: Fault, carriage: Carriage) -> bool:
    """Whether a camera that serves these transports can have that fault at all."""
    if fault is Fault.UDP_LOST:
        return carriage.udp
    return fault is not Fault.TCP_REFUSED or carriage.serves is Serves.BOTH


def befalls(fault: Fault, carriage: Carriage) -> bool:
    """Whether chance may choose it: a camera that serves both loses its datagrams unseen, if nobody asks for them."""
    return fits(fault, carriage) and not (fault is Fault.UDP_LOST and carriage.tcp)


SHOWN: dict[Fault, Variant] = {Fault.BLACKOUT: Variant.BLACKOUT, Fault.BLUR: Variant.BLUR, Fault.FROZEN: Variant.FROZEN}


HOSTILE = "hostile:"  # before the name of a hostility, where a fault is named
LATENCY, LOSES = "latency:", "loss:"  # before milliseconds, and before per cent of the packets
MAX_LATENCY_MS = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is long or loses packets, in place of a fault; None leaves what the camera has by its farm."""

    name: str
    latency_s: float | None = None
    loss: float | None = None


def line(name: str) -> Line | None:
    """The line of this name, or None where it names none. Raises UsageError for a number that none can have."""
    for before, least, most, unit in ((LATENCY, 1.0, float(MAX_LATENCY_MS), "ms"), (LOSES, 0.01, 99.99, "per cent")):
        if not name.startswith(before):
            continue
        number = name.removeprefix(before)
        value = float(number) if _NUMBER.fullmatch(number) else 0.0
        if not least <= value <= most:
            raise UsageError(f"no fault {name!r}: give {before}NUMBER with {least:g} to {most:g} {unit}")
        return Line(name, latency_s=value / 1000) if before == LATENCY else Line(name, loss=value / 100)
    return None


_NUMBER = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Change:
    """A camera changed at `at_us`; `fault` is its name, None is healthy; at `until_us` the farm clears it by itself."""

    at_us: int
    camera: str
    fault: str | None
    until_us: int | None

    def as_json(self) -> dict[str, str | None]:
        """The object of the log and of `POST /faults`; `at` always with microseconds."""
        at = to_datetime(self.at_us).isoformat(timespec="microseconds").replace("+00:00", "Z")
        until = None if self.until_us is None else rfc3339(self.until_us)
        return {"at": at, "camera": self.camera, "fault": self.fault, "until": until}


class FaultLog:
    """A file of one JSON line a change, flushed at once, so that a reader never waits for a buffer."""

    def __init__(self, path: Path | None) -> None:
        self._file: IO[bytes] | None = path.open("ab", buffering=0) if path is not None else None

    def write(self, change: Change) -> None:
        """Appends one line."""
        if self._file is not None:
            self._file.write(msgspec.json.encode(change.as_json()) + b"\n")

    def close(self) -> None:
        """Closes the file; more writes go nowhere."""
        if self._file is not None:
            self._file.close()
            self._file = None
