"""Every hostile camera of the corpus costs its own look only, and gets the name that it deserves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from benchmarks.crowd import Patience, Seen, hostile, rig
from streamwatch.clock import SystemClock
from streamwatch.errors import Reason
from streamwatch.simulator.hostile.corpus import CORPUS
from streamwatch.verdict import Policy, faults_of

CACHE = Path(__file__).resolve().parents[2] / ".run" / "farm-cache"  # kept between runs
AT_ONCE = 60
CUTS = 40  # connections of each way to end a conversation in the middle
PATIENCE = Patience(connect_s=1.0, step_s=1.0, keyframe_s=1.5, total_s=3.0)
APART_US = 60_000_000  # between two looks that are compared
CUT = ("cut_fin", "cut_rst", "cut_half")


async def _look_at_all(*arguments: str, times: int = 1) -> list[Seen]:
    turns = asyncio.Semaphore(AT_ONCE)
    with hostile(CACHE, *arguments) as targets:
        async with rig(PATIENCE) as ours:

            async def look(number: int) -> Seen:
                async with turns:
                    return await ours.look(targets[number % len(targets)])

            return await asyncio.gather(*(look(number) for number in range(times * len(targets))))


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    """One look at each, all of them at the same time."""
    return {one.target.hostile or "": one for one in uvloop.run(_look_at_all("--bind=127.67.0.0/16"))}


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostility_ends_as_it_deserves(seen: dict[str, Seen], name: str) -> None:
    """With the reason and at the step of the corpus, and none is a defect of ours."""
    assert seen[name].wrong is None


def test_what_certificates_fail_to_prove_is_said(seen: dict[str, Seen]) -> None:
    """A camera whose certificate proves nothing is looked at all the same, and the look remarks on it."""
    for name in ("tls_self_signed", "tls_expired", "tls_wrong_name"):
        assert seen[name].look.reason is None
        assert seen[name].look.remarks == (Reason.TLS_UNTRUSTED,)


def test_one_keyframe_for_ever_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """idr_frozen gets its picture, and from the second look on it is frozen, though its clock runs."""
    utc_us = SystemClock.utc_us

    async def two_looks() -> list[Seen]:
        with hostile(CACHE, "--bind=127.74.0.0/16", "--only=idr_frozen") as (target,):
            async with rig(PATIENCE, workers=1) as ours:
                first = await ours.look(target)
                monkeypatch.setattr(SystemClock, "utc_us", lambda clock: utc_us(clock) + APART_US)
                return [first, await ours.look(target)]

    looks = [one.look for one in uvloop.run(two_looks())]

    assert [look.reason for look in looks] == [None, None]
    assert [faults_of(look, Policy()) for look in looks] == [(), ("frozen",)]


def test_conversations_that_end_anywhere_end_by_name() -> None:
    """FIN, RST or half a FIN after any number of bytes: net.reset, or a picture where there was one by then."""
    cuts = uvloop.run(_look_at_all("--bind=127.68.0.0/16", *(f"--only={name}" for name in CUT), times=CUTS))

    assert [one.wrong for one in cuts if one.wrong] == []
    assert {one.look.reason for one in cuts} >= {Reason.NET_RESET}
