"""Stage 7: an attributed look -> what it says of each dimension of its camera. Pure.

Two tables hold the rules: BOOKING says what a reason means for reach, stream and picture; FAULTS names the defects of a
picture, and a small function for each compares measures with the thresholds of the Policy. Nothing else in the program
compares a measured value with a threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streamwatch.errors import ACCESS_REASONS, Blame, Reason, Step, default_blame
from streamwatch.model.look import Depth, Look, State
from streamwatch.model.standing import FAULT_PREFIX, PICTURE, REACH, STREAM
from streamwatch.model.verdict import Attributed, Opinion, Verdict


@dataclass(frozen=True, slots=True)
class Policy:
    """The thresholds. Each fault has two: one to raise it, a laxer one that it must pass to clear."""

    confirmations: int = 2  # further looks that must repeat a bad one: down, blur, blackout, picture_broken
    no_keyframe_confirmations: int = 2  # three looks in all that waited as long as this camera may need
    weak_frozen_confirmations: int = 1  # stillness is two looks by nature; a middling share of it wants a third

    # blackout: near black, almost all of it, and nothing to be seen in it. Shares of 0-1, levels of 0-255. Video black
    # is 16, a camera's idea of it up to 32: a covered sensor amplifies its noise.
    black_mean: float = 40.0
    black_mean_clear: float = 48.0
    black_share: float = 0.98
    black_share_clear: float = 0.90
    black_texture: float = 4.0  # a dark street with one lamp reads 20 and more, sensor noise below 2
    black_texture_clear: float = 8.0

    # blur: of 14 healthy scenes none read below 0.30, of real blurred photographs 77 % at 640 wide and all from 960 up.
    # The coarse bar tells a lens out of focus from a small picture enlarged: those read 0.37 and more there, one in 50
    # of the softest less, of real blurred photographs six in ten. A picture up to 480 wide has no coarser one.
    blur: float = 0.30
    blur_clear: float = 0.34
    blur_coarse: float = 0.36
    blur_coarse_clear: float = 0.40
    blur_small: float = 0.28
    blur_small_clear: float = 0.31

    # frozen: textured tiles equal to the look before, as a share; the fewer there are, the more of them, for chance
    # counts by tiles: 12 of 300 beyond the share, of 20 all but five. And no noise anywhere: fewer than `frozen_lone`
    # tiles that changed by themselves. Live scenes with noise of 0.5 to 2 levels, at quantisers up to 38, reach a share
    # of 0.11 over 60 tiles and more, of 0.73 over 20; of pictures held under a running clock 99 % reach 0.2 and more.
    # Behind rate control a frozen picture drifts below this and cannot be told.
    frozen: float = 0.15
    frozen_clear: float = 0.08
    frozen_tiles: float = 12.0  # beyond the share
    frozen_tiles_clear: float = 6.0
    frozen_lone: float = 2.0  # a clock beside the text bands is one; 99.9 % of held pictures have no more. Rate
    # control that takes another quantiser changes tiles by itself too, so many of them are no proof of life.
    frozen_strong: float = 0.90  # over at least `frozen_strong_tiles` tiles: needs no further look
    frozen_strong_tiles: int = 20


@dataclass(frozen=True, slots=True)
class Fault:
    """A named defect. `vqd` is its number in the widespread enumeration of video quality diagnosis, if it has one."""

    name: str
    vqd: int | None
    breaks_intact: bool


FAULTS: Final[dict[str, Fault]] = {
    row.name: row
    for row in (
        Fault("blackout", None, breaks_intact=True),
        Fault("frozen", 6, breaks_intact=True),
        Fault("blur", 1, breaks_intact=True),
        Fault("picture_broken", 10, breaks_intact=True),
    )
}
"""In the order in which one of several names the picture's state."""


@dataclass(frozen=True, slots=True)
class Booking:
    """What a reason means. None: not asked. Whose fault it is where nothing is shared: `errors.default_blame`.

    `waited_out` is the picture once three looks in a row waited as long as their camera may need.
    """

    reach: State
    stream: State
    picture: State | None
    waited_out: State | None = None


_DOWN: Final = Booking(State.DOWN, State.DOWN, None)
_SENDS_NOTHING: Final = Booking(State.UP, State.DOWN, None)
_NO_ENTRY: Final = Booking(State.UP, State.UNKNOWN, None)
_NOT_FOR_US: Final = Booking(State.UP, State.UP, State.UNKNOWN)
_VOID: Final = Booking(State.UNKNOWN, State.UNKNOWN, State.UNKNOWN)

