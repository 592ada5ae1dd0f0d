"""Every fault, seen from plain sockets, and switched while the farm runs."""

from __future__ import annotations

import contextlib
import select
import socket
from datetime import UTC, datetime, timedelta
from time import sleep

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from streamwatch.simulator.faults import Fault
from tests.simulator.conftest import Running, Talk
from tests.simulator.test_streams import url

SHORT_S = 0.6  # how long nothing must come before we believe that nothing comes


def picture(camera: dict[str, str]) -> NDArray[np.uint8]:
    """The luma of the first picture that FFmpeg decodes."""
    options = {"rtsp_transport": "tcp", "analyzeduration": "0", "probesize": "32"}
    with av.open(url(camera, "sub_url"), options=options, timeout=10) as container:
        frame = next(container.decode(container.streams.video[0]))
    return frame.to_ndarray(format="yuv420p")[: frame.height]


def quiet(talk: Talk) -> bool:
    """Whether nothing arrives for a while."""
    ready, _, _ = select.select([talk.socket], [], [], SHORT_S)
    return not ready or not talk.socket.recv(65_536)


def test_refused_is_refused_alone_and_comes_back(farm: Running) -> None:
    """ECONNREFUSED at one camera, sessions reset, its neighbour untouched, healthy again at the same address."""
    camera, neighbour = farm.cameras[0], farm.cameras[1]
    with Talk(camera) as running:
        running.play()
        farm.fault(camera, "refused")
        with pytest.raises(ConnectionRefusedError):
            Talk(camera)
        with pytest.raises(ConnectionResetError):
            running.file.read()
    with Talk(neighbour) as talk:
        assert talk.play().status == 200
    farm.fault(camera, None)
    with Talk(camera) as talk:
        assert talk.play().status == 200


def test_dead_answers_no_syn_and_comes_back(farm: Running) -> None:
    """Every connect times out, running sessions are cut, healthy again at the same address."""
    camera = farm.cameras[1]
    with Talk(camera) as running:
        running.play()
        farm.fault(camera, "dead")
        for _ in range(3):
            with pytest.raises(TimeoutError):
                Talk(camera, timeout=SHORT_S)
        with pytest.raises(ConnectionResetError):
            running.file.read()
    farm.fault(camera, None)
    with Talk(camera) as talk:
        assert talk.play().status == 200


def test_dead_and_refused_follow_each_other(farm: Running) -> None:
    """From one to the other and back without a healthy moment between."""
    camera = farm.cameras[1]
    farm.fault(camera, "dead")
    farm.fault(camera, "refused")
    with pytest.raises(ConnectionRefusedError):
        Talk(camera)
    farm.fault(camera, "dead")
    with pytest.raises(TimeoutError):
        Talk(camera, timeout=SHORT_S)
    farm.fault(camera, None)
    with Talk(camera) as talk:
        assert talk.ask("DESCRIBE").status == 200


def test_silent_accepts_and_says_nothing(farm: Running) -> None:
    """Connections succeed and no request is ever answered; a running stream stops."""
    camera = farm.cameras[2]
    with Talk(camera) as running, Talk(camera) as talk:
        running.play()
        farm.fault(camera, "silent")
        talk.send("OPTIONS", talk.url)
        assert quiet(talk)
        assert any(quiet(running) for _ in range(5))  # first comes what was on its way
        with Talk(camera) as late:
            late.send("OPTIONS", late.url)
            assert quiet(late)


def test_auth_refuses_the_old_password(farm: Running) -> None:
    """401 to the right password, OPTIONS still answered."""
    camera = farm.cameras[3]
    farm.fault(camera, "auth")
    with Talk(camera) as talk:
        assert talk.ask("OPTIONS").status == 200
        assert talk.ask("DESCRIBE").status == 401
    farm.fault(camera, None)
    with Talk(camera) as talk:
        assert talk.ask("DESCRIBE").status == 200


def test_not_found_and_busy_name_their_status(farm: Running) -> None:
    """404 to DESCRIBE; 453 to SETUP after a good DESCRIBE."""
    camera = farm.cameras[4]
    farm.fault(camera, "not_found")
    with Talk(camera) as talk:
        assert talk.ask("DESCRIBE").status == 404
    farm.fault(camera, "busy")
    with Talk(camera) as talk:
        assert talk.setup().status == 453


def test_no_data_plays_and_sends_nothing(farm: Running) -> None:
    """PLAY succeeds and no packet follows."""
    camera = farm.cameras[5]
    farm.fault(camera, "no_data")
    with Talk(camera) as talk:
        assert talk.play().status == 200
        assert quiet(talk)


def test_no_keyframe_sends_only_p_frames(farm: Running) -> None:
    """Across a whole group of pictures no IDR slice and no parameter set comes."""
    camera = farm.cameras[6]
    farm.fault(camera, "no_keyframe")
    with Talk(camera) as talk:
        talk.play()
        kinds = [
            kind
            for _ in range(12)
            for packet in talk.frame()
            for kind in [packet[12] & 31 if packet[12] & 31 != 28 else packet[13] & 31]
        ]

    assert set(kinds) == {1}


