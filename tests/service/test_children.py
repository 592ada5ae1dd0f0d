"""The service's children as processes."""

from __future__ import annotations

import os

from streamwatch.service.children import spawn


async def test_ctrl_c_on_a_terminal_does_not_reach_children() -> None:
    """A child has a session of its own: the terminal's SIGINT is for the service, which ends it in order."""
    child = await spawn(["--version"], environ=os.environ)
    try:
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
    finally:
        await child.wait()
