"""From the settings to what the pure parts obey: each knows only its own few numbers."""

from __future__ import annotations

from streamwatch.looker import LookerPolicy
from streamwatch.net.tls import Verify
from streamwatch.schedule import Policy as SchedulePolicy
from streamwatch.settings import Settings
from streamwatch.verdict import Policy


def schedule_policy(settings: Settings) -> SchedulePolicy:
    """The schedule's part of the settings."""
    schedule = settings.schedule
    return SchedulePolicy(
        interval_s=schedule.interval_s,
        window_s=schedule.window_s,
        depth=schedule.depth,
        stream=schedule.stream,
        deadline_s=settings.look.deadline_s,
        confirm_looks=schedule.confirm_looks,
        confirm_after_s=schedule.confirm_after_s,
        access_tries=schedule.access_tries,
        access_backoff_max_s=schedule.access_backoff_max_s,
        reach_s=schedule.reach_s,
        per_line_kbps=settings.limits.per_line_kbps,
        per_host=settings.limits.per_host,
        per_recorder=settings.limits.per_recorder,
        watch=frozenset(settings.watch.cameras),
    )


def verdict_policy(settings: Settings) -> Policy:
    """The built-in thresholds, with the settings' overrides."""
    names = {"blackout_luma": "black_mean", "blur_raise": "blur", "blur_clear": "blur_clear", "frozen_share": "frozen"}
    given = {names[key]: value for key, value in settings.quality.model_dump(exclude_none=True).items()}
    return Policy(confirmations=settings.schedule.confirm_looks, **given)


def looker_policy(settings: Settings) -> LookerPolicy:
    """A looker's bounds."""
    return LookerPolicy(
        per_host=settings.limits.per_host,
        per_recorder=settings.limits.per_recorder,
        looks_in_flight=settings.limits.looks_in_flight,
        connect_s=settings.look.connect_s,
        step_s=settings.look.step_s,
        max_pixels=settings.look.max_pixels,
        user_agent=settings.look.user_agent,
        held=settings.held.connections,
        tls_verify=Verify(settings.tls.verify),
        tls_ca_file=settings.tls.ca_file,
        watch_most=settings.watch.most,
        watch_keyframe_s=settings.watch.keyframe_s,
    )
