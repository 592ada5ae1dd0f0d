"""Stage 3's care for accounts: a password that a device refused for one camera is not tried for its others. Pure.

A recorder's cameras share its account, and Hikvision's locks an account after five wrong answers: thirty-two channels
with one wrong password would lock it within a round, for the operators as well. So the first camera that was refused
goes on alone, in the planner's ever rarer rhythm; the others ask without a password until it is let in.

Some devices answer 401 for a channel that the user may not see. So where the password is known to be right, one
camera's refusal is doubt only. If the next camera is let in, the refusal is that one camera's own and says nothing of
others; if that is refused as well, nobody asks for half an hour.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from streamwatch.errors import UsageError
from streamwatch.model.report import Ticket
from streamwatch.wire.url import Origin, parse_address

MAX_ACCOUNTS: Final = 200_000  # 200 bytes each; those not heard of for the longest time are forgotten first
ALONE_S: Final = 1800.0  # then another asks, as the one may be gone: Hikvision's lock lasts half an hour
TURN_S: Final = 7200.0  # then another asks, although the one still does: the refusal may be of its channel only
MAX_OWN: Final = 256  # cameras of an account that are refused by themselves: the channels of a large recorder


class Account(NamedTuple):
    """A user at a device. The password is in it as Python's salted hash only: enough to see that it was changed."""

    origin: Origin
    username: str
    password: int


def account_of(ticket: Ticket) -> Account | None:
    """Whom a ticket logs in as; None where it brings no credentials, or no address that anybody could be asked at."""
    given = ticket.credentials
    if given is None:
        return None
    try:
        origin = parse_address(ticket.url).origin
    except UsageError:
        return None  # such a look ends before it begins, and must not end those beside it
    return Account(origin, given.username, hash(given.password))


class _Refusal(NamedTuple):
    """Others wait until `until`. Where that is `since` there is doubt only: the account had let others in."""

    camera: int | None  # the one that goes on asking, if any does
    since: float
    until: float
    refused: frozenset[int]  # all that were, and had not been let in by then

    @property
    def is_doubt(self) -> bool:
        return self.until == self.since


_LetIn = frozenset[int]  # those cameras that are refused all the same


class Lockout:
    """What is known of accounts. Times in seconds, monotonic."""

    def __init__(self) -> None:
        self._known: OrderedDict[Account, _Refusal | _LetIn] = OrderedDict()

    def is_proven(self, account: Account | None) -> bool:
        """Whether any number of cameras may log in at the same time: the last that tried was let in, or none had to."""
        return account is None or isinstance(self._known.get(account), frozenset)

    def withholds(self, account: Account | None, camera: int, now: float) -> bool:
        """Whether that camera's look must not send its password."""
        known = self._known.get(account) if account is not None else None
        return isinstance(known, _Refusal) and camera != known.camera and now < known.until

    def refused(self, account: Account, camera: int, now: float) -> None:
        """A password was sent for that camera, and refused. Whoever asked in its place goes on in its place."""
        known = self._known.get(account)
        if known is None:
            self._keep(account, _Refusal(camera, now, now + ALONE_S, frozenset((camera,))))
        elif isinstance(known, frozenset):
            if camera not in known:
                self._keep(account, _Refusal(camera, now, now, _with(known, camera)))
        elif known.is_doubt:
            if camera not in known.refused:
                self._keep(account, _Refusal(None, now, now + ALONE_S, _with(known.refused, camera)))
        elif now >= known.until:
            self._keep(account, _Refusal(camera, now, now + ALONE_S, _with(known.refused, camera)))
        elif camera == known.camera:
            until = max(known.until, min(now + ALONE_S, known.since + TURN_S))
            self._keep(account, known._replace(until=until))

    def let_in(self, account: Account, camera: int) -> None:
        """A password was sent for that camera, and taken: where others were refused, that was not for the password."""
        known = self._known.get(account, frozenset())
        refused = known.refused if isinstance(known, _Refusal) else known
        self._keep(account, refused - {camera})

    def not_asked(self, account: Account) -> None:
        """Pictures came, and no password was asked for: as good as let in, where nothing else is known."""
        if account not in self._known:
            self._keep(account, frozenset())

    def _keep(self, account: Account, what: _Refusal | _LetIn) -> None:
        self._known[account] = what
        self._known.move_to_end(account)
        while len(self._known) > MAX_ACCOUNTS:
            self._known.popitem(last=False)


def _with(cameras: frozenset[int], camera: int) -> frozenset[int]:
    return cameras | {camera} if len(cameras) < MAX_OWN else cameras
