"""Turns and budgets come back however a look ends, and what nobody uses takes no memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@contextlib.asynccontextmanager
async def through(gate: Gate, key: str) -> AsyncIterator[None]:
    """A place for as long as the block lasts, as looks take it."""
    if not gate.enter(key):
        await gate.wait(key)
    try:
        yield
    finally:
        gate.leave(key)


async def test_a_place_that_was_handed_over_to_a_cancelled_look_goes_on() -> None:
    """Cancelled between being let in and its next turn of the loop: the one behind it has the place."""
    gate = Gate(1)
    assert gate.enter("a")
    first, second = (asyncio.create_task(gate.wait("a")) for _ in range(2))
    await asyncio.sleep(0)
    gate.leave("a")
    await cancelled(first)
    async with asyncio.timeout(1):
        await second
    gate.leave("a")
    assert (gate._taken, gate._waiting) == ({}, {})


async def test_places_come_back_from_looks_that_were_cancelled() -> None:
    """One within, two before the gate, all cancelled in any order: the next one is let in, and nothing is kept."""
    gate = Gate(1)
    inside: list[int] = []

    async def look(number: int) -> None:
        async with through(gate, "192.0.2.7"):
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
    async with asyncio.timeout(1), through(gate, "192.0.2.7"):
        assert not gate.crowded("192.0.2.7")
    assert (gate._taken, gate._waiting) == ({}, {})


class Semaphores:
    """The gate as asyncio's semaphores make it: the oracle."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._gates: dict[str, tuple[asyncio.Semaphore, int]] = {}

    def crowded(self, key: str) -> bool:
        return self._gates.get(key, (None, 0))[1] > self._limit

    @contextlib.asynccontextmanager
    async def through(self, key: str) -> AsyncIterator[None]:
        semaphore, users = self._gates.get(key, (asyncio.Semaphore(self._limit), 0))
        self._gates[key] = (semaphore, users + 1)
        try:
            async with semaphore:
                yield
        finally:
            _, users = self._gates[key]
            self._gates[key] = (semaphore, users - 1)
            if users == 1:
                del self._gates[key]


DOINGS = st.lists(
    st.tuples(st.sampled_from(["come", "go", "cancel"]), st.integers(0, 5), st.sampled_from([0, 1, 2, 5])), max_size=30
)


@given(st.integers(1, 3), DOINGS)
def test_a_gate_lets_in_as_a_semaphore_does(limit: int, doings: list[tuple[str, int, int]]) -> None:
    """Whoever comes, goes or is cancelled in whatever order, also before they had a turn of the loop: the same are
    within at every moment, in the same order, and it is as crowded."""

    async def story(
        take: Callable[[str], contextlib.AbstractAsyncContextManager[None]], crowded: object
    ) -> list[object]:
        assert callable(crowded)
        told: list[object] = []
        tasks: dict[int, tuple[asyncio.Task[None], asyncio.Event]] = {}

        async def look(number: int, may_go: asyncio.Event) -> None:
            async with take("ab"[number % 2]):
                told.append(("in", number))
                await may_go.wait()
            told.append(("out", number))

        for what, number, turns in doings:
            task, may_go = tasks.get(number, (None, asyncio.Event()))
            if what == "come" and (task is None or task.done()):
                tasks[number] = asyncio.create_task(look(number, may_go := asyncio.Event())), may_go
            elif what == "go":
                may_go.set()
            elif what == "cancel" and task is not None:
                task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
            if turns == 5:
                told.append((crowded("a"), crowded("b")))
        for task, _ in tasks.values():
            task.cancel()
        await asyncio.gather(*(task for task, _ in tasks.values()), return_exceptions=True)
        return told

    async def both() -> None:
        gate, oracle = Gate(limit), Semaphores(limit)
        expected = await story(oracle.through, oracle.crowded)
        assert await story(lambda key: through(gate, key), gate.crowded) == expected
        assert (gate._taken, gate._waiting) == ({}, {})

    asyncio.run(both())


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


async def test_what_a_watched_session_receives_leaves_less_room_on_its_line() -> None:
    """Also before any look came by; a line whose bits are not counted stays so."""
    lines = Lines(SystemClock())
    lines.spend(ticket(), 100_000)
    room = lines.room(ticket(), 0.0)
    assert room is not None and 150_000 <= room < 200_000
    lines.spend(ticket(), 600_000)
    assert lines.room(ticket(), 0.0) == 0
    uncounted = msgspec.structs.replace(ticket(), line=None)
    lines.spend(uncounted, 600_000)
    assert lines.room(uncounted, 1.0) is None


async def test_lines_that_only_watched_sessions_use_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full budgets are dropped beyond the cap, as with looks."""
    monkeypatch.setattr(gates, "MAX_LINES", 3)
    lines = Lines(SystemClock())
    for number in range(20):
        lines.spend(ticket(f"L{number}"), 0)
    assert len(lines._budgets) <= 3
