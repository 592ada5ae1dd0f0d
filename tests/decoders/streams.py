"""Encoded material that the tests make themselves: H.264 keyframes by x264, and hand-made parameter sets."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

START = b"\x00\x00\x00\x01"


def street(width: int = 640, height: int = 360, at: float = 0.0) -> NDArray[np.float64]:
    """A drawn street with houses, windows, a kerb and a car that moves with `at` seconds; levels 0-255."""
    y = np.empty((height, width))
    half = height // 2
    y[:half] = np.linspace(200, 150, half)[:, None]
    y[half:] = np.linspace(90, 110, height - half)[:, None]
    for left, wide, high, level in ((0.06, 0.19, 0.3, 120), (0.31, 0.14, 0.2, 150), (0.52, 0.25, 0.36, 95)):
        x0, x1 = int(left * width), int((left + wide) * width)
        y0 = half - int(high * height)
        y[y0 : half + 20, x0:x1] = level
        for x in range(x0 + 8, x1 - 12, 24):
            for row in range(y0 + 8, half - 8, 26):
                y[row : row + 14, x : x + 12] = 60
    y[int(height * 0.72) : int(height * 0.72) + 4] = np.where((np.arange(width) // 20) % 2, 220, 100)
    car = int(40 + 60 * at) % (width - 80)
    y[int(height * 0.6) : int(height * 0.6) + 30, car : car + 60] = 30
    return y


def blurred(y: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian blur."""
    radius = int(4 * sigma + 0.5)
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma * sigma))
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
        wide = np.pad(y, pad, mode="edge")
        y = sum(weight * np.take(wide, range(k, k + y.shape[axis]), axis) for k, weight in enumerate(kernel))
    return y


def noisy(y: NDArray[np.float64], sigma: float, seed: int) -> NDArray[np.float64]:
    """Sensor noise."""
    return y + np.random.default_rng(seed).normal(0, sigma, y.shape)


def with_clock(y: NDArray[np.float64], tick: int) -> NDArray[np.float64]:
    """A burnt-in clock in the top rows that shows another text each tick."""
    y = y.copy()
    y[6:30, 10:220] = 0
    glyphs = np.random.default_rng(tick)
    for k in range(18):
        y[10:24, 14 + k * 11 : 24 + k * 11] = glyphs.integers(0, 2, (7, 5)).repeat(2, 0).repeat(2, 1) * 235
    return y


