"""The quality benchmark: its AUC, its defects, its peers and its table; no test looks at how well anything is told."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import measure, quality, quality_frozen
from benchmarks.measure import BenchmarkError, Result
from benchmarks.quality_damage import DAMAGES, convolved, disk_kernel, gaussian_kernel, motion_kernel
from benchmarks.quality_figures import HEALTHY, ROWS, Observation, auc, left_out, scene_weights, tally
from benchmarks.quality_frozen import Stream, watch
from benchmarks.quality_looks import STREAM_DAMAGES, Encoder, Eye, concealed, visibly_wrong
from benchmarks.quality_peers import FILTERS, Called, Filters, black_share, difference, laplacian_variance
from benchmarks.quality_scenes import CIF, Kind, Shot, natural, shot_of, shots, simulated
from benchmarks.quality_table import markdown
from benchmarks.quality_weather import WEATHER
from streamwatch.errors import UsageError
from streamwatch.simulator.glyphs import stamp
from streamwatch.verdict import FAULTS

scores = st.lists(st.one_of(st.none(), st.integers(0, 4).map(float)), min_size=1, max_size=12)
weights = st.integers(1, 5)


def by_name(name: str) -> object:
    return next(damage for damage in (*DAMAGES, *WEATHER) if damage.name == name).render


@pytest.fixture(scope="module")
def street() -> Shot:
    """A painted scene, 640x360."""
    return shots(simulated()[0], 1)[0]


@pytest.fixture(scope="module")
def gate() -> Shot:
    """Another one, at CIF."""
    return shots(simulated()[1], 1, CIF)[0]


@given(scores, scores, st.data())
def test_auc_is_the_share_of_pairs_in_order(
    bad: list[float | None], good: list[float | None], data: st.DataObject
) -> None:
    """The sorted way gives what comparing each bad picture with each good one gives; None ties with everything."""
    low = data.draw(st.lists(weights, min_size=len(bad), max_size=len(bad)))
    high = data.draw(st.lists(weights, min_size=len(good), max_size=len(good)))
    won = total = 0.0
    for one, its in zip(bad, low, strict=True):
        for other, others in zip(good, high, strict=True):
            total += its * others
            tied = one is None or other is None or one == other
            won += its * others * (0.5 if tied else float(one < other))  # type: ignore[operator]
    assert auc(bad, good, low, high) == pytest.approx(won / total)


def test_auc_needs_both_sides() -> None:
    """Nothing to compare with is an error, not a half."""
    with pytest.raises(ValueError, match="both sides"):
        auc([1.0], [])
    with pytest.raises(ValueError, match="both sides"):
        auc([1.0], [1.0], [0], [1])


def test_each_scene_weighs_the_same() -> None:
    """Ten pictures of one place count as much as one of another."""
    seen = [Observation(name, HEALTHY, "", True, (), {}) for name in ("a", "b", "b", "b")]
    assert scene_weights(seen) == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize("damage", [*DAMAGES, *WEATHER], ids=lambda damage: damage.name)
def test_a_damage_renders_a_picture_of_the_same_shape(damage: object, street: Shot) -> None:
    """Every grade gives whole planes, differs from what it began with, repeats itself, and leaves its input alone."""
    small = Shot(street.y[:180, :320].copy(), street.u[:90, :160].copy(), street.v[:90, :160].copy())
    before = small.i420.copy()
    found = damage.render(small, np.random.default_rng(3)).i420  # type: ignore[attr-defined]
    again = damage.render(small, np.random.default_rng(3)).i420  # type: ignore[attr-defined]
    assert (found.shape, found.dtype) == (before.shape, np.uint8)
    assert (found == again).all()
    assert (found != before).any()
    assert (small.i420 == before).all()


def test_every_damage_belongs_to_a_row_and_every_name_is_one() -> None:
    """A grade whose fault has no row would be rendered and never be shown."""
    named = [damage.name for damage in (*DAMAGES, *WEATHER)] + list(STREAM_DAMAGES)
    assert len(set(named)) == len(named)
    assert {damage.fault for damage in DAMAGES} <= {row.fault for row in ROWS}
    assert set(FAULTS) <= {row.fault for row in ROWS}
    assert {damage.fault for damage in WEATHER} == {""}


def test_a_kernel_spreads_light_and_loses_none() -> None:
    """Kernels sum to one, a point becomes the kernel, and an even plane stays as it is."""
    for kernel in (gaussian_kernel(2.5), disk_kernel(3), motion_kernel(9, 45), motion_kernel(15, 0)):
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        even = np.full((37, 53), 90, np.uint8)
        assert (convolved(even, kernel) == 90).all()
    point = np.zeros((41, 41), np.uint8)
    point[20, 20] = 250
    kernel = gaussian_kernel(1.5)
    reach = kernel.shape[0] // 2
    part = convolved(point, kernel)[20 - reach : 21 + reach, 20 - reach : 21 + reach]
    assert np.abs(part - 250 * kernel).max() <= 0.51
    across = motion_kernel(9, 0)
    assert np.count_nonzero(across.sum(axis=1) > 1e-3) == 1, "a level move blurs one row only"
    assert (across.sum(axis=0) > 0.05).sum() in (8, 9, 10)


def test_convolution_is_the_mirrored_sum() -> None:
    """The transform gives what summing shifted planes gives."""
    plane = np.random.default_rng(0).integers(0, 256, (19, 23), dtype=np.uint8)
    kernel = motion_kernel(5, 70)
    rows, columns = (side // 2 for side in kernel.shape)
    padded = np.pad(plane.astype(float), ((rows, rows), (columns, columns)), mode="symmetric")
    slow = np.zeros(plane.shape)
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            part = padded[2 * rows - row :, 2 * columns - column :][: plane.shape[0], : plane.shape[1]]
            slow += kernel[row, column] * part
    assert np.abs(convolved(plane, kernel) - slow).max() <= 0.51


@pytest.mark.parametrize(
    ("milder", "harder"),
    [("noise_4", "noise_12"), ("noise_12", "noise_25"), ("stripes_6_0", "stripes_25_0"), ("over_6", "over_40"),
     ("cast_pink_10", "cast_pink_40"), ("covered_30", "covered_90"), ("contrast_30", "contrast_8"),
     ("gaussian_1", "gaussian_6"), ("under_4", "under_40")],
)  # fmt: skip
def test_a_harder_grade_differs_more(milder: str, harder: str, street: Shot) -> None:
    """Grades are in order: a harder one is farther from the picture as it came."""

    def far(name: str) -> float:
        found = by_name(name)(street, np.random.default_rng(5)).i420  # type: ignore[operator]
        return float(np.abs(found.astype(int) - street.i420).mean())

    assert far(milder) < far(harder)


def test_a_covered_share_is_that_share(street: Shot) -> None:
    """60 % covered: about that share of the picture is grey, the rest is as it was."""
    found = by_name("covered_60")(street, np.random.default_rng(5)).y  # type: ignore[operator]
    kept = np.abs(found.astype(int) - street.y) <= 9
    assert 0.3 < kept.mean() < 0.55


def test_a_damaged_keyframe_is_really_damaged(street: Shot) -> None:
    """Damage in the bytes: a viewer sees it, and the product's decoder says so; the whole one is whole."""
    unit = Encoder(640, 360, 29).keyframe(street.i420)
    eye, rng = Eye(), np.random.default_rng(2)
    assert eye.look(unit).faults == ()
    assert not visibly_wrong(concealed(unit), street)
    for name in ("lost", "cut", "zeroed"):
        damaged = STREAM_DAMAGES[name](unit, rng)
        assert damaged != unit, name
        assert damaged[:40] == unit[:40], "parameter sets stay"
        assert visibly_wrong(concealed(damaged), street), name
        assert eye.look(damaged).faults == ("picture_broken",), name
    assert visibly_wrong(None, street)


