"""Stage 5: what came in a watched session -> measurements. They judge nothing, and no fault is made of them."""

from __future__ import annotations

from typing import Final

from streamwatch.model.look import Measurement
from streamwatch.quality.table import Measure
from streamwatch.wire.tally import Seen

LOSS: Final = "loss_percent"
BITRATE: Final = "bitrate_kbps"
FRAME_RATE: Final = "frame_rate"
KEYFRAME_INTERVAL: Final = "keyframe_interval_s"
STALL: Final = "stall_s"

_SINCE = "since the look before"
_OWN = "our own: RTP's headers as they came to us"

STREAM_MEASURES: Final[dict[str, Measure]] = {
    row.name: row
    for row in (
        Measure(LOSS, "percent", 0, 100, f"packets of the video that did not come, {_SINCE}", _OWN),
        Measure(BITRATE, "kbit/s", 0, 100_000, f"of the video, with its RTP headers, {_SINCE}", _OWN),
        Measure(FRAME_RATE, "pictures a second", 0, 1_000, f"{_SINCE}, while a session was open", _OWN),
        Measure(KEYFRAME_INTERVAL, "seconds", 0, 86_400, f"from one keyframe to the next, on average {_SINCE}", _OWN),
        Measure(
            STALL,
            "seconds",
            0,
            86_400,
            f"longest time without a picture {_SINCE}, also without a session; ± 0.1",
            _OWN,
        ),
    )
}


def measures_of(seen: Seen) -> tuple[Measurement, ...]:
    """All of them, in the order of the table, those that cannot be told marked so; each within its range."""
    open_s, came = seen.seconds, seen.packets + seen.lost
    why = "no_session" if open_s <= 0 else "no_media"
    return (
        _measured(LOSS, 100 * seen.lost, came, why),
        _measured(BITRATE, seen.bytes * 8 / 1000, open_s, why),
        _measured(FRAME_RATE, float(seen.pictures), open_s, why),
        _measured(KEYFRAME_INTERVAL, seen.keyframe_gaps_s, seen.keyframe_gaps, "no_keyframes"),
        _measured(STALL, seen.longest_gap_s, 1.0, why),
    )


def _measured(name: str, amount: float, of: float, why: str) -> Measurement:
    if of <= 0:
        return Measurement(name, 0.0, valid=False, why=why)
    return Measurement(name, round(min(amount / of, STREAM_MEASURES[name].high), 3))
