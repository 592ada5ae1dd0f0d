"""What one look says, in words."""

from __future__ import annotations

from streamwatch.errors import Reason, Step
from streamwatch.findings import found, in_words
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.verdict import Policy


def words(detail: str, reason: Reason | None = None) -> str:
    look = Look(
        camera=1,
        depth=Depth.STREAM,
        stream=StreamKind.SUB,
        started_us=0,
        duration_us=1,
        vantage="v",
        reason=reason,
        step=Step.FIRST_KEYFRAME if reason else None,
        detail=detail,
    )
    return in_words(found(look, "rtsp://192.0.2.7/live", Policy()))


def test_what_is_to_be_said_of_a_good_look_is_said() -> None:
    """A camera that is slow to send a keyframe is up, and its line says how slow."""
    slow = "first keyframe after 27.3 s; this camera may take 41 s"

    assert words(slow) == f"up       rtsp://192.0.2.7/live  {slow}  0 ms"
    assert words("") == "up       rtsp://192.0.2.7/live  0 ms"


def test_a_reason_is_said_with_its_place_and_blame() -> None:
    """Once, in front of the sentence."""
    assert "  media.no_keyframe at first_keyframe (camera): none came  " in words("none came", Reason.MEDIA_NO_KEYFRAME)
