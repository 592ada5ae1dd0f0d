"""The frozen measure: exact equality of textured tiles, against a slow comparison of the pixels themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.quality import fingerprint
from streamwatch.quality.fingerprint import VERSION, Fingerprint, stillness, take, unpack
from tests.decoders.streams import noisy, plane, street, with_clock

MINUTE = 60_000_000


def same(first: np.ndarray, second: np.ndarray, apart_us: int = MINUTE) -> tuple[float, str | None]:
    found, *_ = stillness(take(second, apart_us), unpack(take(first, 0).pack()))
    return found.value, found.why


def oracle(first: np.ndarray, second: np.ndarray) -> float:
    """Tile by tile, pixel by pixel, as the definition says; for planes that are not strided down."""
    a, b = (y[y.shape[0] // 8 : y.shape[0] - y.shape[0] // 8] for y in (first, second))
    textured = equal = 0
    for row in range(0, a.shape[0] - 15, 16):
        for column in range(0, a.shape[1] - 15, 16):
            one, two = a[row : row + 16, column : column + 16], b[row : row + 16, column : column + 16]
            if int(two.max()) - int(two.min()) >= 8:
                textured += 1
                equal += bool((one == two).all())
    return equal / textured


def test_repeated_picture_is_the_same_under_a_running_clock() -> None:
    """The clock lies in the text band."""
    y = noisy(street(), 2, 1)
    assert same(plane(with_clock(y, 1)), plane(with_clock(y, 2))) == (1.0, None)


@pytest.mark.parametrize("seed", range(5))
def test_live_noise_is_not_the_same(seed: int) -> None:
    """Two exposures of a still scene differ in all tiles but chance ones: 1 in 128."""
    first, second = (plane(noisy(street(), 1, 10 * seed + k)) for k in (1, 2))
    value, why = same(first, second)
    assert why is None and value < 0.05


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_share_agrees_with_a_comparison_of_all_pixels(share: float) -> None:
    """One pixel of one level in some tiles: found, but for one tile in 128."""
    rng = np.random.default_rng(int(share * 10))
    first = plane(noisy(street(), 3, 4))
    second = first.copy()
    for row in range(45, 315 - 15, 16):
        for column in range(0, 640, 16):
            if rng.random() < share:
                second[row + rng.integers(16), column + rng.integers(16)] ^= 1
    assert same(first, second)[0] == pytest.approx(oracle(first, second), abs=0.03)


@st.composite
def marks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two fingerprints' tiles, most of them equal; some of them textured."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    cells = shape[0] * shape[1]
    before = np.array(draw(st.lists(st.integers(0, 127), min_size=cells, max_size=cells)), np.uint8).reshape(shape)
    changed = np.array(draw(st.lists(st.booleans(), min_size=cells, max_size=cells)), np.uint8).reshape(shape)
    return before | 0x80, (before ^ changed) | 0x80


@given(marks())
def test_lone_changes_agree_with_a_walk_over_all_tiles(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Changed, and none of the tiles to the left, above and below to the left; the first row may follow the clock."""
    before, now = pair
    rows, columns = before.shape
    different = before != now

    def explained(row: int, column: int) -> bool:
        around = ((row - 1, -1), (row, -1), (row + 1, -1), (row - 1, 0), (row - 1, 1))
        inside = ((y, column + x) for y, x in around if 0 <= y < rows and 0 <= column + x < columns)
        return row == 0 or any(different[y, x] for y, x in inside)

    expected = sum(bool(different[y, x]) and not explained(y, x) for y in range(rows) for x in range(columns))
    size = (columns * 16, rows * 16)
    found = stillness(Fingerprint(*size, MINUTE, now), Fingerprint(*size, 0, before))
    values = {one.name: one.value for one in found if one.valid}
    if values.get("same_textured", 0) >= fingerprint.LONE_FROM:
        assert values["lone_changes"] == expected
    else:
        assert "lone_changes" not in values


def test_flat_tiles_do_not_count() -> None:
    """A wall that is equal in both looks says nothing: only the textured part is compared."""
    first = np.full((360, 640), 120, np.uint8)
    first[150:250, :320] = plane(noisy(street(320, 100), 3, 1))
    second = first.copy()
    second[150:250, :320] = plane(noisy(street(320, 100), 3, 2))
    assert same(first, second)[0] < 0.05


@pytest.mark.parametrize("level", [0, 16, 255])
def test_blank_picture_cannot_be_judged(level: int) -> None:
    """Black is always like black."""
    y = np.full((360, 640), level, np.uint8)
    assert same(y, y) == (0.0, "no_detail")


def test_without_a_reference_of_the_same_size_it_cannot_be_judged() -> None:
    """First look, other size, a clock set back: no_reference; looks 5 s apart compare, closer ones are too soon."""
    y = plane(noisy(street(), 2, 1))
    found, tiles = stillness(take(y, 0), None)
    assert (found.valid, found.why) == (False, "no_reference")
    assert tiles.valid and tiles.value > 20
    assert same(plane(street(320, 240)), y)[1] == "no_reference"
    assert same(y, y, -MINUTE)[1] == "no_reference"
    assert same(y, y, fingerprint.MIN_AGE_US - 1)[1] == "too_soon"
    assert same(y, y, fingerprint.MIN_AGE_US) == (1.0, None)


@pytest.mark.parametrize(
    ("width", "height"),
    [(0, 0), (1, 1), (640, 360), (704, 576), (1280, 720), (1920, 1080), (3840, 2160), (2160, 3840), (8192, 1088)],
)
def test_fingerprint_is_small_and_survives_the_wire(width: int, height: int) -> None:
    """At most 1.6 KB for any size, and unpacks to itself."""
    taken = take(np.random.default_rng(1).integers(0, 255, (height, width), dtype=np.uint8), 1_764_000_000_000_000)
    packed = taken.pack()
    assert len(packed) <= 1600
    again = unpack(packed)
    assert again is not None
    assert (again.width, again.height, again.at_us) == (width, height, 1_764_000_000_000_000)
    assert (again.tiles == taken.tiles).all()


def test_fingerprint_is_the_same_on_every_machine() -> None:
    """Looker and successor may be different processes and machines: the bytes are pinned."""
    y = (np.arange(64 * 64, dtype=np.uint32).reshape(64, 64) * 7 % 251).astype(np.uint8)
    assert take(y, 5).pack().hex() == PINNED


@given(st.binary(max_size=64) | st.binary(min_size=17, max_size=64).map(lambda data: bytes([VERSION]) + data))
def test_any_bytes_are_a_fingerprint_or_none(data: bytes) -> None:
    """Lost, old or damaged memory costs the comparison, never the look."""
    found = unpack(data)
    assert found is None or isinstance(found, Fingerprint)
    y = plane(street())
    assert not stillness(take(y, 0), found)[0].valid


PINNED = "0240004000030004000500000000000000b290a68b82a4a0daeccad3fa"
