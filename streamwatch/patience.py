"""Stage 3's memory of keyframes: how long one stream of a camera was seen to go without, and so how long to wait. Pure.

A keyframe that came w seconds after PLAY shows an interval of w or more, and so does giving up after w. "Smart codecs"
send one in 10 to 40 s where nothing moves, so that no fixed patience fits all cameras.

A look falls anywhere in the interval. It is longer than 1.5 times the longest of 12 waits with a chance of
(1/1.5)^12, below 1 %: only then is a camera *known*, and a keyframe that stays away for so long its own fault.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from streamwatch.wire.ask import KEYFRAME_S, MAX_MEDIA_BYTES

FACTOR: Final = 1.5  # x the longest interval seen: the reliability goal of the keyframe deadline
LOOKS: Final = 12  # with a keyframe: an hour of the patrol's, after which one bad hour is forgotten
STEPS_A_SECOND: Final = 4  # waits are kept in a byte, rounded up: 63.75 s, more than any look waits

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds from the answer to PLAY. `known`: as many keyframes were seen as tell this camera's interval."""

    keyframe_s: float  # how long this look may wait, while media flows
    grown_s: float  # by how much that is more than where nothing is known
    may_s: float  # 1.5 x the longest interval seen, also where that is less than any look waits; 0 where none was
    need_s: float  # as long as this camera may need: without a keyframe for so long, it sends none
    known: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """What one look may take. `refused` is why it may not wait as long as its camera's own deadline says, or ""."""

    keyframe_s: float  # from the answer to PLAY, while media flows
    total_s: float
    media_bytes: int  # without a keyframe
    need_s: float
    refused: str = ""
    line_bound: bool = False  # `media_bytes` is what its line has left, less than such a look may take elsewhere


def grant(wait: Wait, first: Wait, deadline_s: float, patience_s: float, refused: str, room: int | None) -> Grant:
    """What a look may take whose camera is known by `wait`; `first` is that of one that nothing is known of.

    `deadline_s` is its total deadline and `patience_s` how long that may grow. `refused` is why there is no time for
    more than the first wait, and `room` how many bytes its line has for it, None where nobody counts them.
    """
    refused = refused if wait.keyframe_s > first.keyframe_s else ""
    granted = first if refused else wait
    total_s = max(deadline_s, min(patience_s, deadline_s + granted.grown_s))
    media_bytes = int(MAX_MEDIA_BYTES * max(1.0, min(granted.keyframe_s, total_s) / KEYFRAME_S))
    allowed = media_bytes if room is None else max(MAX_MEDIA_BYTES, min(media_bytes, room))
    return Grant(granted.keyframe_s, total_s, allowed, wait.need_s, refused, line_bound=allowed < media_bytes)


class Patience(Generic[Key]):
    """What was seen of the latest `most` streams: 13 bytes of each, in the memory of this process only."""

    def __init__(self, first_s: float, longest_s: float, most: int) -> None:
        """A stream that nothing is known of is waited for `first_s`, none longer than `longest_s` (<= 60)."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._most = most
        self._seen: OrderedDict[Key, bytes] = OrderedDict()  # given up since the last keyframe, then waits, newest last

    def came(self, key: Key, after_s: float) -> None:
        """A keyframe came; what was given up before it belongs to the same interval."""
        seen = self._seen.get(key, b"\0")
        self._keep(key, b"\0" + (seen[1:] + bytes((max(_steps(after_s), seen[0]),)))[-LOOKS:])

    def gave_up(self, key: Key, after_s: float) -> None:
        """None came for so long, while media flowed."""
        seen = self._seen.get(key, b"\0")
        self._keep(key, bytes((max(_steps(after_s), seen[0]),)) + seen[1:])

    def wait(self, key: Key, deadline_s: float) -> Wait:
        """How long the next look may wait whose total deadline is `deadline_s` before it grows.

        A total deadline too short for the first wait makes room for it by half: the other half is the conversation's.
        """
        seen = self._seen.get(key, b"\0")
        known = len(seen) > LOOKS
        longest_s = FACTOR * max(seen) / STEPS_A_SECOND
        need_s = self._clamped(FACTOR * max(seen[1:]) / STEPS_A_SECOND) if known else self._longest_s
        spent_s = max(0.0, deadline_s - self._first_s)  # on the conversation before PLAY, at most
        return Wait(
            keyframe_s=self._clamped(longest_s),
            may_s=min(longest_s, self._longest_s),
            grown_s=max(0.0, min(longest_s, self._longest_s) - min(self._first_s, deadline_s / 2)),
            need_s=min(need_s, max(self._first_s, self._longest_s - spent_s)),
            known=known,
        )

    def may_s(self, key: Key) -> float:
        """The same as `wait` tells."""
        return min(FACTOR * max(self._seen.get(key, b"\0")) / STEPS_A_SECOND, self._longest_s)

    def short(self, key: Key, deadline_s: float) -> bool | None:
        """Whether `key` is known, where its keyframes come so soon that all such streams are waited for alike.

        None where not. `wait` gives the same for two streams of whom this says the same, but for `may_s`.
        """
        seen = self._seen.get(key, b"\0")
        if FACTOR * max(seen) / STEPS_A_SECOND > min(self._first_s, deadline_s / 2):
            return None
        return len(seen) > LOOKS

    def _clamped(self, seconds: float) -> float:
        return min(max(seconds, self._first_s), self._longest_s)

    def _keep(self, key: Key, seen: bytes) -> None:
        self._seen[key] = seen
        self._seen.move_to_end(key)
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)


def _steps(seconds: float) -> int:
    return min(max(0, math.ceil(seconds * STEPS_A_SECOND)), 255)
