"""Cameras that send a keyframe now and then, seen by the real looker over loopback; seconds are scaled down."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import msgspec
import pytest

from streamwatch import memory
from streamwatch.clock import SystemClock
from streamwatch.decoders.pool import DecoderPool
from streamwatch.errors import Reason
from streamwatch.health import LoopLag
from streamwatch.looker import Looker, LookerPolicy
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.model.report import Report, Round, Ticket
from streamwatch.net.address import Guard
from streamwatch.net.canary import Canaries
from tests.wire.camera import encode, frame, packetise, reply, rtp, sdp

KEY, INTER = encode(320, 240, pictures=2)
TICK_S = 0.02  # between two pictures
FIRST_S, MOST_S, DEADLINE_S = 0.2, 1.25, 0.5  # 10, 60 and 20


@contextlib.asynccontextmanager
async def smart_camera(
    keyframe_after_s: float | None, drops: int = 0, size: int = 200, stops_after_s: float = 60.0
) -> AsyncIterator[str]:
    """After PLAY it sends pictures of that size, and a keyframe after that time or never; `drops` packets are lost."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                text = (await reader.readuntil(b"\r\n\r\n")).decode()
                cseq = int(re.findall(r"CSeq: (\d+)", text)[0])
                method = text.split()[0]
                if method == "OPTIONS":
                    writer.write(reply(cseq, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"))
                elif method == "DESCRIBE":
                    writer.write(reply(cseq, body=sdp()))
                elif method == "SETUP":
                    interleaved = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
                    writer.write(reply(cseq, "200 OK", "Session: 9;timeout=60", interleaved))
                else:
                    writer.write(reply(cseq))
                if method == "PLAY":
                    serving.add(asyncio.create_task(play(writer)))

    async def play(writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        begun, sequence = loop.time(), 100
        with contextlib.suppress(OSError):
            while not writer.is_closing():
                if keyframe_after_s is not None and loop.time() - begun >= keyframe_after_s:
                    for packet in packetise([KEY], first=sequence):
                        writer.write(frame(packet))
                    return
                if loop.time() - begun >= stops_after_s:
                    return
                writer.write(frame(rtp((INTER[-1] + bytes(size))[:size], sequence, sequence * 3600, marker=True)))
                sequence += 1 if sequence > 100 else 1 + drops
                await asyncio.sleep(TICK_S)

    serving: set[asyncio.Task[None] | None] = set()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live"
    finally:
        server.close()
        ending = [task for task in serving if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


def looker(per_host: int = 4, most_s: float = MOST_S) -> Looker:
    clock = SystemClock()
    return Looker(
        "here",
        pool=DecoderPool(workers=1),
        clock=clock,
        policy=LookerPolicy(keyframe_s=FIRST_S, keyframe_most_s=most_s, per_host=per_host),
        guard=Guard(),
        canaries=Canaries((), clock, 60),
        lag=LoopLag(clock),
    )


def ticket_of(url: str, camera: int = 1, **changed: object) -> Ticket:
    ticket = Ticket(
        camera=camera,
        url=url,
        stream=StreamKind.SUB,
        offset_ms=0,
        deadline_ms=int(DEADLINE_S * 1000),
        host="127.0.0.1",
        patience_ms=int(MOST_S * 1000),
    )
    return msgspec.structs.replace(ticket, **changed)


async def looks_until_it_came(who: Looker, ticket: Ticket, most: int = 6) -> list[Look]:
    looks: list[Look] = []
    while len(looks) < most and (not looks or looks[-1].reason is not None):
        looks.append(await who.look(ticket, Depth.STREAM))
    return looks


async def round_of(who: Looker, *tickets: Ticket) -> dict[int, Look]:
    looks: list[Look] = []

    async def emit(report: Report) -> None:
        looks.extend(report.looks)

    now_us = SystemClock().utc_us()
    what = Round(id="r", village=1, depth=Depth.STREAM, due_us=now_us, window_ms=0, tickets=tickets)
    await who.work(what, emit)
    return {look.camera: look for look in looks}


async def test_a_camera_whose_keyframes_are_rare_is_waited_for_longer_each_time_until_one_comes() -> None:
    """At first it is given up, up in stream and unknown in picture; a later look has it, and says what it learnt."""
    async with smart_camera(0.6) as url:
        *failed, came = await looks_until_it_came(looker(), ticket_of(url))

    assert failed
    assert {look.reason for look in failed} == {Reason.MEDIA_NO_KEYFRAME}
    assert not any(look.waited_out for look in failed)
    assert all("; the next look waits" in look.detail for look in failed)
    assert came.reason is None
    assert re.fullmatch(r"first keyframe after \d\.\d s; this camera may take \d s", came.detail)


async def test_a_camera_without_keyframes_is_given_up_at_the_longest_wait_that_any_may_need() -> None:
    """Only such looks count against it, and none takes longer in all than the longest wait."""
    who = looker()
    async with smart_camera(None) as url:
        *early, _, last = [await who.look(ticket_of(url), Depth.STREAM) for _ in range(4)]

    looks = [*early, last]
    assert {look.reason for look in looks} == {Reason.MEDIA_NO_KEYFRAME}
    assert [look.waited_out for look in looks] == [False, False, True]
    assert all(look.duration_us <= (MOST_S + 1) * 1e6 for look in looks)
    assert all(look.media_flowed and look.media_bytes > 0 for look in looks)


async def test_what_was_lost_on_the_way_is_not_held_against_the_camera() -> None:
    """Its keyframe may have been among it: such a look does not count, and the next one waits no longer."""
    short = looker(most_s=FIRST_S)  # its first wait is as long as any camera may need
    async with smart_camera(None, drops=3) as url, smart_camera(None) as whole_url:
        counted = await short.look(ticket_of(whole_url), Depth.STREAM)
        lossy = await short.look(ticket_of(url, 2), Depth.STREAM)
        who = looker()
        looks = [await who.look(ticket_of(url, patience_ms=0), Depth.STREAM) for _ in range(2)]

    assert {look.reason for look in (counted, lossy, *looks)} == {Reason.MEDIA_NO_KEYFRAME}
    assert (counted.waited_out, lossy.waited_out) == (True, False)
    assert all("3 packets were lost" in look.detail and "next look" not in look.detail for look in looks)


async def test_media_that_stopped_is_not_waited_for_and_not_held_against_the_camera(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Flowing is what counts: as long as it did teaches the next wait, and the silence after it nothing."""
    monkeypatch.setattr(memory, "FLOWS_S", 0.1)
    short = looker(most_s=FIRST_S)
    async with smart_camera(None, stops_after_s=0.05) as url:
        look = await short.look(ticket_of(url), Depth.STREAM)
        again = await short.look(ticket_of(url), Depth.STREAM)

    assert (look.reason, look.waited_out, again.waited_out) == (Reason.MEDIA_NO_KEYFRAME, False, False)
    assert "next look" not in look.detail


async def test_a_full_line_keeps_a_camera_at_the_first_wait_and_is_named() -> None:
    """The budget of the line had no room for more: that is ours, and counts for nothing."""
    who = looker(per_host=8)
    async with smart_camera(None) as url:
        ticket = ticket_of(url, line="L1", line_kbps=4_000, offset_ms=50)  # a burst of 1 MB, a share of 262 KB
        first = (await round_of(who, ticket))[1]
        busy = [msgspec.structs.replace(ticket, camera=camera, offset_ms=0) for camera in (2, 3, 4, 5)]
        second = (await round_of(who, ticket, *busy))[1]

    assert "; the next look waits" in first.detail
    assert "the budget of line L1 (limits.per_line_kbps) had no room to wait longer" in second.detail
    assert not second.waited_out


async def test_a_look_that_gets_no_turn_on_its_line_in_time_is_ours() -> None:
    """The limit is an operator's: it says nothing of the camera, and names line and setting."""
    tickets = [ticket_of("rtsp://127.0.0.1:1/x", camera, line="L1", line_kbps=8) for camera in (1, 2, 3)]
    looks = await round_of(looker(), *tickets)

    assert sorted(str(look.reason) for look in looks.values()) == ["net.refused", "net.refused", "ours.limit"]
    (refused,) = (look for look in looks.values() if look.reason is Reason.OURS_LIMIT)
    assert refused.detail == "line L1: 8 kbit/s (limits.per_line_kbps) left no room for this look"


async def test_what_a_look_received_is_charged_to_its_line() -> None:
    """Half a megabyte on a line of a megabit a second: the next look would wait for seconds, and gets no turn."""
    who = looker()
    async with smart_camera(None, size=60_000) as url:
        ticket = ticket_of(url, line="L1", line_kbps=1_000)
        looks = [(await round_of(who, ticket))[1] for _ in range(2)]
        other = (await round_of(who, msgspec.structs.replace(ticket, line="L2")))[1]

    assert looks[0].media_bytes > 400_000
    assert [look.reason for look in looks] == [Reason.MEDIA_NO_KEYFRAME, Reason.OURS_LIMIT]
    assert other.reason is Reason.MEDIA_NO_KEYFRAME


async def test_nobody_is_waited_for_longer_while_others_wait_for_their_turn() -> None:
    """One address, one place: the patient look gives it up after the first wait."""
    who = looker(per_host=1)
    async with smart_camera(None) as url:
        await who.look(ticket_of(url), Depth.STREAM)
        before, behind = ticket_of(url, 2), ticket_of("rtsp://127.0.0.1:1/x", 3, offset_ms=100)
        looks = await round_of(who, before, ticket_of(url, offset_ms=50), behind)

    assert "others waited for their turn at its host or recorder" in looks[1].detail
    assert "the next look waits" in looks[2].detail, "it began before anybody waited"
    assert looks[3].reason is Reason.NET_REFUSED