BOOKING: Final[dict[Reason, Booking]] = {
    Reason.NET_REFUSED: _DOWN,
    Reason.NET_UNREACHABLE: _DOWN,
    Reason.NET_TIMEOUT: _DOWN,
    Reason.NET_RESET: _DOWN,
    Reason.NET_NAME: _DOWN,
    Reason.TLS_UNTRUSTED: _NO_ENTRY,
    Reason.TLS_FAILED: _SENDS_NOTHING,
    Reason.RTSP_AUTH: _NO_ENTRY,
    Reason.RTSP_FORBIDDEN: _NO_ENTRY,
    Reason.RTSP_NOT_FOUND: _NO_ENTRY,
    Reason.RTSP_BUSY: Booking(State.UP, State.UNKNOWN, None),
    Reason.RTSP_REDIRECT: _SENDS_NOTHING,
    Reason.RTSP_TRANSPORT: _SENDS_NOTHING,
    Reason.RTSP_PROTOCOL: _SENDS_NOTHING,
    Reason.MEDIA_NO_VIDEO: _SENDS_NOTHING,
    Reason.MEDIA_NO_DATA: _SENDS_NOTHING,
    Reason.MEDIA_NO_KEYFRAME: Booking(State.UP, State.UP, State.UNKNOWN, waited_out=State.DOWN),
    Reason.MEDIA_UNSUPPORTED_CODEC: _NOT_FOR_US,
    Reason.MEDIA_ENCRYPTED: _NOT_FOR_US,
    Reason.MEDIA_TOO_LARGE: _NOT_FOR_US,
    Reason.MEDIA_BROKEN: Booking(State.UP, State.UP, State.DOWN),
    Reason.OURS_PATH: _VOID,
    Reason.OURS_OVERLOAD: _VOID,
    Reason.OURS_CLOCK: _VOID,
    Reason.OURS_WORKER: _VOID,
    Reason.OURS_MEMORY: _VOID,
    Reason.OURS_LIMIT: _VOID,
    Reason.OURS_STORE: _VOID,
}

