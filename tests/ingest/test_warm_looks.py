"""Warm looks over real sockets: at the simulated makers' cameras, and at cameras that have turned hostile since."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import uvloop
from msgspec.structs import replace

from benchmarks.cameras import FarmCamera, farm
from benchmarks.crowd import Target, hostile
from streamwatch.clock import SystemClock
from streamwatch.errors import Reason
from streamwatch.ingest.session import Heard, Limits, converse
from streamwatch.model.look import Depth, Transport
from streamwatch.net.address import Guard
from streamwatch.simulator.hostile.corpus import CORPUS
from streamwatch.wire.ask import Ask
from streamwatch.wire.sdp import VideoTrack
from streamwatch.wire.warm import Warm, key_of
from tests.wire.camera import reply
from tests.wire.test_conversation import GOOD

CACHE = Path(__file__).resolve().parents[2] / ".run" / "farm-cache"  # kept between runs
CAMERAS = 18  # of one village: draws from all dialects
LIMITS = Limits(connect_s=2.0, step_s=2.0, total_s=6.0)
PATIENCE = Limits(connect_s=1.0, step_s=1.0, total_s=3.0)
AT_ONCE = 60
CHANGED = (  # since it was learnt: what a warm look meets, of each kind
    "http_server", "ssh_server", "garbage_slow", "close_on_connect", "silence_after_connect", "trickle_setup",
    "refuses_setup_453", "refuses_setup_461", "refuses_play_454", "refuses_play_455", "redirect_at_setup",
    "redirect_at_play", "auth_setup_for_ever", "auth_play_for_ever", "silence_after_play", "play_unanswered",
    "transport_multicast", "channel_foreign", "rtp_other_type", "no_keyframe", "rtcp_bye", "sps_16000x16000",
    "sps_missing", "idr_half", "jpeg_good", "h265_1x1", "ps_heads", "asks_redirect", "cseq_missing",
)  # fmt: skip


async def hear(ask: Ask, limits: Limits = LIMITS) -> Heard:
    return await converse(ask, limits, clock=SystemClock(), guard=Guard())


def test_every_dialect_takes_a_warm_look() -> None:
    """SETUP first, by TCP and by UDP, with a login: a keyframe of the same size, and nothing new to learn."""

    async def looks(camera: FarmCamera) -> tuple[Heard, Heard, Warm]:
        ask = Ask(camera.sub_url, Depth.STREAM, camera.credentials)
        cold = await hear(ask)
        assert cold.failure is None and cold.warm is not None
        wanted = Transport(cold.transport or "")
        return cold, await hear(replace(ask, prefer=wanted, warm=cold.warm)), cold.warm

    async def village() -> list[tuple[Heard, Heard, Warm]]:
        async with farm(CAMERAS, CACHE, udp=0.3) as running:
            return await asyncio.gather(*map(looks, running.cameras))

    found = uvloop.run(village())

    for cold, warm, learnt in found:
        assert (warm.failure, warm.warm_held) == (None, True)
        assert (warm.codec, warm.width, warm.height, warm.transport) == (
            cold.codec, cold.width, cold.height, cold.transport,
        )  # fmt: skip
        assert (warm.server, warm.let_in) == (cold.server, True)
        assert list(warm.timings_ms) == ["connect", "setup", "play", "first_keyframe", "total"]
        assert warm.warm is learnt
    assert {heard.transport for heard, _, _ in found} == {"tcp", "udp"}
    assert len({heard.server for heard, _, _ in found}) > 2


def test_a_camera_that_turned_hostile_is_told_as_by_a_full_look() -> None:
    """What was learnt does not hold any more: the reason is one that the full look would give as well."""

    async def warm_look(target: Target, learnt: Warm, turns: asyncio.Semaphore) -> tuple[str, Heard]:
        ask = Ask(target.url, Depth.STREAM, target.credentials)
        async with turns:
            heard = await hear(replace(ask, warm=dataclasses.replace(learnt, key=key_of(ask))), PATIENCE)
        return target.hostile or "", heard

    async def looks() -> list[tuple[str, Heard]]:
        turns = asyncio.Semaphore(AT_ONCE)
        async with farm(1, CACHE) as running:
            (camera,) = running.cameras
            learnt = (await hear(Ask(camera.sub_url, Depth.STREAM, camera.credentials))).warm
        assert learnt is not None
        with hostile(CACHE, "--bind=127.75.0.0/16", *(f"--only={name}" for name in CHANGED)) as targets:
            return await asyncio.gather(*(warm_look(target, learnt, turns) for target in targets))

    found = dict(uvloop.run(looks()))

    assert len(found) == len(CHANGED)
    for name, heard in found.items():
        reason = heard.failure.reason if heard.failure is not None else None
        assert (reason is None) == (heard.keyframe is not None), name
        late = reason in {Reason.NET_TIMEOUT, Reason.MEDIA_NO_KEYFRAME, Reason.MEDIA_NO_DATA}  # the look is short
        assert heard.warm_held or reason in CORPUS[name].deserves or late, name
    assert sum(heard.warm_held is False for heard in found.values()) > len(CHANGED) / 2


async def test_a_device_that_takes_one_connection_at_a_time_is_dialled_again() -> None:
    """It refuses the full look's connection as long as it has not seen that the warm one's is gone."""
    ask = Ask("rtsp://127.0.0.1:1/live", Depth.STREAM)
    servers: list[asyncio.Server] = []
    dials = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dials.append(await reader.readuntil(b"\r\n\r\n"))
        if len(dials) == 1:
            servers[0].close()
            writer.write(reply(1, "455 Method Not Valid"))
            await writer.drain()
            await asyncio.sleep(0.1)
            servers.append(await asyncio.start_server(serve, "127.0.0.1", port))
        else:
            writer.write(GOOD.options)
            for part in (GOOD.describe, GOOD.setup, GOOD.play + GOOD.media):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(part)
            await reader.read()
        writer.close()

    servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
    port = servers[0].sockets[0].getsockname()[1]
    ask = replace(ask, url=f"rtsp://127.0.0.1:{port}/live")
    track = VideoTrack("h264", 96, 90_000, None)
    heard = await hear(replace(ask, warm=Warm(key_of(ask), Transport.TCP, track, "/track1", "", "OPTIONS")))
    for server in servers:
        server.close()

    assert (heard.failure, heard.warm_held) == (None, False)
    assert [asked.split(b" ")[0] for asked in dials] == [b"SETUP", b"OPTIONS"]
