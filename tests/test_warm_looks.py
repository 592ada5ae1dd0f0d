"""What a looker remembers of a camera lets its next look begin with SETUP; who may not profit from it, and how long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from streamwatch import memory as memory_module
from streamwatch.clock import SystemClock
from streamwatch.decoders.pool import DecoderPool
from streamwatch.health import LoopLag
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.model.report import Credentials, Ticket
from streamwatch.net.address import Guard
from streamwatch.net.canary import Canaries
from streamwatch.simulator.farm import Farm, FarmPlan
from streamwatch.wire.transcript import Recorder
from streamwatch.wire.warm import COLD_EVERY_S

CACHE = Path(__file__).resolve().parents[1] / ".run" / "farm-cache"


class Own(SystemClock):
    """The machine's clock, and what a test adds to it."""

    later_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.later_s


@pytest.fixture
async def tickets() -> AsyncIterator[list[Ticket]]:
    farm = Farm(FarmPlan(villages=1, cameras=3, bind="127.9.8.0/24", cache_dir=CACHE))
    await farm.start()
    yield [
        Ticket(
            camera=number,
            url=camera.sub_url,
            stream=StreamKind.SUB,
            offset_ms=0,
            deadline_ms=5000,
            host=camera.address,
            credentials=Credentials(camera.username, camera.password),
        )
        for number, camera in enumerate(farm.cameras)
    ]
    await farm.aclose()


@pytest.fixture
def clock() -> Own:
    return Own()


@pytest.fixture
def who(clock: Own) -> Looker:
    return Looker(
        "here",
        pool=DecoderPool(workers=1),
        clock=clock,
        policy=LookerPolicy(),
        guard=Guard(),
        canaries=Canaries((), clock, 60),
        lag=LoopLag(clock),
    )


def told(look: Look) -> tuple[bool, bool]:
    """Whether it went well, and whether it was warm."""
    return look.reason is None and look.keyframe_bytes is not None, look.warm


async def test_the_second_look_is_warm_and_once_an_hour_one_is_not(
    who: Looker, clock: Own, tickets: list[Ticket]
) -> None:
    """Its steps say so: no OPTIONS, no DESCRIBE; size and codec are told as before."""
    first = await who.look(tickets[0], Depth.STREAM)
    second = await who.look(tickets[0], Depth.STREAM)
    clock.later_s = COLD_EVERY_S
    third = await who.look(tickets[0], Depth.STREAM)
    fourth = await who.look(tickets[0], Depth.STREAM)

    assert [told(look) for look in (first, second, third, fourth)] == [
        (True, False), (True, True), (True, False), (True, True),
    ]  # fmt: skip
    assert "describe" in first.timings_ms
    assert not {"options", "describe"} & set(second.timings_ms)
    assert (second.codec, second.width, second.height) == (first.codec, first.width, first.height)


async def test_who_insists_or_tapes_or_asks_another_stream_gets_the_whole_conversation(
    who: Looker, clock: Own, tickets: list[Ticket]
) -> None:
    """A person, a recording, another address, another password: each begins at the beginning."""
    ticket = tickets[0]
    await who.look(ticket, Depth.STREAM)
    tape = Recorder(who.ask(ticket, Depth.STREAM), clock.utc_us(), clock.monotonic())
    looks = [
        await who.look(ticket, Depth.STREAM, insist=True),
        await who.look(ticket, Depth.STREAM, tape=tape),
        await who.look(msgspec.structs.replace(ticket, stream=StreamKind.MAIN), Depth.STREAM),
        await who.look(msgspec.structs.replace(ticket, url=tickets[1].url), Depth.STREAM),
        await who.look(msgspec.structs.replace(ticket, credentials=Credentials("admin", "other")), Depth.STREAM),
    ]

    assert [look.warm for look in looks] == [False] * 5
    assert looks[-1].reason is not None, "the right password was not remembered"


async def test_a_look_of_depth_reach_forgets_nothing(who: Looker, tickets: list[Ticket]) -> None:
    """It learns nothing, and the next stream look is warm all the same."""
    await who.look(tickets[0], Depth.STREAM)
    await who.look(tickets[0], Depth.REACH)

    assert told(await who.look(tickets[0], Depth.STREAM)) == (True, True)


async def test_what_is_learnt_is_bounded(who: Looker, tickets: list[Ticket], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the cap the camera that was not looked at for the longest time is forgotten."""
    monkeypatch.setattr(memory_module, "MAX_MEMORIES", 2)
    for number in (0, 1, 0, 2):
        await who.look(tickets[number], Depth.STREAM)

    assert [(await who.look(tickets[number], Depth.STREAM)).warm for number in (2, 0, 1)] == [True, True, False]
