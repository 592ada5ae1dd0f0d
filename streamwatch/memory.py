"""Stage 3's memory: what one looker learnt of its cameras' streams, and asks for next time. It ends with its process.

Lost memory costs a slower look, never a verdict: it begins at the beginning, pictures are compared with none, TCP is
asked for first, and a camera with rare keyframes is waited for as if nothing were known of it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from streamwatch.errors import Reason
from streamwatch.ingest.session import Heard
from streamwatch.lockout import Lockout, account_of
from streamwatch.model.look import Depth, StreamKind, Transport
from streamwatch.model.report import Ticket
from streamwatch.patience import Grant, Patience, grant
from streamwatch.wire.ask import KEYFRAME_S
from streamwatch.wire.warm import Kept, Warm, keep

MAX_MEMORIES: Final = 200_000  # streams; 2 KiB each is 400 MB, more than one looker is ever given
MAX_SHORT: Final = 64  # kinds of tickets; deadlines come from the settings: there are two or three
FLOWS_S: Final = 3.0  # media that was silent for longer does not flow: cameras send a picture a second at the least
CLOCK_STEP_S: Final = 0.01  # sums of monotonic seconds differ in their last digits

_OF_A_TRANSPORT: Final = frozenset(
    {Reason.RTSP_TRANSPORT, Reason.MEDIA_NO_DATA, Reason.MEDIA_NO_KEYFRAME, Reason.OURS_OVERLOAD}
)
_Key = int  # twice the camera, and one more for its main stream: tuples of enums cost more than all that is asked


class Memory:
    """Of at most MAX_MEMORIES streams; those that were not looked at for the longest time are forgotten first."""

    def __init__(self, keyframe_s: float, keyframe_most_s: float) -> None:
        """Seconds of waiting for a keyframe: of a camera that nothing is known of, and of any."""
        self._first_s = keyframe_s
        self._fingerprints: OrderedDict[_Key, bytes] = OrderedDict()
        self._by_udp: OrderedDict[_Key, None] = OrderedDict()  # whose pictures came that way; all others: TCP first
        self._warm: OrderedDict[_Key, Kept] = OrderedDict()
        self._patience: Patience[_Key] = Patience(keyframe_s, keyframe_most_s, MAX_MEMORIES)
        self._nothing_known: Patience[_Key] = Patience(keyframe_s, keyframe_most_s, 0)
        self._short: dict[tuple[int, int, bool], Grant] = {}  # of cameras whose keyframes come soon, as of most
        self.lockout = Lockout()

    def fingerprint(self, ticket: Ticket) -> bytes | None:
        """Of the last picture that was decoded."""
        return self._fingerprints.get(_key(ticket))

    def remember_fingerprint(self, ticket: Ticket, fingerprint: bytes) -> None:
        """Of the picture that was decoded now."""
        self._fingerprints[_key(ticket)] = fingerprint
        _bound(self._fingerprints, _key(ticket))

    def transport(self, ticket: Ticket) -> Transport:
        """Which one to ask for first."""
        return Transport.UDP if _key(ticket) in self._by_udp else Transport.TCP

    def warm(self, ticket: Ticket, now: float) -> Warm | None:
        """What a look that begins `now` may skip; None: the full conversation is due."""
        kept = self._warm.get(_key(ticket))
        return None if kept is None else kept.usable(now)

    def remember(self, ticket: Ticket, heard: Heard, now: float, depth: Depth) -> None:
        """What a conversation of that depth showed that ended at `now` (seconds, monotonic)."""
        if not sends_password(ticket, depth):
            return  # and asks for no media
        key = _key(ticket)
        self._remember_transport(key, heard)
        if depth is not Depth.REACH:
            self._remember_warm(key, heard, now)
        account = account_of(ticket)
        if account is not None:
            if heard.let_in:
                self.lockout.let_in(account, ticket.camera)
            elif heard.let_in is not None:
                self.lockout.refused(account, ticket.camera, now)
            elif heard.media_flowed:
                self.lockout.not_asked(account)
        if heard.keyframe_wait_s is None:
            return
        if heard.keyframe is not None:
            self._patience.came(key, heard.keyframe_wait_s)
        elif _no_keyframe(heard) and not heard.packets_lost:  # else it may have come, and been lost on the way
            self._patience.gave_up(key, max(0.0, heard.keyframe_wait_s - heard.silent_s))

    def grant(self, ticket: Ticket, refused: str, room: int | None) -> Grant:
        """What the next look may take; `refused` and `room` as in `patience.grant`."""
        usual = self.usual(ticket) if room is None else None
        return usual or self._grant(ticket, refused, room)

    def usual(self, ticket: Ticket) -> Grant | None:
        """What a look may take whose camera's keyframes come soon, as of most, and whose line counts no bits; else
        None. Nobody who waits for what it holds is a reason to refuse that."""
        known = self._patience.short(_key(ticket), ticket.deadline_ms / 1000)
        if known is None:
            return None
        kind = ticket.deadline_ms, ticket.patience_ms, known
        granted = self._short.get(kind)
        if granted is None:
            if len(self._short) >= MAX_SHORT:
                self._short.clear()
            granted = self._short[kind] = self._grant(ticket, "", None)
        return granted

    def _grant(self, ticket: Ticket, refused: str, room: int | None) -> Grant:
        deadline_s = ticket.deadline_ms / 1000
        wait, first = (memory.wait(_key(ticket), deadline_s) for memory in (self._patience, self._nothing_known))
        return grant(wait, first, deadline_s, ticket.patience_ms / 1000, refused, room)

    def waited(self, ticket: Ticket, heard: Heard, granted: Grant) -> str:
        """For a person: how long a keyframe was waited for, where that is more than most cameras ever need; or ""."""
        came = heard.keyframe is not None
        if (came and heard.keyframe_wait_s is None) or not (came or _no_keyframe(heard)):
            return ""
        may_s = self._patience.may_s(_key(ticket))
        if came:
            if may_s <= min(self._first_s, KEYFRAME_S):
                return ""
            return f"first keyframe after {heard.keyframe_wait_s:.1f} s; this camera may take {may_s:.0f} s"
        if granted.refused:
            return granted.refused
        if granted.line_bound and heard.media_bytes > granted.media_bytes:
            return f"the budget of line {ticket.line} (limits.per_line_kbps) left no more"
        return f"the next look waits {may_s:.0f} s" if may_s > granted.keyframe_s else ""

    def _remember_warm(self, key: _Key, heard: Heard, now: float) -> None:
        before = self._warm.get(key)
        kept = keep(before, heard.warm, held=heard.warm_held, worked=heard.keyframe is not None, now=now)
        if kept is None:
            self._warm.pop(key, None)
            return
        if kept is not before:
            self._warm[key] = kept
        _bound(self._warm, key)

    def _remember_transport(self, key: _Key, heard: Heard) -> None:
        """The transport that worked is asked for first the next time; one that failed is not preferred any more.

        A look that never came to media says nothing about it: a wrong password is no reason to start with TCP again.
        """
        if heard.keyframe is not None and heard.transport == Transport.UDP:
            self._by_udp[key] = None
            _bound(self._by_udp, key)
        elif heard.keyframe is not None or (heard.failure is not None and heard.failure.reason in _OF_A_TRANSPORT):
            self._by_udp.pop(key, None)


def sends_password(ticket: Ticket, depth: Depth) -> bool:
    """Whether a look may: OPTIONS goes without one, but a tunnel is not opened without."""
    return depth is not Depth.REACH or ticket.transport is Transport.HTTP


def waited_out(heard: Heard, granted: Grant) -> bool:
    """Whether a missing keyframe is the camera's own: it was waited long enough, media flowed to the end of it, and
    nothing was lost on the way."""
    waited_s = heard.keyframe_wait_s
    if waited_s is None or not _no_keyframe(heard) or heard.packets_lost or heard.silent_s > FLOWS_S:
        return False
    return waited_s >= granted.need_s - CLOCK_STEP_S


def _no_keyframe(heard: Heard) -> bool:
    return heard.failure is not None and heard.failure.reason is Reason.MEDIA_NO_KEYFRAME


def _key(ticket: Ticket) -> _Key:
    return ticket.camera << 1 | (ticket.stream is StreamKind.MAIN)


def _bound(memories: OrderedDict[_Key, Any], newest: _Key) -> None:
    memories.move_to_end(newest)
    while len(memories) > MAX_MEMORIES:
        memories.popitem(last=False)
