"""Canaries asked over real sockets."""

from __future__ import annotations

import asyncio
import socket

from streamwatch.clock import SystemClock
from streamwatch.net.canary import Canaries


async def test_accepted_and_refused_are_answers_and_silence_is_none() -> None:
    """A listener and a closed port both show that the path works; a full backlog does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as there, socket.create_server(("127.0.0.1", 0)) as gone:
        closed = gone.getsockname()[1]
        gone.close()
        dead = socket.create_server(("127.0.0.1", 0), backlog=0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(dead.getsockname())
        clock = SystemClock()
        targets = (
            ("open", "127.0.0.1", there.getsockname()[1]),
            ("closed", "127.0.0.1", closed),
            ("dead", "127.0.0.1", dead.getsockname()[1]),
        )
        canaries = Canaries(targets, clock, 60)
        assert canaries.latest == ()

        first, second = await asyncio.gather(canaries.fresh(clock.monotonic()), canaries.fresh(clock.monotonic()))
        for one in (dead, *fillers):
            one.close()

    assert {one.name: one.up for one in first} == {"open": True, "closed": True, "dead": False}
    assert first == second, "callers share one check"
    assert await canaries.fresh(0.0) == first, "a check that is fresh enough is not repeated"


async def test_no_canaries_are_no_answer_and_take_no_time() -> None:
    """Without targets nothing is ever known, and nobody waits."""
    clock = SystemClock()

    assert await Canaries((), clock, 60).fresh(clock.monotonic()) == ()
