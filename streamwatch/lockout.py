"""Stage 3's care for accounts: a password that a device refused for one camera is not tried for its others. Pure.

A recorder's cameras share its account, and Hikvision's locks an account after five wrong answers: thirty-two channels
with one wrong password would lock it within a round, for the operators as well. So the first camera that was refused
goes on alone, in the planner's ever rarer rhythm; the others ask without a password until it is let in.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from streamwatch.errors import UsageError
from streamwatch.model.report import Ticket
from streamwatch.wire.url import Origin, parse_address

MAX_ACCOUNTS: Final = 200_000  # 200 bytes each; those not heard of for the longest time are forgotten first
ALONE_S: Final = 1800.0  # then another asks, as the one may be gone: Hikvision's lock lasts half an hour


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
    camera: int  # the one that goes on asking
    until: float


class Lockout:
    """What is known of accounts. Times in seconds, monotonic."""

    def __init__(self) -> None:
        self._known: OrderedDict[Account, _Refusal | None] = OrderedDict()  # None: it was let in

    def is_proven(self, account: Account | None) -> bool:
        """Whether any number of cameras may log in at the same time: the last that tried was let in, or none has to."""
        return account is None or self._known.get(account, _UNKNOWN) is None

    def withholds(self, account: Account | None, camera: int, now: float) -> bool:
        """Whether that camera's look must not send its password."""
        refusal = self._known.get(account) if account is not None else None
        if refusal is None or camera == refusal.camera:
            return False
        return now < refusal.until

    def refused(self, account: Account, camera: int, now: float) -> None:
        """A password was sent for that camera, and refused. Whoever asked in its place goes on in its place."""
        refusal = self._known.get(account)
        if refusal is None or refusal.camera == camera or now >= refusal.until:
            self._keep(account, _Refusal(camera, now + ALONE_S))

    def let_in(self, account: Account) -> None:
        """A password was sent, and taken."""
        self._keep(account, None)

    def _keep(self, account: Account, what: _Refusal | None) -> None:
        self._known[account] = what
        self._known.move_to_end(account)
        while len(self._known) > MAX_ACCOUNTS:
            self._known.popitem(last=False)


_UNKNOWN: Final = _Refusal(0, 0.0)
