"""What the simulated cameras show, decoded again."""

from __future__ import annotations

from functools import cache

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from streamwatch.simulator.glyphs import stamp
from streamwatch.simulator.paint import enlarge
from streamwatch.simulator.profile import GOP_FRAMES, Profile
from streamwatch.simulator.render import GOPS, LENGTHY_GOPS, Clip, Variant, render, split_annex_b
from streamwatch.simulator.scenes import SCENES, Scene, paint_scene

SEED = 1
TOP = 360 // 8  # rows that may hold on-screen text


@cache
def scene(name: str) -> Scene:
    """A painted scene, once."""
    return paint_scene(name, SEED)


@cache
def clip(name: str, variant: Variant) -> Clip:
    """A rendered sub stream, once."""
    return render(scene(name), variant, "sub", SEED)


def key_frames(of: Clip, *gops: int) -> list[NDArray[np.uint8]]:
    """The luma of the key frames of these groups."""
    decoder = av.CodecContext.create("h264", "r")
    out = []
    for index in gops:
        units = [of.sps, of.pps, *of.gops[index][0]]
        out += decoder.decode(av.Packet(b"".join(b"\x00\x00\x00\x01" + unit for unit in units)))
    out += decoder.decode(None)
    return [picture.to_ndarray(format="yuv420p")[: of.height] for picture in out]