_DEPTHS: Final = {  # the dimensions that a look of this depth asks about
    Depth.REACH: (REACH,),
    Depth.STREAM: (REACH, STREAM),
    Depth.PICTURE: (REACH, STREAM, PICTURE),
    Depth.RECORD: (),
}
ALL_UP: Final = {
    depth: tuple(Opinion(dimension, State.UP) for dimension in asked if dimension != PICTURE)
    for depth, asked in _DEPTHS.items()
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look says of one fault. `since_us`: the evidence reaches back to there."""

    present: bool
    confirmations: int = 0
    since_us: int | None = None


def judge(attributed: Attributed, policy: Policy, present: frozenset[str] = frozenset()) -> Verdict:
    """All that one look says. `present` names the faults that stand on this camera: they clear at laxer thresholds.

    A void look, or one that failed for an `ours.*` reason, says nothing: the Verdict carries `void` and no opinions.
    Only where we failed *after* a whole keyframe had come, in our own decoder, the stream was seen to be up.
    """
    look = attributed.look
    if _failed_in_our_decoder(attributed):
        return Verdict(look.camera, look.started_us, ALL_UP[look.depth])
    void = attributed.void or (look.reason if look.reason is not None and BOOKING[look.reason] is _VOID else None)
    if void is not None:
        return Verdict(look.camera, look.started_us, void=void)
    if look.reason is None:
        opinions = ALL_UP[look.depth]
    else:
        asked = [dimension for dimension in _DEPTHS[look.depth] if dimension != PICTURE]
        opinions = tuple(_reach_or_stream(attributed, look.reason, policy, dimension) for dimension in asked)
    if look.depth is Depth.PICTURE:
        opinions += tuple(_picture(look, policy, present))
    return Verdict(look.camera, look.started_us, opinions)


def _failed_in_our_decoder(attributed: Attributed) -> bool:
    look = attributed.look
    ours = look.reason is not None and BOOKING[look.reason] is _VOID and attributed.void in (None, look.reason)
    return ours and look.media_flowed and look.step in (Step.DECODE, Step.SCORE)


def state_of(look: Look) -> State:
    """What this look alone says of the camera's stream: `state` of `probe`. Access reasons count as down here."""
    if look.reason is None:
        return State.UP
    return State.DOWN if look.reason in ACCESS_REASONS else BOOKING[look.reason].stream


def blame_of(reason: Reason | None) -> Blame | None:
    """Whose fault a reason is where nothing is known of what the camera shares with others; None for no reason."""
    return None if reason is None else default_blame(reason)


def faults_of(look: Look, policy: Policy) -> tuple[str, ...]:
    """The faults that this look alone shows, in the order of FAULTS: `faults` of `probe`."""
    found = _findings(look, policy, frozenset())
    return tuple(name for name in FAULTS if name in found and found[name].present)


def _reach_or_stream(attributed: Attributed, reason: Reason, policy: Policy, dimension: str) -> Opinion:
    row = BOOKING[reason]
    state = row.reach if dimension == REACH else row.stream
    if state is State.UP:
        return Opinion(dimension, state)
    if state is State.UNKNOWN:
        return Opinion(dimension, state, reason.value, default_blame(reason))
    return Opinion(dimension, state, reason.value, attributed.blame or default_blame(reason), policy.confirmations)


def _picture(look: Look, policy: Policy, present: frozenset[str]) -> list[Opinion]:
    """Opinions on every fault that this look can judge, and on the picture as a whole; none where it was not asked."""
    if look.reason is not None and BOOKING[look.reason].picture is None:
        return []
    found = _findings(look, policy, present)
    faults = [_on_fault(name, found[name]) for name in FAULTS if name in found]
    broken = [name for name in FAULTS if FAULTS[name].breaks_intact and name in found and found[name].present]
    if broken:
        main = min(broken, key=lambda name: found[name].confirmations)  # of equals the first of the table
        since_us, confirmations = found[main].since_us, found[main].confirmations
        return [Opinion(PICTURE, State.DOWN, main, Blame.CAMERA, confirmations, since_us), *faults]
    if look.reason is not None:
        return [Opinion(PICTURE, State.UNKNOWN, look.reason.value, default_blame(look.reason)), *faults]
    if "blackout" not in found:  # not even the exposure could be judged
        return [Opinion(PICTURE, State.UNKNOWN, None, Blame.OURS), *faults]
    return [Opinion(PICTURE, State.UP), *faults]


def _on_fault(name: str, finding: Finding) -> Opinion:
    dimension = FAULT_PREFIX + name
    if not finding.present:
        return Opinion(dimension, State.UP)
    return Opinion(dimension, State.DOWN, name, Blame.CAMERA, finding.confirmations, finding.since_us)


def _findings(look: Look, policy: Policy, present: frozenset[str]) -> dict[str, Finding]:
    """The faults that this look can judge; one that is not there was not judged."""
    if look.depth is not Depth.PICTURE:
        return {}
    if look.reason is Reason.MEDIA_BROKEN:
        return {"picture_broken": Finding(present=True, confirmations=policy.confirmations)}
    if look.reason is not None and look.waited_out and BOOKING[look.reason].waited_out is State.DOWN:
        return {"picture_broken": Finding(present=True, confirmations=policy.no_keyframe_confirmations)}
    if look.reason is not None:
        return {}
    found = {"picture_broken": Finding(present=False)}
    for name, judged_by in _JUDGED_BY.items():
        finding = judged_by(look, policy, name in present)
        if finding is not None:
            found[name] = finding
        if name == "blackout" and finding is not None and finding.present:
            break  # a black picture is neither sharp nor blurred, neither live nor frozen
    return found


def _blackout(look: Look, policy: Policy, standing: bool) -> Finding | None:  # noqa: FBT001 - one of a table of three
    mean, dark, texture = look.value("luma_mean"), look.value("dark_share"), look.value("texture")
    if mean is None or dark is None or texture is None:
        return None
    if standing:
        black = (
            mean < policy.black_mean_clear and dark >= policy.black_share_clear and texture < policy.black_texture_clear
        )
    else:
        black = mean < policy.black_mean and dark >= policy.black_share and texture < policy.black_texture
    return Finding(black, policy.confirmations if black else 0)


def blur_coarse_bars(fine: float, coarse: float, policy: Policy) -> tuple[float, float]:
    """The coarse sharpness below which a picture is blurred, and from which it is not. Where both measures are the same
    number they are of the same pixels: a small picture."""
    if coarse == fine:
        return policy.blur_small, policy.blur_small_clear
    return policy.blur_coarse, policy.blur_coarse_clear


def _blur(look: Look, policy: Policy, standing: bool) -> Finding | None:  # noqa: FBT001 - one of a table of three
    fine = look.value("sharpness")
    if fine is None:
        return None
    if fine >= (policy.blur_clear if standing else policy.blur):
        return Finding(present=False)
    coarse = look.value("sharpness_coarse")
    if coarse is None:
        return None  # soft, but whether a lens or an enlargement made it so cannot be told
    raised, cleared = blur_coarse_bars(fine, coarse, policy)
    blurred = coarse < (cleared if standing else raised)
    return Finding(blurred, policy.confirmations if blurred else 0)


def frozen_shares(textured_tiles: float, policy: Policy) -> tuple[float, float]:
    """The `same_textured` from which a picture of so many textured tiles is frozen, and below which it is not.

    Either may be above 1: so few tiles never say that.
    """
    tiles = max(1.0, textured_tiles)
    return policy.frozen + policy.frozen_tiles / tiles, policy.frozen_clear + policy.frozen_tiles_clear / tiles


def _frozen(look: Look, policy: Policy, standing: bool) -> Finding | None:  # noqa: FBT001 - one of a table of three
    same, tiles, lone = look.value("same_textured"), look.value("textured_tiles"), look.value("lone_changes") or 0
    if same is None or not tiles:
        return None
    raised, cleared = frozen_shares(tiles, policy)
    if same < cleared:
        return Finding(present=False)
    if not standing and (same < raised or lone >= policy.frozen_lone):
        return None
    strong = same >= policy.frozen_strong and tiles >= policy.frozen_strong_tiles and lone < policy.frozen_lone
    confirmations = 0 if strong else policy.weak_frozen_confirmations
    return Finding(present=True, confirmations=confirmations, since_us=look.reference_us)


_Judge = Callable[[Look, Policy, bool], Finding | None]
_JUDGED_BY: Final[dict[str, _Judge]] = {"blackout": _blackout, "frozen": _frozen, "blur": _blur}
