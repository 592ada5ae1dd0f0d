"""Windows [from, to): RFC 3339 in, microseconds out, never beyond now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Query

from streamwatch.api.callers import Ctx
from streamwatch.api.problems import Problem
from streamwatch.clock import US, parse_rfc3339

DEFAULT_DAYS: Final = 30
MAX_DAYS: Final = 800  # two years and a bit: certification asks about six months, comparisons about a year before
DAY_US: Final = 86_400 * US
_FROM = Query(alias="from", max_length=40, description="RFC 3339; 30 days before `to` where it is missing.")
_TO = Query(max_length=40, description="RFC 3339; now where it is missing, and never later than now.")


@dataclass(frozen=True, slots=True)
class Window:
    """[from_us, to_us), and the instant of the request, taken once: to_us <= now_us."""

    from_us: int
    to_us: int
    now_us: int


def instant(text: str, name: str) -> int:
    """RFC 3339 text as microseconds. Raises 422 naming the parameter."""
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise Problem(
            422, "request.invalid", f"{name}: {text!r} is not an RFC 3339 time such as 2026-11-24T05:38:10Z"
        ) from None


def window(context: Ctx, from_: Annotated[str | None, _FROM] = None, to: Annotated[str | None, _TO] = None) -> Window:
    """The window that the caller asks about. Raises 422 where it is empty, too long, or no time."""
    now_us = context.clock.utc_us()
    to_us = now_us if to is None else min(instant(to, "to"), now_us)
    from_us = to_us - DEFAULT_DAYS * DAY_US if from_ is None else instant(from_, "from")
    if from_us >= to_us:
        raise Problem(422, "request.window", "`from` must be before `to`, and before now")
    if to_us - from_us > MAX_DAYS * DAY_US:
        raise Problem(422, "request.window", f"a window has at most {MAX_DAYS} days")
    return Window(from_us, to_us, now_us)


Asked = Annotated[Window, Depends(window)]