def test_filters_say_what_their_rules_say(street: Shot) -> None:
    """FFmpeg's own decisions agree with the values that stand for them: black share 0.98, difference 0.001."""
    black = np.full_like(street.i420, 128)
    black[:360] = 20
    nearly = black.copy()
    nearly[:8] = 200  # 2.2 % of the picture
    pictures = [street.i420, street.i420, black, black, nearly, street.i420]
    filters = Filters(640, 360, FILTERS)
    before = None
    for picture in pictures:
        said = filters.call(picture, 360)
        if ("blackout", "blackdetect") in said:
            assert said["blackout", "blackdetect"].fault == (black_share(picture[:360]) >= 0.98)
        if before is not None and ("frozen", "freezedetect") in said:
            assert said["frozen", "freezedetect"].fault == (difference(picture, before) <= 0.001)
        before = picture
    missing = [name for name in FILTERS if name not in av.filter.filters_available]
    assert not missing, "PyAV's wheels bring them all"


def test_the_laplacian_is_that_of_the_examples(street: Shot) -> None:
    """The same as OpenCV's cv2.Laplacian(y, CV_64F).var(), but for the outermost pixels."""
    cv2 = pytest.importorskip("cv2")
    inner = cv2.Laplacian(street.y, cv2.CV_64F)[1:-1, 1:-1]
    assert laplacian_variance(street.y) == pytest.approx(inner.var())


