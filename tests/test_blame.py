"""Stage 6: our own loop first, then our path, only then the camera."""

from __future__ import annotations

import pytest

from streamwatch.blame import attribute
from streamwatch.errors import Blame, Reason
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.model.report import Canary, Health, Report

SILENT, ANSWERS = Canary("gateway", False, 0), Canary("platform", True, 0)


def look(reason: Reason | None, duration_s: float = 5.0) -> Look:
    return Look(
        camera=1,
        depth=Depth.PICTURE,
        stream=StreamKind.SUB,
        started_us=1,
        duration_us=int(duration_s * 1e6),
        vantage="v",
        reason=reason,
    )


def report(
    *looks: Look,
    lag_ms: float = 0,
    before: tuple[Canary, ...] = (),
    after: tuple[Canary, ...] = (),
) -> Report:
    return Report(
        round_id="r",
        village=1,
        depth=Depth.PICTURE,
        due_us=0,
        attempt=0,
        part=0,
        last=True,
        vantage="v",
        before=Health(at_us=0, loop_lag_ms=0, canaries=before),
        after=Health(at_us=0, loop_lag_ms=lag_ms, canaries=after),
        looks=looks,
    )


def test_a_good_look_is_never_void() -> None:
    """Whatever our own state: a camera that answered was up."""
    (found,) = attribute(report(look(None), lag_ms=60_000, before=(SILENT,), after=(SILENT,)))

    assert (found.blame, found.void) == (None, None)


@pytest.mark.parametrize(
    ("before", "after", "void"),
    [
        ((), (), None),
        ((ANSWERS,), (ANSWERS,), None),
        ((SILENT, ANSWERS), (SILENT, ANSWERS), None),
        ((SILENT,), (ANSWERS,), Reason.OURS_PATH),
        ((ANSWERS,), (SILENT,), Reason.OURS_PATH),
        ((SILENT, SILENT), (SILENT, SILENT), Reason.OURS_PATH),
    ],
)
def test_r1_silent_canaries_at_either_end_make_a_network_failure_void(
    before: tuple[Canary, ...], after: tuple[Canary, ...], void: Reason | None
) -> None:
    """Setup: a look that timed out. Fault: all canaries silent before or after it. Bound: 0 s are booked as down."""
    (found,) = attribute(report(look(Reason.NET_TIMEOUT), before=before, after=after))

    assert found.void == void
    assert found.blame is (Blame.OURS if void else Blame.CAMERA)


@pytest.mark.parametrize("reason", [Reason.RTSP_AUTH, Reason.RTSP_NOT_FOUND, Reason.MEDIA_NO_VIDEO, Reason.RTSP_BUSY])
def test_what_a_camera_said_in_words_stands_while_canaries_are_silent(reason: Reason) -> None:
    """A refusal is an answer: the path to that camera worked."""
    (found,) = attribute(report(look(reason), before=(SILENT,), after=(SILENT,)))

    assert found.void is None


@pytest.mark.parametrize(
    ("lag_ms", "duration_s", "void"), [(999, 5, False), (1001, 5, True), (200, 0.5, False), (300, 0.5, True)]
)
def test_r5_a_failure_while_our_loop_lagged_a_fifth_of_it_is_void(lag_ms: float, duration_s: float, void: bool) -> None:
    """Setup: one looker. Fault: loop lag above 20 % of the look's time. Bound: the look is void, never down."""
    (found,) = attribute(report(look(Reason.NET_TIMEOUT, duration_s), lag_ms=lag_ms))

    assert (found.void is Reason.OURS_OVERLOAD) is void


@pytest.mark.parametrize(
    ("reason", "blame"),
    [
        (Reason.NET_REFUSED, Blame.CAMERA),
        (Reason.RTSP_AUTH, Blame.ACCESS),
        (Reason.RTSP_BUSY, Blame.RECORDER),
        (Reason.MEDIA_UNSUPPORTED_CODEC, Blame.OURS),
    ],
)
def test_what_is_not_ours_has_its_reasons_blame(reason: Reason, blame: Blame) -> None:
    """The last column of the booking table."""
    (found,) = attribute(report(look(reason)))

    assert (found.blame, found.void) == (blame, None)


def test_a_failure_of_ours_is_void_as_it_is() -> None:
    """A dead decoder says nothing about a camera."""
    (found,) = attribute(report(look(Reason.OURS_WORKER)))

    assert (found.blame, found.void) == (Blame.OURS, Reason.OURS_WORKER)