def equal_tiles(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """The share of textured 16 x 16 tiles below the on-screen text that are exactly equal."""
    same = textured = 0
    for y in range(48, 352, 16):
        for x in range(0, 640, 16):
            tile = a[y : y + 16, x : x + 16]
            if int(tile.max()) - int(tile.min()) >= 8:
                textured += 1
                same += bool((tile == b[y : y + 16, x : x + 16]).all())
    return same / textured


def steepest(luma: NDArray[np.uint8]) -> float:
    """The 99.9th percentile of steps between neighbours below the text, in levels: hard edges against soft ones."""
    part = luma[TOP:].astype(np.int16)
    return float(np.percentile(np.abs(np.diff(part, axis=1)), 99.9))


@pytest.mark.parametrize("name", list(SCENES))
def test_every_group_is_a_key_frame_and_nine_p_frames(name: str) -> None:
    """The sub stream is 640 x 360, closed groups of ten access units of one slice each."""
    made = clip(name, Variant.HEALTHY)

    assert (made.width, made.height, len(made.gops)) == (640, 360, GOPS["sub"])
    for gop in made.gops:
        assert [[unit[0] & 31 for unit in access_unit] for access_unit in gop] == [[5]] + [[1]] * (GOP_FRAMES - 1)


@pytest.mark.parametrize("name", list(SCENES))
def test_a_healthy_camera_lives_and_a_frozen_one_does_not(name: str) -> None:
    """Noise changes every tile of a healthy scene; a frozen one repeats most tiles exactly while its clock runs."""
    alive, later = key_frames(clip(name, Variant.HEALTHY), 0, 5)
    stuck, still = key_frames(clip(name, Variant.FROZEN), 0, 5)

    assert equal_tiles(alive, later) < 0.02
    assert equal_tiles(stuck, still) > 0.6
    assert not np.array_equal(stuck[:TOP], still[:TOP])


@pytest.mark.parametrize("name", list(SCENES))
def test_blur_softens_every_edge_but_not_the_text(name: str) -> None:
    """A healthy scene has hard edges; out of focus none is left below the on-screen text, which stays sharp."""
    (sharp,) = key_frames(clip(name, Variant.HEALTHY), 0)
    (soft,) = key_frames(clip(name, Variant.BLUR), 0)

    assert steepest(sharp) > 3 * steepest(soft)
    assert soft[:TOP].max() > 220


def test_a_black_picture_is_black_with_little_noise() -> None:
    """Luma 16 to 18 on average and hardly any spread."""
    (dark,) = key_frames(clip("road", Variant.BLACKOUT), 3)

    assert 16 <= dark.mean() <= 18
    assert dark.std() < 1


def test_text_stays_in_the_top_eighth_and_the_clock_runs_from_second_to_second() -> None:
    """Two frames of a frozen camera before encoding differ only there."""
    from streamwatch.simulator.render import frames

    made = list(frames(scene("road"), Variant.FROZEN, "sub", SEED))

    changed = np.flatnonzero((made[0] != made[GOP_FRAMES]).any(axis=1))
    assert changed.size > 0
    assert changed.max() < TOP


def test_main_is_the_same_view_in_1280_by_720() -> None:
    """Reduced by two, main and sub show nearly the same."""
    (main,) = key_frames(render(scene("gate"), Variant.HEALTHY, "main", SEED), 0)
    (sub,) = key_frames(clip("gate", Variant.HEALTHY), 0)

    assert main.shape == (720, 1280)
    small = main.reshape(360, 2, 640, 2).mean(axis=(1, 3))
    assert np.abs(small - sub).mean() < 4


def test_full_is_the_same_view_in_1920_by_1080(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduced by three, full and sub show nearly the same, whose key frame is several times as large."""
    monkeypatch.setitem(GOPS, "full", 1)
    large = render(scene("gate"), Variant.HEALTHY, "full", SEED, Profile(gop_frames=1))
    (full,) = key_frames(large, 0)
    (sub,) = key_frames(clip("gate", Variant.HEALTHY), 0)

    assert full.shape == (1080, 1920)
    small = full.reshape(360, 3, 640, 3).mean(axis=(1, 3))
    assert np.abs(small - sub).mean() < 4
    assert len(large.gops[0][0][0]) > 2 * len(clip("gate", Variant.HEALTHY).gops[0][0][0])


def test_a_picture_is_enlarged_about_its_centre() -> None:
    """A ramp stays a ramp between the centres of its first and last pixels, whatever the factor."""
    ramp = np.tile(np.arange(8, dtype=np.float32), (4, 1))

    large = enlarge(ramp, 1.5)

    assert large.shape == (6, 12)
    assert large[3] == pytest.approx(np.clip((np.arange(12) + 0.5) / 1.5 - 0.5, 0, 7), abs=1e-5)


def test_a_profile_says_how_large_pictures_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lesser quantiser makes larger key frames; a rate is kept after the group in which the encoder finds it."""
    monkeypatch.setitem(GOPS, "sub", 1)
    monkeypatch.setitem(LENGTHY_GOPS, "sub", 2)
    coarse, fine = (render(scene("gate"), Variant.HEALTHY, "sub", SEED, Profile(qp=qp)) for qp in (29, 24))
    rated = render(scene("gate"), Variant.HEALTHY, "sub", SEED, Profile(fps=25, gop_frames=50, kbps=1200))

    assert len(fine.gops[0][0][0]) > 1.5 * len(coarse.gops[0][0][0])
    assert (rated.fps, [len(gop) for gop in rated.gops]) == (25, [50, 50])
    kbps = [sum(len(unit) for frame in gop for unit in frame) * 8 / 2000 for gop in rated.gops]
    assert all(225 < one < 375 for one in kbps)  # a quarter of 1200


def test_the_same_seed_renders_the_same_bytes_and_another_one_does_not() -> None:
    """Clips may be cached by their seed."""
    again = render(paint_scene("lane", SEED), Variant.HEALTHY, "sub", SEED)
    other = render(paint_scene("lane", SEED + 1), Variant.HEALTHY, "sub", SEED + 1)

    assert again == clip("lane", Variant.HEALTHY)
    assert other.gops != again.gops


def test_a_stamp_touches_only_its_box() -> None:
    """White ink and a dark rim around it, nothing beyond."""
    luma = np.full((40, 120), 100, np.uint8)

    stamp(luma, "1:A", top=4, left=4, scale=2)

    assert {int(value) for value in np.unique(luma)} == {16, 100, 235}
    assert (luma[19:] == 100).all()
    assert (luma[:3] == 100).all()


def test_annex_b_splits_at_start_codes_of_both_lengths() -> None:
    """Three and four byte start codes, trailing zeros dropped."""
    assert split_annex_b(b"\x00\x00\x00\x01\x67a\x00\x00\x01\x68b\x00\x00\x00\x01\x65c\x00") == [
        b"\x67a",
        b"\x68b",
        b"\x65c",
    ]