def test_a_picture_that_hangs_is_told_from_a_still_scene(gate: Shot) -> None:
    """Repeated bytes and a held picture are frozen at the second look, a living still scene is not; the clock runs."""
    assert gate.y.shape == (288, 352)
    for hang in ("repeated", "held", "held_no_clock"):
        seen = watch(Stream("gate", gate, 3, 1.0, 29, hang))
        assert [("frozen" in one.faults) for one in seen.observations] == [True, True], hang
        assert seen.said == 2
    seen = watch(Stream("gate", gate, 3, 1.0, 29))
    assert (seen.said, seen.confirmed, len(seen.observations)) == (0, 0, 2)
    rated = watch(Stream("gate", gate, 2, 1.0, 29, "abr_300"))
    assert [one.grade for one in rated.observations] == ["abr_300"]


def test_a_hanging_picture_hangs_but_for_its_clock(gate: Shot) -> None:
    """Repeated: the same bytes. Held: the same picture under a clock that runs, or without one. Alive: fresh noise."""

    def three(hang: str | None) -> list[Shot]:
        made = quality_frozen._pictures(Stream("gate", gate, 3, 1.0, 29, hang), 1.0)
        return [shot_of(picture) for picture in itertools.islice(made, 3)]

    assert len(set(quality_frozen._units(Stream("gate", gate, 3, 1.0, 29, "repeated")))) == 1
    assert len(set(quality_frozen._units(Stream("gate", gate, 3, 1.0, 29, "held")))) == 3
    first, second, third = three("held")
    assert (first.y[36:] == third.y[36:]).all(), "below the clock"
    assert (first.y[:36] != second.y[:36]).any(), "a minute later"
    bare, same, _ = three("held_no_clock")
    assert (bare.y == same.y).all()
    stamped = bare.y.copy()
    stamp(stamped, "2026-03-01 08:02:00", top=4, left=8, scale=1)
    assert (third.y == stamped).all(), "the clock lies on the picture, not on an older clock"
    alive, later, _ = three(None)
    assert (alive.y[36:] != later.y[36:]).mean() > 0.3


def seen_of(scene: str, grade: str, fault: str, score: int, **more: object) -> Observation:
    said = ("blur",) if score < 40 else ()
    return Observation(scene, grade, fault, True, said, {"blur": score}, **more)  # type: ignore[arg-type]


def test_figures_name_the_worst_scene_and_the_peers() -> None:
    """Recall, false alarms, AUC and the scenes that are worst, of ours and of a peer without a threshold."""
    peer = {("blur", "width"): Called(3.0, None)}
    result = Result("quality", {"full": False})
    tally(result, [
        seen_of("a", HEALTHY, "", 80, peers={("blur", "width"): Called(1.0, None)}),
        seen_of("b", HEALTHY, "", 30, peers=peer),
        seen_of("a", "gaussian_4", "blur", 10, peers=peer),
        seen_of("b", "gaussian_4", "blur", 50, peers=peer),
        Observation("a", "noise_12", "noise", True, (), {}),
        seen_of("a", "fog", "", 20),
    ])  # fmt: skip
    found = {name: spread["median"] for name, spread in result.samples.figures().items()}
    assert found["recall.blur"] == 0.5
    assert found["false_per_1000.blur"] == 500
    assert found["auc.blur"] == 0.75
    assert found["auc.blur.width"] == 0.75
    assert "recall.blur.width" not in found
    assert found["recall_in.blur.b"] == 0
    assert found["false_in.blur.b"] == 1000
    assert found["false_per_1000"] == 500
    assert found["false_per_1000.weather.fog"] == 1000
    assert any(note.startswith("noise is not judged yet") for note in result.notes)


def test_a_bar_is_set_without_the_scene_that_it_judges() -> None:
    """Scene a's healthy 5 is below the 8 that b allows, b's bad 6 is not below the 5 that a allows."""

    def seen(scene: str, value: float | None) -> Observation:
        return Observation(scene, HEALTHY, "", True, (), {}, {} if value is None else {"sharpness": value})

    result = Result("quality", {})
    good = [seen("a", 5), seen("a", 9), seen("b", 8)]
    left_out(
        result, "blur", [seen("a", 1), seen("a", None), seen("b", 6)], good, lambda one: one.measures.get("sharpness")
    )
    found = result.samples.figures()
    assert (found["loso_bar.blur"]["min"], found["loso_bar.blur"]["max"]) == (5, 8)
    assert found["loso_false_per_1000.blur"]["median"] == 250
    assert found["loso_missed.blur"]["median"] == 0.75