def plane(y: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Levels as a uint8 plane."""
    return np.clip(np.round(y), 0, 255).astype(np.uint8)


def keyframes(
    pictures: list[NDArray[np.float64]], *, qp: int = 28, pix_fmt: str = "yuv420p", slices: int = 1
) -> list[bytes]:
    """Each picture as an IDR access unit with its parameter sets, by one x264 encoder at constant quantiser."""
    height, width = pictures[0].shape
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, pix_fmt
    encoder.time_base = Fraction(1, 25)
    encoder.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "qp": str(qp),
        "g": "1",
        "threads": "1",
        "slices": str(slices),
    }
    packets = []
    for number, picture in enumerate(pictures):
        frame = _framed(plane(picture), pix_fmt)
        frame.pts = number
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    packets += [bytes(packet) for packet in encoder.encode(None)]
    return packets


def _framed(luma: NDArray[np.uint8], pix_fmt: str) -> av.VideoFrame:
    """Exactly these levels as luma (no conversion of range), grey chroma."""
    ten_bit = pix_fmt.endswith("10le")
    levels = luma.astype("<u2") * 4 if ten_bit else luma
    frame = av.VideoFrame(luma.shape[1], luma.shape[0], pix_fmt)
    for number, part in enumerate(frame.planes):
        rows = np.zeros((part.buffer_size // part.line_size, part.line_size), np.uint8)
        if number == 0:
            bytes_of = np.ascontiguousarray(levels).view(np.uint8).reshape(luma.shape[0], -1)
            rows[: luma.shape[0], : bytes_of.shape[1]] = bytes_of
        else:
            rows.view("<u2" if ten_bit else np.uint8)[:] = 512 if ten_bit else 128
        part.update(rows.tobytes())
    return frame


def keyframe(picture: NDArray[np.float64], *, qp: int = 28, pix_fmt: str = "yuv420p", slices: int = 1) -> bytes:
    """One picture as an IDR access unit."""
    return keyframes([picture], qp=qp, pix_fmt=pix_fmt, slices=slices)[0]


def keyframe_h265(picture: NDArray[np.float64], *, qp: int = 28, pix_fmt: str = "yuv420p") -> bytes:
    """The same by x265."""
    encoder = av.CodecContext.create("libx265", "w")
    encoder.height, encoder.width = picture.shape
    encoder.pix_fmt, encoder.time_base = pix_fmt, Fraction(1, 25)
    parameters = f"qp={qp}:keyint=1:repeat-headers=1:annexb=1:info=0:frame-threads=1:pools=1:log-level=none"
    encoder.options = {"preset": "ultrafast", "x265-params": parameters}
    frame = _framed(plane(picture), pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def bomb(width: int = 16_000, height: int = 16_000) -> bytes:
    """31 bytes that promise a picture of that size: SPS, PPS, head of an IDR slice (H.264 7.3.2.1, 7.3.2.2, 7.3.3)."""
    sps = [(0x67, 8), (66, 8), (0xC0, 8), (51, 8), 0, 0, 2, 1, (0, 1), width // 16 - 1, height // 16 - 1]
    sps += [(1, 1), (1, 1), (0, 1), (0, 1), (1, 1)]
    pps = [(0x68, 8), 0, 0, (0, 1), (0, 1), 0, 0, 0, (0, 1), (0, 2), 0, 0, 0, (0, 1), (0, 1), (0, 1), (1, 1)]
    idr = [(0x65, 8), 0, 7, 0, (0, 4), 0, (0, 1), (0, 1), 0, (1, 1)]
    return b"".join(START + _bits(fields) for fields in (sps, pps, idr))


def bomb_h265(width: int = 16_000, height: int = 16_000) -> bytes:
    """The same in H.265: VPS, SPS, PPS, head of an IDR slice (H.265 7.3.2.1 to 7.3.2.3, 7.3.6.1)."""
    level = [(0, 2), (0, 1), (1, 5), (0x6000_0000, 32), (1, 1), (0, 1), (0, 1), (1, 1), (0, 43), (0, 1), (186, 8)]
    vps = [(0, 4), (1, 1), (1, 1), (0, 6), (0, 3), (1, 1), (0xFFFF, 16), *level, (1, 1), 0, 0, 0, (0, 6), 0, (0, 2)]
    sps = [(0, 4), (0, 3), (1, 1), *level, 0, 1, width, height, (0, 1), 0, 0, 4, (1, 1), 0, 0, 0, 0, 3, 0, 3, 0, 0]
    sps += [(0, 4), 0, (0, 3), (0, 1), (0, 1)]
    pps = [0, 0, (0, 1), (0, 1), (0, 3), (0, 1), (0, 1), 0, 0, 0, (0, 3), 0, 0, (0, 10), (0, 1), 0, (0, 2)]
    idr = [(1, 1), (0, 1), 0, 2, 0, (1, 1), (0, 7)]
    units = ((32, vps), (33, sps), (34, pps), (19, idr))
    return b"".join(START + bytes([kind << 1, 1]) + _escaped(_bits([*fields, (1, 1)])) for kind, fields in units)


def _escaped(payload: bytes) -> bytes:
    """With emulation prevention bytes, H.265 clause 7.3.1.1."""
    out = bytearray()
    for byte in payload:
        if byte <= 3 and out.endswith(b"\x00\x00"):
            out.append(3)
        out.append(byte)
    return bytes(out)


def _bits(fields: list[int | tuple[int, int]]) -> bytes:
    """Fixed fields as (value, bits), the others as ue(v), H.264 section 9.1."""
    text = ""
    for field in fields:
        if isinstance(field, tuple):
            text += format(field[0], f"0{field[1]}b")
        else:
            code = format(field + 1, "b")
            text += "0" * (len(code) - 1) + code
    text += "0" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def first_slice(data: bytes) -> int:
    """Where the start code of the first IDR slice begins."""
    return data.index(START[1:] + b"\x65")
