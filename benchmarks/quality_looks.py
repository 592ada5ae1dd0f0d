"""A picture's way through the product: encoded as a camera does, decoded by the product's decoder with its options,
scored by `quality.score`, judged by the thresholds that ship."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from benchmarks.quality_scenes import Plane, Shot
from streamwatch.decoders.codec import Codecs
from streamwatch.errors import LookError
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.quality import Scored, score
from streamwatch.scores import scores_of
from streamwatch.verdict import Policy, faults_of

MAX_PIXELS = 8_900_000  # as the looker's
SPACING_US = 60_000_000  # between two looks
POLICY = Policy()  # what ships
INTRA = "keyint=1:bframes=0:slices=1:threads=1:aq-mode=0:repeat-headers=1:sync-lookahead=0:rc-lookahead=0"


class Encoder:
    """x264 as a camera at one quantiser: every picture is a keyframe with its parameter sets."""

    def __init__(self, width: int, height: int, qp: int) -> None:
        made = av.CodecContext.create("libx264", "w")
        assert isinstance(made, VideoCodecContext)
        made.width, made.height, made.pix_fmt = width, height, "yuv420p"
        made.framerate, made.time_base = Fraction(25), Fraction(1, 25)
        made.options = {"preset": "superfast", "tune": "zerolatency", "x264-params": f"qp={qp}:{INTRA}"}
        self._context, self._at = made, 0

    def keyframe(self, i420: Plane) -> bytes:
        """One access unit, Annex B."""
        frame = VideoFrame.from_ndarray(i420, format="yuv420p")
        frame.pts = self._at
        self._at += 1
        packets = self._context.encode(frame)
        assert len(packets) == 1, "the encoder keeps pictures back"
        return bytes(packets[0])


@dataclass(frozen=True, slots=True)
class Seen:
    """What the product says of one picture. `i420` None: it came to no picture. `memory` is for the next look."""

    faults: tuple[str, ...]
    scores: dict[str, int]
    measures: dict[str, float]
    look: Look
    memory: bytes | None
    i420: NDArray[np.uint8] | None = None


class Eye:
    """The decoder and the measures of one worker."""

    def __init__(self) -> None:
        self._codecs = Codecs(max_pixels=MAX_PIXELS)

    def look(self, unit: bytes, memory: bytes | None = None, number: int = 0, *, whole: bool = True) -> Seen:
        """The look number `number` at a camera, a minute after the one before, which left `memory`.

        With `whole` the decoded picture is given back too, for rules that need it.
        """
        at_us = number * SPACING_US
        try:
            picture = self._codecs.decode("h264", unit)
        except LookError as error:
            return self._seen(_look(at_us, error), memory)
        scored = score(picture.luma, memory, at_us)
        return self._seen(
            _look(at_us, scored=scored), scored.fingerprint, picture.frame.to_ndarray() if whole else None
        )

    def _seen(self, look: Look, memory: bytes | None, i420: NDArray[np.uint8] | None = None) -> Seen:
        values = {one.name: one.value for one in look.measures if one.valid}
        return Seen(faults_of(look, POLICY), scores_of(look, POLICY), values, look, memory, i420)


def _look(at_us: int, failure: LookError | None = None, scored: Scored | None = None) -> Look:
    return Look(
        camera=0, depth=Depth.PICTURE, stream=StreamKind.MAIN, started_us=at_us, duration_us=0, vantage="benchmark",
        codec="h264",
        reason=failure.reason if failure else None,
        step=failure.step if failure else None,
        measures=scored.measures if scored else (),
        reference_us=scored.reference_us if scored else None,
    )  # fmt: skip


def concealed(unit: bytes) -> NDArray[np.uint8] | None:
    """What a viewer sees of a damaged keyframe: FFmpeg paints over what is missing. None where it gives nothing."""
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 1
    try:
        frames = context.decode(av.Packet(unit)) + context.decode(None)
    except av.error.FFmpegError:
        return None
    return frames[0].to_ndarray(format="yuv420p") if frames else None


# Damage to an encoded keyframe


def _slice_start(unit: bytes) -> int:
    """Where the slice's data is well under way: behind the header of the IDR unit (as x264 writes it)."""
    at = unit.find(b"\x00\x00\x01\x65")
    return at + 16 if at >= 0 else min(64, len(unit) // 2)


def lost(unit: bytes, rng: np.random.Generator) -> bytes:
    """One packet's worth of bytes is missing, as after a loss that nobody noticed."""
    start = _slice_start(unit)
    size = min(1400, (len(unit) - start) // 3)
    at = int(rng.integers(start, max(start + 1, len(unit) - 2 * size)))
    return unit[:at] + unit[at + size :]


def cut(unit: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing: a fifth to four fifths of it."""
    start = _slice_start(unit)
    return unit[: start + int((len(unit) - start) * rng.uniform(0.2, 0.8))]


def flipped(unit: bytes, rng: np.random.Generator) -> bytes:
    """A few bits changed on the way."""
    start, data = _slice_start(unit), bytearray(unit)
    for at in rng.integers(start, max(start + 1, len(unit) * 3 // 4), 3):
        data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


def zeroed(unit: bytes, rng: np.random.Generator) -> bytes:
    """A stretch overwritten by something else, as by a buffer that was used twice (no start code among it)."""
    start = _slice_start(unit)
    size = min(600, (len(unit) - start) // 3)
    at = int(rng.integers(start, max(start + 1, len(unit) - 2 * size)))
    return unit[:at] + rng.integers(4, 256, size, dtype=np.uint8).tobytes() + unit[at + size :]


STREAM_DAMAGES = {"lost": lost, "cut": cut, "flipped": flipped, "zeroed": zeroed}
VISIBLE_TILES = 0.01  # share of tiles that must be visibly wrong before a damaged keyframe counts as one
VISIBLE_LEVELS = 8.0  # mean difference of such a tile


def visibly_wrong(damaged: NDArray[np.uint8] | None, whole: Shot) -> bool:
    """Whether a viewer would see it: no picture, or tiles of 16 x 16 that differ."""
    if damaged is None:
        return True
    height, width = (side // 16 * 16 for side in whole.y.shape)
    if damaged.shape[1] != whole.y.shape[1]:
        return True
    wrong = np.abs(damaged[:height, :width].astype(np.int16) - whole.y[:height, :width])
    tiles = wrong.reshape(height // 16, 16, width // 16, 16).mean(axis=(1, 3))
    return bool((tiles >= VISIBLE_LEVELS).mean() >= VISIBLE_TILES)
