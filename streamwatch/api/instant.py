"""An instant as a window of one microsecond, which is what states at an instant are read from."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from streamwatch.api.callers import Ctx
from streamwatch.api.window import Window, instant


def moment(
    context: Ctx,
    at: Annotated[str | None, Query(max_length=40, description="RFC 3339; now where it is missing.")] = None,
) -> Window:
    """The microsecond [at, at+1), never later than the last one that is over. Raises 422 where `at` is no time."""
    now_us = context.clock.utc_us()
    at_us = now_us - 1 if at is None else min(instant(at, "at"), now_us - 1)
    return Window(at_us, at_us + 1, now_us)


At = Annotated[Window, Depends(moment)]
