"""TCP to devices: one place where the operating system's errors become reasons."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Final, TypeVar

from streamwatch.errors import LookError, Reason, Step
from streamwatch.net.address import Address, Guard, Target, resolve

P = TypeVar("P", bound=asyncio.BaseProtocol)

_REASONS: Final[dict[int, Reason]] = {
    errno.ECONNREFUSED: Reason.NET_REFUSED,
    errno.ECONNRESET: Reason.NET_RESET,
    errno.EPIPE: Reason.NET_RESET,
    errno.ECONNABORTED: Reason.NET_RESET,
    errno.ETIMEDOUT: Reason.NET_TIMEOUT,
    errno.EHOSTUNREACH: Reason.NET_UNREACHABLE,
    errno.ENETUNREACH: Reason.NET_UNREACHABLE,
    errno.EHOSTDOWN: Reason.NET_UNREACHABLE,
    errno.ENETDOWN: Reason.OURS_PATH,  # our own interface is down
    errno.EMFILE: Reason.OURS_LIMIT,
    errno.ENFILE: Reason.OURS_LIMIT,
    errno.ENOBUFS: Reason.OURS_LIMIT,
    errno.ENOMEM: Reason.OURS_MEMORY,
    errno.EADDRNOTAVAIL: Reason.OURS_LIMIT,  # no local port is left
    errno.EACCES: Reason.OURS_PATH,  # a firewall of our own machine
    errno.EPERM: Reason.OURS_PATH,
}


def failure_of(error: OSError, step: Step) -> LookError:
    """An operating system error as a LookError; one that we do not know is ours, never the camera's."""
    reason = _REASONS.get(error.errno or 0, Reason.OURS_PATH)
    return LookError(reason, error.strerror or str(error) or type(error).__name__, step=step)


def unanswered(host: str, port: int, timeout_s: float) -> LookError:
    """Nobody answered a connection for so long."""
    detail = f"{host}:{port} did not answer a connection within {timeout_s:.3g} s"
    return LookError(Reason.NET_TIMEOUT, detail, step=Step.CONNECT)


async def dial(target: Target, factory: Callable[[], P], *, guard: Guard, timeout_s: float) -> P:
    """A connected protocol within `timeout_s`, name look-up included. Raises LookError with step connect."""
    loop = asyncio.get_running_loop()
    address: Address | None = guard.known(target)
    deadline = _Deadline(loop, timeout_s)
    try:
        if address is None:
            address = await resolve(target, guard)
        _, protocol = await loop.create_connection(factory, address.ip, address.port, family=address.family)
    except asyncio.CancelledError:
        if not deadline.fell():
            raise
        if address is None:
            detail = f"the name {target.host!r} was not resolved within {timeout_s:.3g} s"
            raise LookError(Reason.NET_NAME, detail, step=Step.CONNECT) from None
        raise unanswered(target.host, target.port, timeout_s) from None
    except OSError as error:
        raise failure_of(error, Step.CONNECT) from None
    finally:
        deadline.end()
    return protocol


class _Deadline:
    """Cancels the task that made it after so many seconds: `asyncio.timeout` for what is done in every look."""

    __slots__ = ("_before", "_fell", "_task", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._task = task = asyncio.current_task(loop)
        self._before = 0 if task is None else task.cancelling()
        self._fell = False
        self._timer = loop.call_later(seconds, self._fall)

    def _fall(self) -> None:
        if self._task is not None:
            self._fell = True
            self._task.cancel()

    def fell(self) -> bool:
        """Whether the cancellation that came was ours alone, and ends here."""
        return self._fell and self._task is not None and self._task.uncancel() <= self._before

    def end(self) -> None:
        """What it was for is over."""
        self._timer.cancel()
