"""Turns and budgets come back however a look ends, and what nobody uses takes no memory."""

from __future__ import annotations

import asyncio

import pytest

from streamwatch import gates
from streamwatch.clock import SystemClock
from streamwatch.gates import Gate, Lines
from streamwatch.linebudget import RESERVE_BYTES
from streamwatch.model.look import StreamKind
from streamwatch.model.report import Ticket


def ticket(line: str = "L1", kbps: int = 1_000) -> Ticket:
    return Ticket(
        camera=1,
        url="rtsp://192.0.2.7/1",
        stream=StreamKind.MAIN,
        offset_ms=0,
        deadline_ms=20_000,
        host="192.0.2.7",
        line=line,
        line_kbps=kbps,
    )


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_places_come_back_from_looks_that_were_cancelled() -> None:
    """One within, two before the gate, all cancelled in any order: the next one is let in, and nothing is kept."""
    gate = Gate(1)
    inside: list[int] = []

    async def look(number: int) -> None:
        async with gate.through("192.0.2.7"):
            inside.append(number)
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(look(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert (inside, gate.crowded("192.0.2.7")) == ([0], True)
    await cancelled(tasks[1])
    await cancelled(tasks[0])
    await asyncio.sleep(0)
    assert inside == [0, 2]
    tasks[2].cancel()
    await cancelled(tasks[3])
    await asyncio.gather(tasks[2], return_exceptions=True)
    assert not gate.crowded("192.0.2.7")
    async with asyncio.timeout(1), gate.through("192.0.2.7"):
        assert not gate.crowded("192.0.2.7")
    assert gate._gates == {}


async def test_a_turn_that_is_cancelled_while_it_is_waited_for_is_given_back() -> None:
    """Its share was taken in advance; afterwards the line has as much room as without it."""
    lines = Lines(SystemClock())
    assert await lines.turn(ticket())
    lines.settle(ticket(), 1_000_000)  # six seconds of debt
    waiting: asyncio.Task[object] = asyncio.create_task(lines.turn(ticket()))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await cancelled(waiting)
    room = lines.room(ticket(), 8.0)
    assert room == 0, "still in debt"
    budget = lines._budgets["L1", 1_000]
    assert -1_000_000 + RESERVE_BYTES - 1 < budget._level < 0
    assert budget._under_way == 0


async def test_lines_are_bounded_and_those_with_looks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the cap full budgets are dropped; one that a look is charged to stays, and is settled."""
    monkeypatch.setattr(gates, "MAX_LINES", 3)
    lines = Lines(SystemClock())
    assert await lines.turn(ticket("under way"))
    for number in range(20):
        assert await lines.turn(ticket(f"L{number}"))
        lines.settle(ticket(f"L{number}"), 0)
    assert len(lines._budgets) <= 3
    assert ("under way", 1_000) in lines._budgets
    lines.settle(ticket("under way"), 0)
    assert lines.room(ticket("under way"), 0.0) is not None
