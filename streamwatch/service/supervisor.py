"""Tells the supervisor that started us how far we are: sd_notify(3)'s protocol, one datagram of KEY=VALUE lines.

Without NOTIFY_SOCKET in the environment nothing happens, so everything may call it. No answer is expected, and whatever
goes wrong is let go: a supervisor that does not listen must not end the service.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "NOTIFY_SOCKET"


def notify(environ: Mapping[str, str], *lines: str) -> None:
    """Sends `lines` such as READY=1, STOPPING=1, RELOADING=1 with MONOTONIC_USEC=…, or STATUS=a sentence."""
    address = environ.get(VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    where = "\0" + address[1:] if address.startswith("@") else address  # @: a name of the abstract namespace
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0)  # a full queue is the supervisor's trouble
        sock.sendto("\n".join(lines).encode(), where)
