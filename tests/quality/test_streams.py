"""The measures and the default policy on pictures that went through a real encoder, and on natural ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from streamwatch.decoders.codec import Codecs
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.quality import score
from streamwatch.verdict import Policy, faults_of
from tests.decoders.streams import blurred, keyframes, noisy, street, with_clock

POLICY = Policy()
MINUTE = 60_000_000
QUANTISERS = [26, 30]


def looks(planes: list[np.ndarray]) -> list[Look]:
    """Successive looks a minute apart, each with the fingerprint of the one before."""
    found: list[Look] = []
    previous = None
    for number, y in enumerate(planes):
        at_us = (number + 1) * MINUTE
        scored = score(y, previous, at_us)
        previous = scored.fingerprint
        found.append(
            Look(
                camera=1,
                depth=Depth.PICTURE,
                stream=StreamKind.SUB,
                started_us=at_us,
                duration_us=1,
                vantage="here",
                measures=scored.measures,
                reference_us=scored.reference_us,
            )
        )
    return found


def through_encoder(pictures: list[np.ndarray], qp: int) -> list[Look]:
    codecs = Codecs(max_pixels=8_900_000)
    return looks([codecs.decode("h264", data).luma.copy() for data in keyframes(pictures, qp=qp)])


@pytest.mark.parametrize("qp", QUANTISERS)
def test_healthy_stream_has_no_fault(qp: int) -> None:
    """Six looks at a live street with sensor noise and a clock."""
    pictures = [with_clock(noisy(street(at=k), 2, k), k) for k in range(6)]
    assert [faults_of(look, POLICY) for look in through_encoder(pictures, qp)] == [()] * 6


@pytest.mark.parametrize("qp", QUANTISERS)
@pytest.mark.parametrize("sigma", [4, 6])
def test_blurred_stream_is_blur_in_every_look(qp: int, sigma: float) -> None:
    """With the noise of the sensor and the sharp clock on top of the blur."""
    pictures = [with_clock(noisy(blurred(street(at=k), sigma), 2, k), k) for k in range(4)]
    assert [faults_of(look, POLICY) for look in through_encoder(pictures, qp)] == [("blur",)] * 4


@pytest.mark.parametrize("qp", QUANTISERS)
@pytest.mark.parametrize("level", [2, 16, 20, 32])
def test_black_stream_is_blackout_and_nothing_else(qp: int, level: int) -> None:
    """Whatever the camera calls black, and however still it stands."""
    pictures = [with_clock(noisy(np.full((360, 640), float(level)), 2, k), k) for k in range(4)]
    assert [faults_of(look, POLICY) for look in through_encoder(pictures, qp)] == [("blackout",)] * 4


@pytest.mark.parametrize("qp", QUANTISERS)
def test_frozen_stream_with_running_clock_is_frozen_from_the_second_look(qp: int) -> None:
    """At constant quantiser; only the clock changes."""
    still = noisy(street(), 2, 1)
    found = through_encoder([with_clock(still, k) for k in range(5)], qp)
    assert [faults_of(look, POLICY) for look in found] == [(), *[("frozen",)] * 4]


def natural(path: Path, *, every_s: float = 1.0) -> Iterator[np.ndarray]:
    """Luma of a picture, or of a clip's frames at least `every_s` apart."""
    with av.open(str(path)) as container:
        last = None
        for frame in container.decode(video=0):
            if last is not None and frame.time is not None and frame.time - last < every_s:
                continue
            last = frame.time
            grey = frame.reformat(format="gray")
            rows = np.frombuffer(grey.planes[0], np.uint8).reshape(-1, grey.planes[0].line_size)
            yield rows[: grey.height, : grey.width].copy()


def sharpness_of(path: Path) -> float:
    (y,) = natural(path)
    return next(found.value for found in score(y, None, 0).measures if found.name == "sharpness")


def test_photographs_blurred_and_sharp_are_apart(shared_data: Path) -> None:
    """Every really blurred photograph at its own size reads below the bar, every sharp one above the clearing bar."""
    images = shared_data / "images"
    soft = [*images.glob("haar/blur/*"), *images.glob("blur-pairs/*_[FM].JPG")]
    sharp = [*images.glob("haar/noblur/*"), *images.glob("blur-pairs/*_S.JPG")]
    assert len(soft) == 5 and len(sharp) == 3
    assert max(map(sharpness_of, soft)) < POLICY.blur
    assert min(map(sharpness_of, sharp)) > POLICY.blur_clear


CLIPS = ["bgs_video.avi", "bottle-detection.mp4", "car-detection.mp4", "tree.avi", "vtest.avi"]


@pytest.mark.parametrize("clip", CLIPS)
def test_healthy_clips_have_no_fault(shared_data: Path, clip: str) -> None:
    """Real cameras over minutes: not one look with a fault. (bikes.mp4 is a film with shots out of focus.)"""
    found = looks(list(natural(shared_data / "media" / clip)))
    assert len(found) >= 10
    assert [faults_of(look, POLICY) for look in found] == [()] * len(found)
