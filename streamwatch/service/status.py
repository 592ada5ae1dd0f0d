"""How the service itself is: the parts of readiness, its gauges, and what to do about a part that is not ready."""

from __future__ import annotations

from typing import Final

import streamwatch
from streamwatch.health import LoopLag
from streamwatch.model.live import Part, ServiceStatus
from streamwatch.model.report import Health
from streamwatch.schedule.capacity import WHOLE, Capacity
from streamwatch.service.children import Child
from streamwatch.service.commit import Committer
from streamwatch.service.core import Service

LAG_OVER_S: Final = 60.0


class Doctor:
    """Answers how the service is, at any moment."""

    def __init__(self, service: Service, lag: LoopLag, children: list[Child], committer: Committer) -> None:
        self._service = service
        self._lag = lag
        self._children = children
        self._started_us = service.clock.utc_us()
        self._committer = committer

    def status(self) -> ServiceStatus:
        """The service's own state now."""
        service = self._service
        healths = [link.latest.after for link in service.lookers.links if link.latest is not None]
        return ServiceStatus(
            at_us=service.clock.utc_us(),
            started_us=self._started_us,
            version=streamwatch.__version__,
            parts=tuple(self._parts(healths)),
            inventory_version=service.inventory.version,
            counters=service.counters.snapshot(),
            gauges=self._gauges(healths),
        )

    def _parts(self, healths: list[Health]) -> list[Part]:
        service = self._service
        links = service.lookers.links
        connected = sum(link.channel is not None for link in links)
        canaries = {canary.name: canary.up for health in healths for canary in health.canaries}
        silent = sorted(name for name, up in canaries.items() if not up)
        return [
            Part("store", self._committer.error is None, self._committer.error or ""),
            Part("lookers", connected == len(links) > 0, f"{connected} of {len(links)} running"),
            Part(
                "decoders",
                not healths or all(health.decoders > 0 for health in healths),
                f"{sum(health.decoders for health in healths)} running" if healths else "no report yet",
            ),
            Part(
                "jail",
                all(health.jailed for health in healths),
                "" if all(health.jailed for health in healths) else "decoders run with less than the full jail",
            ),
            Part(
                "canaries",
                not canaries or len(silent) < len(canaries),
                f"silent: {', '.join(silent)}" if silent else ("" if canaries else "none: our path is never doubted"),
            ),
            _patrol(service.planner.capacity),
            *(Part(child.name, child.alive, f"{child.restarts} restarts") for child in self._children),
        ]

    def _gauges(self, healths: list[Health]) -> dict[str, dict[str, float]]:
        service = self._service
        capacity = service.planner.capacity
        since = service.clock.monotonic() - LAG_OVER_S
        lags = {"service": self._lag.worst_ms(since) / 1000}
        for link in service.lookers.links:
            if link.latest is not None:
                lags[link.name] = link.latest.after.loop_lag_ms / 1000
        return {
            "streamwatch_config_last_reload_successful": {"": float(service.config_reloaded)},
            "streamwatch_watch_unknown_cameras": {"": float(len(service.unknown_watched))},
            "streamwatch_missed_rounds": {"": float(service.planner.missed_rounds)},
            "streamwatch_unfinished_rounds": {"": float(capacity.unfinished_rounds)},
            "streamwatch_patrol_lag_seconds": {"": capacity.lag_s(0.99)},
            "streamwatch_patrol_lag_median_seconds": {"": capacity.lag_s(0.5)},
            "streamwatch_patrol_thinning": {
                "picture": float(capacity.thinning.picture_every),
                "stream": float(capacity.thinning.stream_every),
                "reach": float(capacity.thinning.reach_every),
            },
            "streamwatch_loop_lag_seconds": lags,
            "streamwatch_canary_up": {
                canary.name: float(canary.up) for health in healths for canary in health.canaries
            },
            "streamwatch_sessions": {"": float(sum(health.open_sessions for health in healths))},
            "streamwatch_workers": {
                "looker": float(sum(link.channel is not None for link in service.lookers.links)),
                "decoder": float(sum(health.decoders for health in healths)),
            },
            "streamwatch_store_backlog": {"": float(service.inbox.qsize())},
        }


def _patrol(capacity: Capacity) -> Part:
    """Ready while every look goes as deep as it is meant to; else what became of the others, and how late looks are."""
    thinning = capacity.thinning
    if thinning == WHOLE:
        return Part("patrol", ready=True)
    less = []
    if thinning.picture_every > 1:
        less.append(f"one picture look in {thinning.picture_every}")
    if thinning.stream_every > 1:
        less.append(f"one stream look in {thinning.stream_every}")
    if thinning.reach_every > 1:
        less.append(f"between them one look in {thinning.reach_every}")
    more = "; nothing is left to take away" if capacity.exhausted else ""
    return Part(
        "patrol",
        ready=False,
        detail=f"more work than room: {' and '.join(less)}; looks are up to {capacity.lag_s(0.99):.1f} s late{more}",
    )
