"""Stage 3, wire: what one conversation learnt that the next one may skip, and when it may.

A warm look begins with SETUP. It skips OPTIONS and DESCRIBE, so only of streams whose parameter sets come with each
keyframe: a description that changed meanwhile would have it decoded with stale ones. Whatever does not work on the way
proves nothing: the full conversation begins in a new connection, within the same deadline, and decides alone.

Nothing here is a secret, a nonce or a session: whose it is stands in `key` as Python's salted hash, which means nothing
in another process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Ticket
from streamwatch.wire.ask import Ask
from streamwatch.wire.redaction import masked_url
from streamwatch.wire.sdp import VideoTrack

# Of what is left of the deadline, until the warm way must have brought its keyframe: of 20 s it leaves 13 for the full
# conversation, which waits 10 s for a keyframe.
SHARE: Final = 1 / 3
COLD_EVERY_S: Final = 3_600.0  # a full conversation at least once an hour: what changed is seen by then
REST_S: Final = 86_400.0  # of a device that only the full conversation worked with; a firmware may have changed by then
MAX_KEPT_URL: Final = (
    256  # characters of an address that does not begin with the camera's own; real ones have under 100
)

_SETS: Final = "sprop-"  # parameters of fmtp that hold parameter sets, and what goes with them
_KEPT: Final = frozenset({"sprop-max-don-diff"})  # decides how H.265 is read


@dataclass(frozen=True, slots=True)
class Warm:
    """What SETUP and PLAY ask for, and what is known of the answers. `track` has no parameter sets."""

    key: int  # of address and credentials: `key_of`
    transport: Transport  # tcp or udp
    track: VideoTrack
    setup: str  # what follows the camera's own address in that of its track; else the whole address
    play: str
    keepalive: str
    server: str | None = None

    def addresses(self, url: str) -> tuple[str, str]:
        """Those of SETUP and of PLAY, for the camera at `url`."""
        return _whole(self.setup, url), _whole(self.play, url)


def key_of(asked: Ask | Ticket) -> int:
    """Whom it is asked as: an address or a password that is another gives another key."""
    given = asked.credentials
    return hash((asked.url, None if given is None else (given.username, given.password)))


def usable(ask: Ask, first: Transport) -> Warm | None:
    """What `ask` brings, where this look may use it; `first`: the transport that the full conversation begins with."""
    warm = ask.warm
    if warm is None or ask.depth is Depth.REACH or ask.withheld or ask.transport is Transport.HTTP:
        return None
    return warm if warm.transport is first and warm.key == key_of(ask) else None


def learnt(
    ask: Ask,
    url: str,
    track: VideoTrack,
    urls: tuple[str, str],
    transport: Transport,
    keepalive: str,
    server: str | None,
) -> Warm | None:
    """What is worth remembering of a look that went well; None where an address has to be asked for each time."""
    parts = [_part(one, url) for one in urls]
    setup, play = parts
    if setup is None or play is None:
        return None
    fmtp = {name: value for name, value in track.fmtp.items() if not name.startswith(_SETS) or name in _KEPT}
    bare = replace(track, parameter_sets=(), fmtp=fmtp, control=None)
    return Warm(key_of(ask), transport, bare, setup, play, keepalive, server)


def _part(address: str, url: str) -> str | None:
    """An address without the camera's own at its begin, which may hold a secret; None where it looks like one."""
    if address.startswith(url):
        address = address[len(url) :]
        if "=" not in address:
            return address
        return address if masked_url(f"rtsp://x/?{address}") == f"rtsp://x/?{address}" else None
    return address if len(address) <= MAX_KEPT_URL and masked_url(address) == address else None


def _whole(part: str, url: str) -> str:
    return part if part.startswith(("rtsp://", "rtsps://")) else url + part


class Kept(NamedTuple):
    """What a memory keeps of one stream. Without `warm` nothing is learnt before `until` (seconds, monotonic)."""

    warm: Warm | None
    until: float

    def usable(self, now: float) -> Warm | None:
        """For the next `Ask.warm`; None: the full conversation is due."""
        return self.warm if now < self.until else None


def keep(before: Kept | None, warm: Warm | None, *, held: bool | None, worked: bool, now: float) -> Kept | None:
    """What to keep after a look deeper than reach, `now`; None: forget. `before` is what was kept until then.

    `warm` and `held` are `Heard.warm` and `Heard.warm_held`; `worked`: a keyframe came. A device that only the full
    conversation worked with is left to that for REST_S.
    """
    if before is not None and before.warm is None and now < before.until:
        return before
    if held is False:
        return Kept(None, now + REST_S) if worked else None
    if warm is None:
        return None
    if before is not None and before.warm is warm:
        return before
    apart = 3 / 4 + (warm.key & 0xFF) / 0x400  # else all cameras of a fresh start come due in one round
    return Kept(warm, now + COLD_EVERY_S * apart)
