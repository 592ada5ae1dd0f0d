"""What to simulate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamwatch.errors import UsageError
from streamwatch.simulator import inventory
from streamwatch.simulator.profile import (
    DEFAULT_SIZES,
    MAX_FPS,
    MAX_GOP_FRAMES,
    MAX_KBPS,
    MAX_QP,
    MIN_KBPS,
    MIN_QP,
    ORDINARY,
    SIZES,
    Profile,
)

MAX_DAYS = 36_500
MAX_LATENCY_S = 10.0


@dataclass(frozen=True, slots=True)
class FarmPlan:
    """What to simulate. `port` 0 picks one that is free on every address; `fault_rate` is the share of cameras that are
    faulty on average, by themselves, each for about `fault_hold_s` seconds. With `installed_days_ago` the inventory
    says that all cameras were installed on that day (of Asia/Shanghai). `udp` and `both` are the shares of the cameras,
    rounded down, that serve their media as datagrams only, and either way; `smart` that of those whose codec sends a
    key frame only every 10 to 40 s, and `smart_interval_s` the interval that the inventory gives them. `hostile` is
    the share, rounded, that is hostile from the start, each in another way of the corpus. `sizes` are the streams that
    every camera has, `profile` is how they are encoded. `paced`: each packet is a write, else each frame is.
    `random_start`: who begins to watch has to wait for the next key frame. `latency_s`: each camera answers later by
    its own delay of up to so much; `loss`: the share of all packets that never arrive. `wide`: one listener for all
    cameras, which then cannot be refused alone; None: where listeners of their own would take too many files."""

    villages: int = 8
    cameras: int = 240
    seed: int = 1
    bind: str = "127.1.0.0/16"
    port: int = 0
    control: str = "127.0.0.1:0"
    cache_dir: Path | None = None
    log: Path | None = None
    fault_rate: float = 0.0
    fault_hold_s: float = 300.0
    installed_days_ago: int | None = None
    udp: float = 0.05
    both: float = 0.15
    smart: float = 0.0
    smart_interval_s: int | None = None
    hostile: float = 0.0
    sizes: tuple[str, ...] = DEFAULT_SIZES
    profile: Profile = ORDINARY
    paced: bool = True
    random_start: bool = False
    latency_s: float = 0.0
    loss: float = 0.0
    wide: bool | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams of every camera, by their names within the farm."""
        return tuple(SIZES[size] for size in self.sizes)


def checked(plan: FarmPlan) -> FarmPlan:
    """The plan itself. Raises UsageError, naming the value and what it takes, where it cannot be."""
    if not 1 <= plan.villages <= inventory.MAX_VILLAGES:
        raise UsageError(f"villages is {plan.villages}: give 1 to {inventory.MAX_VILLAGES}")
    if not 1 <= plan.cameras <= inventory.MAX_CAMERAS:
        raise UsageError(f"cameras is {plan.cameras}: give 1 to {inventory.MAX_CAMERAS}")
    if not 0 <= plan.port <= 0xFFFF:
        raise UsageError(f"port is {plan.port}: give 0 (any) to 65535")
    if plan.installed_days_ago is not None and not 0 <= plan.installed_days_ago <= MAX_DAYS:
        raise UsageError(f"installed_days_ago is {plan.installed_days_ago}: give 0 to {MAX_DAYS}")
    if not 0 <= plan.fault_rate < 1 or plan.fault_hold_s <= 0:
        raise UsageError("fault_rate is a share from 0 to below 1, fault_hold_s seconds above 0")
    if plan.udp < 0 or plan.both < 0 or plan.udp + plan.both > 1:
        raise UsageError(f"udp is {plan.udp:g} and both is {plan.both:g}: give shares from 0, together at most 1")
    if not 0 <= plan.smart <= 1:
        raise UsageError(f"smart is {plan.smart:g}: give a share from 0 to 1")
    if not 0 <= plan.hostile <= 1:
        raise UsageError(f"hostile is {plan.hostile:g}: give a share from 0 to 1")
    if not 0 <= plan.latency_s <= MAX_LATENCY_S:
        raise UsageError(f"latency is {plan.latency_s:g}: give 0 to {MAX_LATENCY_S:g} seconds")
    if not 0 <= plan.loss < 1:
        raise UsageError(f"loss is {plan.loss:g}: give a share from 0 to below 1")
    if not {*DEFAULT_SIZES} <= {*plan.sizes} <= {*SIZES} or len({*plan.sizes}) < len(plan.sizes):
        raise UsageError(
            f"sizes is {','.join(plan.sizes)}: every camera has {' and '.join(DEFAULT_SIZES)}, and may have 1080p too"
        )
    _check(plan.profile)
    return plan


def _check(profile: Profile) -> None:
    for name, value, least, most in (
        ("fps", profile.fps, 1, MAX_FPS),
        ("gop", profile.gop_frames, 1, MAX_GOP_FRAMES),
        ("qp", profile.qp, MIN_QP, MAX_QP),
        ("kbps", profile.kbps if profile.kbps is not None else MIN_KBPS, MIN_KBPS, MAX_KBPS),
    ):
        if not least <= value <= most:
            raise UsageError(f"{name} is {value}: give {least} to {most}")


def sizes(text: str) -> tuple[str, ...]:
    """The sizes of a list such as `360p,720p,1080p`, as `FarmPlan` takes them; `checked` says what is wrong with it."""
    return tuple(part.strip() for part in text.split(","))
