"""Warm looks: what they skip, that they fall back by themselves, and that they then say what the full look says."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason, Step
from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.wire.ask import Ask
from streamwatch.wire.auth import MAX_TRIES
from streamwatch.wire.conversation import Conversation
from streamwatch.wire.transcript import Recorder, dump
from streamwatch.wire.warm import COLD_EVERY_S, REST_S, SHARE, Kept, Warm, keep
from tests.wire.camera import URL
from tests.wire.scripted import TOTAL_S, Came, Device, learn, look

CREDENTIALS = Credentials("admin", "s3cret-Pa55")
ASK = Ask(URL, Depth.STREAM, CREDENTIALS)
WARM = learn(Device(), ASK)


def warm_ask(ask: Ask = ASK, warm: Warm = WARM) -> Ask:
    return msgspec.structs.replace(ask, warm=warm)


def without_steps(came: Came) -> Came:
    """But for the steps that a warm look skips."""
    return dataclasses.replace(
        came, timings=tuple(name for name in came.timings if name not in {"options", "describe"})
    )


@pytest.mark.parametrize("prefer", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize("password", [None, "s3cret-Pa55"])
def test_a_warm_look_begins_with_setup(prefer: Transport, password: str | None) -> None:
    """SETUP, its answer to the challenge, PLAY, keyframe, TEARDOWN; the same outcome; what it knew is kept on."""
    ask = msgspec.structs.replace(ASK, prefer=prefer)
    warm = learn(Device(password=password), ask)
    cold, _ = look(Device(password=password), ask)
    device = Device(password=password)
    came, talked = look(device, warm_ask(ask, warm))

    assert device.methods == ["SETUP"] * (1 + (password is not None)) + ["PLAY", "TEARDOWN"]
    assert came == without_steps(cold)
    assert came.transport == prefer.value
    assert talked.warm is warm
    assert (talked.warm_held, device.dials) == (True, 1)


def test_a_reach_look_is_never_warm() -> None:
    """It asks nothing that could be skipped."""
    device = Device()
    look(device, msgspec.structs.replace(warm_ask(), depth=Depth.REACH))

    assert device.methods == ["OPTIONS"]


OTHERS = {
    "address": msgspec.structs.replace(ASK, url=URL + "2"),
    "password": msgspec.structs.replace(ASK, credentials=Credentials("admin", "another")),
    "user": msgspec.structs.replace(ASK, credentials=Credentials("root", CREDENTIALS.password)),
    "nobody": msgspec.structs.replace(ASK, credentials=None),
    "withheld": msgspec.structs.replace(ASK, withheld=True),
    "transport": msgspec.structs.replace(ASK, transport=Transport.UDP),
    "preferred": msgspec.structs.replace(ASK, prefer=Transport.UDP),
    "tunnel": msgspec.structs.replace(ASK, transport=Transport.HTTP),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_was_learnt_of_others_is_not_used(what: str) -> None:
    """Another address, user, password or transport: the full conversation."""
    device = Device()
    _, talked = look(device, warm_ask(OTHERS[what]))

    assert device.methods[0] == "OPTIONS"
    assert talked.warm_held is None


def test_nothing_that_is_kept_is_a_secret() -> None:
    """No password, nonce or session; an address that holds what looks like one is not kept at all."""
    assert CREDENTIALS.password not in repr(WARM)
    assert b"s3cret" not in pickle.dumps(WARM)
    assert "77" not in repr((WARM.setup, WARM.play))
    assert URL not in repr(WARM)


class Telling(Device):
    """Calls itself by an address with a password in it."""

    def description(self) -> bytes:
        return super().description().replace(b"control:track1", b"control:track1?password=hunter22")


def test_a_track_s_address_with_a_password_in_it_is_not_kept() -> None:
    """The look is good, and the next one is a full one."""
    came, talked = look(Telling(), ASK)

    assert came.failure is None
    assert talked.warm is None


@pytest.mark.parametrize("media", ["bare", "h265", "good"])
def test_only_streams_that_need_no_description_are_learnt(media: str) -> None:
    """Where the parameter sets are in the description only, a changed one would be decoded with stale sets."""
    came, talked = look(Device(media=media), ASK)

    assert came.failure is None
    assert (talked.warm is None) == (media == "bare")


@pytest.mark.parametrize("how", ["refusals", "moved"])
def test_a_login_in_two_tries_and_a_redirected_look_are_not_learnt(how: str) -> None:
    """What a warm look may cost, one try, would be missing in the full one; a redirect is followed each time."""
    device = Device(hangs_up=True) if how == "refusals" else Device(moved=URL + "/elsewhere")
    came, talked = look(device, ASK)

    assert came.failure is None
    assert talked.warm is None


CHANGES: dict[str, Device] = {
    "nothing": Device(),
    "455 without DESCRIBE": Device(needs_describe="455 Method Not Valid"),
    "404 without DESCRIBE": Device(needs_describe="404 Not Found"),
    "454 without DESCRIBE": Device(needs_describe="454 Session Not Found"),
    "461 without DESCRIBE": Device(needs_describe="461 Unsupported Transport"),
    "301 without DESCRIBE": Device(needs_describe="301 Moved"),
    "closes without DESCRIBE": Device(needs_describe="close"),
    "silent without DESCRIBE": Device(needs_describe="silence"),
    "another password": Device(password="changed"),
    "no password": Device(password=None),
    "moved": Device(moved=URL + "/elsewhere"),
    "moved, and SETUP says so": Device(moved=URL + "/elsewhere", needs_describe="302 Moved"),
    "moved away": Device(moved="rtsp://198.51.100.9/live", needs_describe="302 Moved"),
    "gone": Device(statuses={"DESCRIBE": "404 Not Found", "SETUP": "404 Not Found"}),
    "busy": Device(statuses={"SETUP": "453 Not Enough Bandwidth"}),
    "forbidden": Device(statuses={"DESCRIBE": "403 Forbidden", "SETUP": "403 Forbidden"}),
    "PLAY refused": Device(statuses={"PLAY": "500 Internal"}),
    "PLAY asks again": Device(statuses={"PLAY": "401 Unauthorized"}),
    "another codec": Device(media="h265"),
    "another payload type": Device(media="other_type"),
    "parameter sets in the description only": Device(media="bare"),
    "no keyframe": Device(media="no_keyframe"),
    "no media": Device(media="silent"),
    "only UDP": Device(transports=("udp",)),
    "only TCP": Device(transports=("tcp",)),
}


TRIES = {
    "a nonce for each request": Device(fresh_nonces=True),
    "hangs up": Device(hangs_up=True),
    "closes at a wrong answer": Device(password="changed", slams=True),
}


def compared(device: Device, ask: Ask, warm: Warm) -> tuple[Came, Came, Device, bool]:
    """The full look, the warm one, and the device of that one."""
    cold, _ = look(copy.deepcopy(device), ask)
    tried = copy.deepcopy(device)
    came, talked = look(tried, warm_ask(ask, warm))
    if talked.warm_held:
        cold = without_steps(cold)
        assert came.transport == warm.transport.value
    else:
        assert talked.warm_held is False
        assert talked.warm is None or talked.warm is not warm
    return cold, came, tried, talked.warm_held


def same(one: Came, other: Came) -> bool:
    """But for how long it was waited, which a sentence may tell."""
    if one.failure is not None and other.failure is not None:
        alike = (one.failure.reason, one.failure.step) == (other.failure.reason, other.failure.step)
        one, other = (dataclasses.replace(came, failure=None) for came in (one, other))
        return alike and one == other
    return one == other


@pytest.mark.parametrize("prefer", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_since_is_told_as_by_the_full_look(change: str, prefer: Transport) -> None:
    """The same reason, step, picture and transport, within the same deadline."""
    ask = msgspec.structs.replace(ASK, prefer=prefer)
    cold, came, _, _ = compared(CHANGES[change], ask, learn(Device(), ask))

    assert same(came, cold)


@settings(max_examples=150)
@given(
    password=st.sampled_from([None, "s3cret-Pa55", "changed"]),
    needs=st.sampled_from([None, "455 x", "400 x", "500 x", "302 x", "close", "silence"]),
    statuses=st.dictionaries(
        st.sampled_from(["DESCRIBE", "SETUP", "PLAY"]),
        st.sampled_from(["403 x", "404 x", "453 x", "454 x", "461 x", "500 x", "503 x"]),
        max_size=2,
    ),
    media=st.sampled_from(["good", "bare", "no_keyframe", "h265", "other_type", "silent"]),
    transports=st.sampled_from([("tcp",), ("udp",), ("tcp", "udp")]),
    fresh=st.booleans(),
    hangs_up=st.booleans(),
    prefer=st.sampled_from([Transport.TCP, Transport.UDP]),
    wanted=st.sampled_from([Transport.AUTO, Transport.TCP]),
)
def test_warm_and_then_full_is_as_full(
    password: str | None,
    needs: str | None,
    statuses: dict[str, str],
    media: str,
    transports: tuple[str, ...],
    fresh: bool,
    hangs_up: bool,
    prefer: Transport,
    wanted: Transport,
) -> None:
    """Whatever a device has become; and no more than two answers to challenges are refused."""
    device = Device(
        password, needs, statuses, media, transports, fresh_nonces=fresh, hangs_up=hangs_up and password is not None
    )
    ask = msgspec.structs.replace(ASK, prefer=prefer, transport=wanted)
    cold, came, tried, held = compared(device, ask, learn(Device(), ask))

    assert tried.refused <= MAX_TRIES
    if held:  # it plays, whatever it says to DESCRIBE meanwhile: the full look of the hour tells that
        assert came.failure is None and came.keyframe is not None
    elif not (hangs_up or fresh):  # these cost the full look tries as well, and the warm way had one
        assert same(came, cold)


@pytest.mark.parametrize("change", ["another password", "PLAY asks again", *TRIES])
def test_r21_a_warm_look_and_the_full_one_behind_it_share_two_tries(change: str) -> None:
    """Setup: a camera of which enough is known to begin with SETUP. Fault: it refuses our answers to its challenges,
    each of them, or only the first. Bound: two refused answers in the whole look, however often it begins anew."""
    _, _, tried, held = compared({**CHANGES, **TRIES}[change], ASK, WARM)
    locked = Device(password="changed", fresh_nonces=True)
    look(locked, warm_ask())

    assert not held
    assert tried.refused <= MAX_TRIES
    assert 1 <= locked.refused <= MAX_TRIES


def test_the_warm_way_leaves_most_of_the_deadline() -> None:
    """A device that is silent to it is asked in full after a third of the time."""
    asked = []

    class Slow(Device):
        def dial(self):  # type: ignore[no-untyped-def]
            asked.append(len(self.methods))
            return super().dial()

    came, talked = look(Slow(needs_describe="silence"), warm_ask())

    assert came.failure is None and talked.warm_held is False
    assert len(asked) == 2
    assert talked._warm_until == pytest.approx(TOTAL_S * SHARE)


def test_our_own_bad_news_ends_a_warm_look() -> None:
    """A connection that is refused would be so for the full one."""
    talked = Conversation(warm_ask(), lambda: "c", 6.0, TOTAL_S)
    talked.start(0.0)
    talked.abort(LookError(Reason.NET_REFUSED, "refused", step=Step.CONNECT))

    assert talked.failure is not None and talked.failure.reason is Reason.NET_REFUSED
    assert not talked.redial


def test_a_recording_can_be_made_of_a_warm_ask() -> None:
    """What was learnt is no part of it."""
    recorder = Recorder(warm_ask(), 0, 0.0)
    assert "warm" not in dump(recorder)


def test_a_memory_goes_cold_once_an_hour() -> None:
    """What was learnt is used for at most an hour, and using it does not make it younger."""
    kept = keep(None, WARM, held=None, worked=True, now=0.0)
    assert kept is not None
    for minute in range(40):
        assert kept.usable(minute * 60.0) is WARM
        assert keep(kept, WARM, held=True, worked=True, now=minute * 60.0) is kept
    assert kept.usable(COLD_EVERY_S) is None
    again = dataclasses.replace(WARM)
    renewed = keep(kept, again, held=None, worked=True, now=COLD_EVERY_S)
    assert renewed is not None and renewed.usable(COLD_EVERY_S + 60.0) is again


def test_who_only_takes_the_full_conversation_is_left_to_it() -> None:
    """For a day, whatever full looks teach meanwhile; where the full one failed too, the warm way is not to blame."""
    kept = keep(Kept(WARM, 100.0), WARM, held=False, worked=True, now=50.0)
    assert kept == Kept(None, 50.0 + REST_S)
    for later in (60.0, REST_S):
        kept = keep(kept, WARM, held=None, worked=True, now=later)
        assert kept is not None and kept.usable(later) is None
    learnt_again = keep(kept, WARM, held=None, worked=True, now=51.0 + REST_S)
    assert learnt_again is not None and learnt_again.warm is WARM
    assert keep(Kept(WARM, 100.0), None, held=False, worked=False, now=50.0) is None
