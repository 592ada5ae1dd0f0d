"""Stage 3, wire: which transports one look asks for, in which order, and what it means when they failed."""

from __future__ import annotations

from typing import Final

from streamwatch.errors import LookFailure, Reason, Step
from streamwatch.model.look import Transport

_STEPS: Final = list(Step)  # in their order


class Attempts:
    """The transport in use, and the one that was given up. Pinned to tcp or udp there is no second one."""

    __slots__ = ("_given_up", "_other", "current", "pinned")

    def __init__(self, wanted: Transport, prefer: Transport) -> None:
        self.pinned = wanted is not Transport.AUTO
        first = wanted if self.pinned else prefer
        self.current = Transport.UDP if first is Transport.UDP else Transport.TCP
        other = Transport.TCP if self.current is Transport.UDP else Transport.UDP
        self._other = None if self.pinned else other
        self._given_up: tuple[Transport, LookFailure] | None = None

    @property
    def another(self) -> bool:
        """Whether there is one that was not tried yet."""
        return self._other is not None

    def give_up(self, failure: LookFailure) -> None:
        """The present one failed, and the other becomes it, where there is `another`."""
        if self._other is not None:
            self._given_up = self.current, failure
            self.current, self._other = self._other, None

    def keep_to_tcp(self) -> None:
        """From here on the connection is by TLS: pictures by UDP would be in the clear."""
        self.current, self._other = Transport.TCP, None

    def verdict(self, failure: LookFailure) -> LookFailure:
        """The look's failure, when the present transport failed as well: the attempt that got further tells the reason.

        A device that accepted TCP and stayed silent is silent, also where it then refuses UDP, or refuses to be
        connected to again because it still holds our first session. What was our own doing stays ours, also where it
        kept us from the only transport that the device does.
        """
        if self._given_up is None:
            return failure
        before, earlier = self._given_up
        further = _STEPS.index(earlier.step) > _STEPS.index(failure.step)
        kept_from = failure.reason is Reason.RTSP_TRANSPORT and earlier.reason.startswith("ours.")
        decides = earlier if (further or kept_from) and not failure.reason.startswith("ours.") else failure
        detail = f"over {before.upper()}: {earlier.detail}; over {self.current.upper()}: {failure.detail}"
        return LookFailure(decides.reason, decides.step, detail)
