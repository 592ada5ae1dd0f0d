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


async def dial(target: Target, factory: Callable[[], P], *, guard: Guard, timeout_s: float) -> P:
    """A connected protocol within `timeout_s`, name look-up included. Raises LookError with step connect."""
    loop = asyncio.get_running_loop()
    address: Address | None = guard.known(target)
    try:
        async with asyncio.timeout(timeout_s):
            if address is None:
                address = await resolve(target, guard)
            _, protocol = await loop.create_connection(factory, address.ip, address.port, family=address.family)
    except TimeoutError:
        if address is None:
            detail = f"the name {target.host!r} was not resolved within {timeout_s:.3g} s"
            raise LookError(Reason.NET_NAME, detail, step=Step.CONNECT) from None
        detail = f"{target.host}:{target.port} did not answer a connection within {timeout_s:.3g} s"
        raise LookError(Reason.NET_TIMEOUT, detail, step=Step.CONNECT) from None
    except OSError as error:
        raise failure_of(error, Step.CONNECT) from None
    return protocol