def test_picture_faults_are_seen_in_the_picture(farm: Running) -> None:
    """Blackout is dark, blur is soft, frozen repeats itself below the text, healthy does none of these."""
    camera = farm.cameras[8]
    healthy, again = picture(camera), picture(camera)
    farm.fault(camera, "blackout")
    dark = picture(camera)
    farm.fault(camera, "blur")
    soft = picture(camera)
    farm.fault(camera, "frozen")
    stuck, still = picture(camera), picture(camera)

    below = slice(48, 352)
    assert healthy.mean() > 40
    assert dark.mean() < 18
    assert (healthy[below] == again[below]).mean() < 0.6
    assert (stuck[below] == still[below]).mean() > 0.9
    assert not np.array_equal(stuck[:45], still[:45])
    step = [float(np.percentile(np.abs(np.diff(p[below].astype(np.int16), axis=1)), 99.9)) for p in (healthy, soft)]
    assert step[0] > 3 * step[1]


def test_a_running_session_changes_with_the_camera(farm: Running) -> None:
    """A picture fault shows in a session that plays already, at its next group of pictures."""
    camera = farm.cameras[9]
    with av.open(
        url(camera, "sub_url"), options={"rtsp_transport": "tcp", "probesize": "32", "analyzeduration": "0"}, timeout=10
    ) as container:
        frames = container.decode(container.streams.video[0])
        assert next(frames).to_ndarray(format="gray").mean() > 40
        farm.fault(camera, "blackout")
        luma = [frame.to_ndarray(format="gray").mean() for frame, _ in zip(frames, range(11), strict=False)]

    assert min(luma) < 25


def test_every_fault_has_a_test_here() -> None:
    """A new fault cannot be added without saying how it looks from outside."""
    import tests.simulator.test_datagrams as datagrams
    import tests.simulator.test_faults as here

    names = [*vars(here), *vars(datagrams)]
    text = " ".join(name for name in names if name.startswith("test_")) + " blackout blur frozen"
    assert [fault for fault in Fault if fault not in text] == []


def test_a_change_is_logged_when_it_happens(farm: Running) -> None:
    """One line a change with microseconds, the fault's name or null, and nothing for a change of nothing."""
    camera = farm.cameras[10]
    before = len(farm.log())
    start = datetime.now(UTC)
    farm.fault(camera, "auth")
    middle = datetime.now(UTC)
    farm.fault(camera, None)
    farm.fault(camera, None)
    end = datetime.now(UTC)

    lines = farm.log()[before:]
    assert [(line["camera"], line["fault"], line["until"]) for line in lines] == [
        (camera["code"], "auth", None),
        (camera["code"], None, None),
    ]
    assert all(
        set(line) == {"at", "camera", "fault", "until"} and len(line["at"]) == len("2026-01-01T00:00:00.000000Z")
        for line in lines
    )
    first, second = (datetime.fromisoformat(line["at"]) for line in lines)
    assert start <= first <= middle <= second <= end


def test_until_ends_a_fault_by_itself(farm: Running) -> None:
    """The farm clears it at that time, not before, and logs it; a later order replaces the end."""
    camera, other = farm.cameras[11], farm.cameras[12]
    before = len(farm.log())
    until = datetime.now(UTC) + timedelta(seconds=1)
    farm.fault(camera, "refused", until.isoformat())
    farm.fault(other, "refused", until.isoformat())
    farm.fault(other, "auth")
    with pytest.raises(ConnectionRefusedError):
        Talk(camera)
    for _ in range(100):
        with contextlib.suppress(ConnectionRefusedError), Talk(camera) as talk:
            assert talk.ask("DESCRIBE").status == 200
            break
        sleep(0.05)
    else:
        raise AssertionError("still refused 4 s after its end")

    lines = [line for line in farm.log()[before:] if line["camera"] == camera["code"]]
    assert [line["fault"] for line in lines] == ["refused", None]
    assert datetime.fromisoformat(lines[0]["until"]) == until
    assert datetime.fromisoformat(lines[1]["at"]) >= until
    with Talk(other) as talk:
        assert talk.ask("DESCRIBE").status == 401


def test_many_connections_to_one_camera_are_cut_beyond_its_limit(farm: Running) -> None:
    """A camera takes 16 sessions; the 17th connection is reset."""
    camera = farm.cameras[13]
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            assert stack.enter_context(Talk(camera)).ask("OPTIONS").status == 200
        with pytest.raises((ConnectionResetError, BrokenPipeError, AssertionError)):
            stack.enter_context(Talk(camera)).ask("OPTIONS")


def test_a_slow_start_of_a_request_is_no_request(farm: Running) -> None:
    """Half a request waits for the other half."""
    camera = farm.cameras[14]
    with Talk(camera) as talk:
        talk.socket.sendall(b"OPTIONS * RTSP/1.0\r\nCS")
        assert quiet(talk)
        talk.socket.sendall(b"eq: 9\r\n\r\n")
        assert talk.reply().headers["cseq"] == "9"
        talk.socket.shutdown(socket.SHUT_WR)
        assert talk.file.read() == b""
