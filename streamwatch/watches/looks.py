"""What came in an open session, as the look of a round."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msgspec import structs

from streamwatch.errors import Reason, Step
from streamwatch.ingest.session import Heard
from streamwatch.model.look import Look
from streamwatch.model.report import Ticket
from streamwatch.quality.streams import measures_of
from streamwatch.watches.sessions import Watches
from streamwatch.watches.watch import Answer


def found_by(answer: Answer) -> dict[str, Any]:
    """What a Look has of it: the fields by name."""
    heard, picture = answer.heard, answer.picture
    measures, timings = measures_of(answer.seen), dict[str, float]()
    found: dict[str, Any] = {
        "media_flowed": True,
        "detail": "; ".join(heard.remarks.values()),
        "codec": heard.codec,
        "width": heard.width,
        "height": heard.height,
        "transport": heard.transport,
        "server": heard.server,
        "clock_offset_ms": answer.clock_offset_ms,
        "remarks": tuple(heard.remarks),
    }
    if picture is not None:
        result = picture.result
        found["keyframe_bytes"] = len(picture.keyframe.data)
        if result.failure is not None:
            failure = result.failure
            found |= {"reason": failure.reason, "step": failure.step, "detail": failure.detail}
        else:
            measures = (*result.measures, *measures)
            found["reference_us"] = result.reference_us
            found |= {"width": result.width or heard.width, "height": result.height or heard.height}
            timings = {Step.DECODE.value: result.decode_ms, Step.SCORE.value: result.score_ms}
    return found | {"measures": measures, "timings_ms": timings | {"total": round(sum(timings.values()), 3)}}


def busy_with_us(watches: Watches, ticket: Ticket, heard: Heard) -> Heard:
    """A device that is busy while we watch cameras of it is busy with us."""
    failure = heard.failure
    if failure is None or failure.reason is not Reason.RTSP_BUSY or not (count := watches.sessions_at(ticket)):
        return heard
    detail = f"{failure.detail}, while {count} sessions with it stay open (watch.cameras): name fewer of its cameras"
    return structs.replace(heard, failure=replace(failure, reason=Reason.OURS_LIMIT, detail=detail))


def with_seen(watches: Watches, ticket: Ticket, look: Look) -> Look:
    """An ordinary look at a camera whose session was lost, with what that had brought."""
    seen = watches.unanswered(ticket) if ticket.watch else None
    return look if seen is None else structs.replace(look, measures=(*look.measures, *measures_of(seen)))