def test_the_table_has_a_line_a_fault_and_a_line_a_peer() -> None:
    """The block for the documentation: every row, its peers, and what is not judged yet."""
    result = Result("quality", {"full": False}, notes=["a note"])
    guess = {("blur", "guess"): Called(1.0, None)}
    tally(result, [
        seen_of("a", HEALTHY, "", 80, peers={("blur", "width"): Called(1.0, False)}),
        seen_of("a", "gaussian_4", "blur", 10, peers={("blur", "width"): Called(3.0, True), **guess}),
    ])  # fmt: skip
    result.ratios["score_over_decode_720p"] = 0.1
    lines = markdown(result.to_json(measure.machine()), "python -m benchmarks quality").splitlines()
    assert lines[0].startswith("`python -m benchmarks quality`")
    assert "| **blur** | 1.000 | 0.97 | 1.00 | 0 | 0.00 / 0.00 |  |  |" in lines
    assert "| – width | 1.000 |  | 1.00 | 0 |  |  |  |" in lines
    assert "| noise | not judged yet | 0.99 |  |  |  |  |  |" in lines
    assert "| blur: gaussian_4 | 1.000 | 1.00 |" in lines
    assert "| – guess | 0.500 |  | no threshold |  |  |  |  |" in lines
    assert "- a note" in lines
    tables = [line for line in lines if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


def test_a_folder_is_read_by_its_layout(tmp_path: Path, street: Shot) -> None:
    """media/ holds clips, images/ photographs: blurred or sharp by their folder or their name, others are left out."""
    with pytest.raises(UsageError, match="no folder"):
        natural(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no healthy pictures"):
        natural(tmp_path)
    for name in ("blur/a.jpg", "noblur/b.jpg", "pairs/c_S.JPG", "pairs/c_F.JPG", "pairs/c_M.JPG", "pairs/other.jpg"):
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "d.mp4").write_bytes(b"")
    kinds = {scene.name: scene.kind for scene in natural(tmp_path)}
    blurred, sharp = Kind.BLURRED, Kind.SHARP
    assert kinds == {"d": Kind.CLIP, "a": blurred, "b": sharp, "c_S": sharp, "c_F": blurred, "c_M": blurred}
    with pytest.raises(BenchmarkError, match=r"d\.mp4 cannot be read"):
        shots(natural(tmp_path)[0], 1)


def test_a_natural_folder_is_measured_whole(tmp_path: Path, street: Shot) -> None:
    """A small clip and a photograph go all the way; a second one takes what the first rendered, and finds the same."""
    small = Shot(street.y[:180, :320], street.u[:90, :160], street.v[:90, :160])
    (tmp_path / "media").mkdir()
    (tmp_path / "images" / "blur").mkdir(parents=True)
    write(tmp_path / "media" / "street.mp4", "libx264", "yuv420p", [small] * 3)
    blurred = by_name("gaussian_4")(small, np.random.default_rng(1))  # type: ignore[operator]
    write(tmp_path / "images" / "blur" / "soft.jpg", "mjpeg", "yuvj420p", [blurred])
    plan = replace(
        quality.QUICK, data=tmp_path, healthy=2, stills=1, still_looks=3, hang_looks=2, rated_stills=0, cost_runs=1,
        widths=(640,), sized=1, workers=1,
    )  # fmt: skip
    found = json.loads(json.dumps(quality.run(plan, tmp_path / "cache").to_json(measure.machine())))
    assert found["fixture"]["full"] is False
    assert found["fixture"]["pictures"] == "natural"
    wanted = {
        "auc.blur",
        "auc.blur.laplacian",
        "auc.blackout",
        "auc.blackout.blackdetect",
        "auc.frozen",
        "false_per_1000",
    }
    wanted |= {"auc.picture_broken", "auc.blur_photographs", "cost_us_720p.score", "frozen.live_looks"}
    wanted |= {"auc_of_measure.blur_photographs.sharpness"}
    assert wanted <= set(found["figures"])
    assert {"score_over_decode_720p", "cost_share_of_decode_720p"} == set(found["ratios"])
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.msgpack")}
    task = quality.Task(natural(tmp_path)[0], 640, tmp_path / "cache", 2, plan.qps, 1, plan.damaged_qps)
    cached, fresh = quality.observe(task), quality.observe(replace(task, cache=tmp_path / "other"))
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert len(kept) == 2
    assert cached == fresh
    assert [one.second for one in cached[:3]] == [False, True, False], "two as they came, then the first damaged one"


def write(file: Path, codec: str, pixels: str, pictures: list[Shot]) -> None:
    with av.open(str(file), "w", format="image2" if codec == "mjpeg" else None) as container:
        stream = container.add_stream(codec, rate=1)
        stream.height, stream.width = pictures[0].y.shape
        stream.pix_fmt = pixels
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture.i420, format="yuv420p").reformat(format=pixels)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_an_array_becomes_its_planes() -> None:
    """I420 and back."""
    flat = np.random.default_rng(0).integers(0, 256, (12 * 3 // 2, 20), dtype=np.uint8)
    shot = shot_of(flat)
    assert (shot.y.shape, shot.u.shape, shot.v.shape) == ((12, 20), (6, 10), (6, 10))
    assert (shot.i420 == flat).all()
