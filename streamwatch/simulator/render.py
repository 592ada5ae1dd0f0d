"""Renders what a simulated camera sends: a scene's frames with movement, sensor noise and a clock, encoded as H.264.

The loop is `GOPS` groups of as many frames as the profile says. Every variant of a scene is encoded from its own
frames, so that a look sees what a camera with that defect would send: noise lies over the defect, the clock over both.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

import av
import msgspec
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from streamwatch.simulator.glyphs import stamp, text_width
from streamwatch.simulator.paint import Picture, Plane
from streamwatch.simulator.profile import FPS, ORDINARY, Profile
from streamwatch.simulator.scenes import WIDTH, Scene

RENDER_VERSION = 1  # part of the cache key: raise it with every change of what is rendered
# Primes, so that any step walks the whole loop; a main clip costs four times a sub clip, a full one nine times.
GOPS = {"sub": 13, "main": 7, "full": 5}
LENGTHY_GOPS = {"sub": 7, "main": 7, "full": 5}
SIZE = {"sub": (640, 360), "main": (1280, 720), "full": (1920, 1080)}
SEED_OF = {"sub": 2, "main": 1, "full": 3}  # so that streams do not share their noise
NOISE_SIGMA = 2.0  # luma levels: an ordinary sensor by day
BLACK_SIGMA = 0.5
BLACK_LUMA = 17
BLUR_SIGMA = {"sub": 4.5, "main": 9.0, "full": 13.5}  # pixels; the same lens, so twice on twice the pixels
CLOCK_START = datetime(2026, 3, 1, 8, 0, 0)  # noqa: DTZ001 - painted digits, not an instant
NOISE_POOL = 1 << 22  # samples; each frame reads a random stretch of them, which costs a tenth of drawing anew


class Variant(StrEnum):
    """What a clip shows."""

    HEALTHY = "healthy"
    BLUR = "blur"
    FROZEN = "frozen"
    BLACKOUT = "blackout"


class Clip(msgspec.Struct, frozen=True):
    """An encoded loop: `gops[g][f]` is the list of NAL units of one access unit (no start codes, no parameter sets)."""

    width: int
    height: int
    sps: bytes
    pps: bytes
    gops: list[list[list[bytes]]]
    fps: int = FPS


class _Layer:
    """A mover prepared for one size: premultiplied, even-sided, with half-size chroma."""

    def __init__(self, picture: Picture) -> None:
        height, width = picture.height + picture.height % 2, picture.width + picture.width % 2
        pad = ((0, height - picture.height), (0, width - picture.width))
        self.alpha = np.pad(picture.alpha, pad)
        self.y = np.pad(picture.y, pad) * self.alpha
        small = Picture(*(np.pad(p, pad) for p in (picture.y, picture.u, picture.v, picture.alpha))).shrunk(2)
        self.small_alpha = small.alpha
        self.u, self.v = small.u * small.alpha, small.v * small.alpha

    def draw(self, frame: NDArray[np.uint8], height: int, width: int, x: float, y: float, glow: float) -> None:
        """Blends the thing, its centre at (x, y), into an I420 frame; what lies outside is cut."""
        rows, columns = self.alpha.shape
        top, left = 2 * round((y - rows / 2) / 2), 2 * round((x - columns / 2) / 2)
        y0, y1, x0, x1 = max(0, top), min(height, top + rows), max(0, left), min(width, left + columns)
        if y0 >= y1 or x0 >= x1:
            return
        _blend(
            frame[y0:y1, x0:x1],
            self.y[y0 - top : y1 - top, x0 - left : x1 - left],
            self.alpha[y0 - top : y1 - top, x0 - left : x1 - left],
            glow,
        )
        chroma = frame[height:].reshape(2, height // 2, width // 2)
        into = (slice(y0 // 2, y1 // 2), slice(x0 // 2, x1 // 2))
        of = (slice((y0 - top) // 2, (y1 - top) // 2), slice((x0 - left) // 2, (x1 - left) // 2))
        for plane, colour in zip(chroma, (self.u, self.v), strict=True):
            _blend(plane[into], colour[of], self.small_alpha[of], glow)


def _blend(below: NDArray[np.uint8], premultiplied: Plane, alpha: Plane, glow: float) -> None:
    gain = np.float32(glow)
    below[:] = (below * (1 - alpha * gain) + premultiplied * gain + np.float32(0.5)).astype(np.uint8)


def _background(picture: Picture) -> NDArray[np.uint8]:
    """I420: (height * 3 / 2, width)."""
    half = picture.shrunk(2)
    planes = (np.clip(p + 0.5, 16, 235).astype(np.uint8) for p in (picture.y, half.u, half.v))
    return np.concatenate([p.reshape(-1) for p in planes]).reshape(picture.height * 3 // 2, picture.width)


class _Noise:
    """Sensor noise: a random stretch of a pool of normal samples for every frame."""

    def __init__(self, rng: np.random.Generator, sigma: float) -> None:
        self._rng = rng
        self._pool = np.rint(rng.standard_normal(NOISE_POOL, dtype=np.float32) * np.float32(sigma)).astype(np.int16)

    def add(self, luma: NDArray[np.uint8]) -> None:
        start = int(self._rng.integers(0, NOISE_POOL - luma.size))
        noisy = luma + self._pool[start : start + luma.size].reshape(luma.shape)
        luma[:] = np.clip(noisy, 1, 254, out=noisy)


def _sized(picture: Picture, stream: str) -> Picture:
    """What is painted for 1280 x 720, in the size of that stream."""
    if stream == "full":
        return picture.enlarged(SIZE[stream][0] / WIDTH)
    return picture.shrunk(WIDTH // SIZE[stream][0])


def _gops(profile: Profile, stream: str) -> int:
    """How many groups are encoded: with a rate one more, in which the encoder finds its level."""
    return (LENGTHY_GOPS if profile.lengthy else GOPS)[stream] + (profile.kbps is not None)


def frames(
    scene: Scene, variant: Variant, stream: str, seed: int, profile: Profile = ORDINARY
) -> Iterator[NDArray[np.uint8]]:
    """The loop's frames as I420 arrays (height * 3 / 2, width), uint8; every one is a fresh array."""
    width, height = SIZE[stream]
    factor = WIDTH / width
    rng = np.random.default_rng([seed, list(Variant).index(variant), SEED_OF[stream]])
    count = _gops(profile, stream) * profile.gop_frames
    if variant is Variant.BLACKOUT:
        dark = np.full((height * 3 // 2, width), 128, np.uint8)
        dark[:height] = BLACK_LUMA
        noise = _Noise(rng, BLACK_SIGMA)
        for _ in range(count):
            frame = dark.copy()
            noise.add(frame[:height])
            yield frame
        return
    background = _sized(scene.background, stream)
    pictures = [_sized(mover.picture, stream) for mover in scene.movers]
    if variant is Variant.BLUR:
        sigma = BLUR_SIGMA[stream]
        background, pictures = background.blurred(sigma), [picture.blurred(sigma) for picture in pictures]
    still, layers = _background(background), [_Layer(picture) for picture in pictures]
    noise = _Noise(rng, NOISE_SIGMA)
    held: NDArray[np.uint8] | None = None
    for index in range(count):
        t = index / profile.fps
        if held is None:
            frame = still.copy()
            for mover, layer in zip(scene.movers, layers, strict=True):
                x, y = mover.path(t)
                layer.draw(frame, height, width, x / factor, y / factor, mover.glow(t) if mover.glow else 1.0)
            noise.add(frame[:height])
            if variant is Variant.FROZEN:
                held = frame
        if held is not None:
            frame = held.copy()
        _stamp_clock(frame[:height], scene.place, t)
        yield frame


def _stamp_clock(luma: NDArray[np.uint8], place: str, t: float) -> None:
    """Time at the left, place at the right, all within the top eighth."""
    height, width = luma.shape
    scale = height // 180  # 2 at 360 lines: 14 of them, in the 45 of the top eighth
    moment = CLOCK_START + timedelta(seconds=t)
    stamp(luma, f"{moment:%Y-%m-%d %H:%M:%S}", top=4 * scale, left=8 * scale, scale=scale)
    stamp(luma, place, top=4 * scale, left=width - 8 * scale - text_width(place, scale), scale=scale)


def render(scene: Scene, variant: Variant, stream: str, seed: int, profile: Profile = ORDINARY) -> Clip:
    """Renders and encodes one loop. `stream` is `sub` (640 x 360), `main` (1280 x 720) or `full` (1920 x 1080)."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height = SIZE[stream]
    encoder.pix_fmt = "yuv420p"
    encoder.framerate = Fraction(profile.fps)
    encoder.time_base = Fraction(1, profile.fps)
    encoder.options = _x264(profile, stream)
    packets = []
    for index, picture in enumerate(frames(scene, variant, stream, seed, profile)):
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = index
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    clip = _group([bytes(packet) for packet in packets], encoder.width, encoder.height, profile.fps)
    return clip if profile.kbps is None else msgspec.structs.replace(clip, gops=clip.gops[1:])


def _x264(profile: Profile, stream: str) -> dict[str, str]:
    gop = f"keyint={profile.gop_frames}:min-keyint={profile.gop_frames}:scenecut=0:bframes=0"
    kbps = profile.kbps_of(stream)
    if kbps is not None:
        rate = f"bitrate={kbps}:{gop}:slices=1:threads=1:force-cfr=1"
        return {"preset": "veryfast", "profile": "high", "x264-params": rate}
    # One quantiser for all: a repeated picture then encodes alike, as in a camera that hangs before its encoder.
    one = (
        f"qp={profile.qp}:{gop}:ref=1:slices=1"
        ":threads=1:aq-mode=0:mbtree=0:rc-lookahead=0:sync-lookahead=0:weightp=0:force-cfr=1"
    )
    return {"preset": "superfast", "profile": "main", "x264-params": one}


NAL_SLICE, NAL_IDR, NAL_SPS, NAL_PPS = 1, 5, 7, 8  # ITU-T H.264 table 7-1


def _group(packets: list[bytes], width: int, height: int, fps: int) -> Clip:
    sets: dict[int, bytes] = {}
    gops: list[list[list[bytes]]] = []
    for packet in packets:
        units = split_annex_b(packet)
        sets.update({unit[0] & 31: unit for unit in units if unit[0] & 31 in (NAL_SPS, NAL_PPS)})
        if any(unit[0] & 31 == NAL_IDR for unit in units):
            gops.append([])
        gops[-1].append([unit for unit in units if unit[0] & 31 in (NAL_SLICE, NAL_IDR)])
    return Clip(width, height, sets[NAL_SPS], sets[NAL_PPS], gops, fps)


def split_annex_b(stream: bytes) -> list[bytes]:
    """NAL units of an Annex B byte stream (ITU-T H.264 B.1), without start codes and their zero bytes."""
    units = []
    for piece in stream.split(b"\x00\x00\x01")[1:]:
        unit = piece.rstrip(b"\x00")
        if unit:
            units.append(unit)
    return units
