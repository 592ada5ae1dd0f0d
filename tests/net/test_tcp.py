"""Dials end: with a connection, at their deadline, or where their look is called off."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from streamwatch.errors import LookError, Reason, Step
from streamwatch.net.address import Guard, Target
from streamwatch.net.tcp import dial


@pytest.fixture
def deaf() -> Iterator[Target]:
    """A place whose queue is full: the kernel answers no further SYN."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield Target("127.0.0.1", listening.getsockname()[1])


async def test_a_deadline_ends_a_dial_and_nothing_else(deaf: Target) -> None:
    """net.timeout with its seconds; the look's task goes on, and is not called off."""
    for _ in range(2):
        with pytest.raises(LookError, match=r"did not answer a connection within 0\.02 s") as caught:
            await dial(deaf, asyncio.Protocol, guard=Guard(), timeout_s=0.02)
    assert (caught.value.reason, caught.value.step) == (Reason.NET_TIMEOUT, Step.CONNECT)
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0


@pytest.mark.parametrize("timeout_s", [0.0, 5.0])
async def test_a_look_that_is_called_off_is_no_timeout(deaf: Target, timeout_s: float) -> None:
    """Whoever cancels a look that dials gets a cancelled look, also where the deadline falls in the same moment."""
    task = asyncio.create_task(dial(deaf, asyncio.Protocol, guard=Guard(), timeout_s=timeout_s))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_deadline_that_was_kept_does_not_fall() -> None:
    """A dial that came through leaves nothing behind that ends its task later."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await dial(Target("127.0.0.1", listening.getsockname()[1]), asyncio.Protocol, guard=Guard(), timeout_s=0.05)
        await asyncio.sleep(0.1)
