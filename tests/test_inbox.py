"""Looks of one round as they come in."""

from __future__ import annotations

import asyncio
import time

import pytest

from streamwatch import inbox as inbox_module
from streamwatch.inbox import Inbox
from streamwatch.model.look import Depth, Look, StreamKind


def look(camera: int) -> Look:
    return Look(camera=camera, depth=Depth.REACH, stream=StreamKind.SUB, started_us=1, duration_us=1, vantage="here")


async def after(seconds: float, camera: int) -> Look:
    await asyncio.sleep(seconds)
    return look(camera)


async def test_a_wait_ends_with_the_last_look_and_what_came_is_taken_once() -> None:
    """In the order of their ends; then none is under way."""
    inbox = Inbox()
    for camera in range(3):
        inbox.start(after(0.03 * (3 - camera), camera))
    while inbox.under_way:
        await inbox.wait(None, time.monotonic())
        assert not inbox.is_ready(time.monotonic())

    assert [one.camera for one in inbox.take()] == [2, 1, 0]
    assert inbox.take() == ()


async def test_a_look_that_is_under_way_when_others_are_taken_is_not_lost() -> None:
    """It comes with the next ones."""
    inbox = Inbox()
    inbox.start(after(0.05, 2))
    inbox.start(after(0, 1))
    await inbox.wait(None, time.monotonic())
    assert [one.camera for one in inbox.take()] == [1]
    await inbox.wait(None, time.monotonic())
    assert [one.camera for one in inbox.take()] == [2]


async def test_looks_wait_no_longer_for_company_than_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that came in is ready at the next multiple of FLUSH_S, as those of all rounds are, also while one goes on;
    or at once among enough."""
    monkeypatch.setattr(inbox_module, "FLUSH_S", 0.05)
    monkeypatch.setattr(inbox_module, "FLUSH_LOOKS", 3)
    inbox = Inbox()
    inbox.start(after(60, 9))
    inbox.start(after(0, 1))
    begun = time.monotonic()
    while not inbox.is_ready(time.monotonic()):
        await inbox.wait(None, time.monotonic())
    assert time.monotonic() // 0.05 > begun // 0.05
    assert time.monotonic() - begun < 30
    assert [one.camera for one in inbox.take()] == [1]
    for camera in range(3):
        inbox.start(after(0, camera))
    await inbox.wait(None, time.monotonic())
    while len(inbox.looks) < 3:
        await asyncio.sleep(0)
    assert inbox.is_ready(float("-inf"))
    inbox.cancel()


async def test_a_wait_ends_when_the_next_look_is_due_and_with_a_defect() -> None:
    """The moment that was asked for; and what a look raised is raised to whoever waits."""

    async def broken() -> Look:
        raise RuntimeError("ours")

    inbox = Inbox()
    inbox.start(after(60, 1))
    async with asyncio.timeout(30):
        await inbox.wait(time.monotonic() + 0.01, time.monotonic())
    inbox.check()
    inbox.start(broken())
    async with asyncio.timeout(30):
        await inbox.wait(None, time.monotonic())
    with pytest.raises(RuntimeError, match="ours"):
        inbox.check()
    inbox.cancel()
