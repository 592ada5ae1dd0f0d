"""The contact sheet by itself: its PNG, its letters, its bounds."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from streamwatch.cli.letters import ADVANCE, HEIGHT, written
from streamwatch.cli.sheet import LETTERS_A_LINE, MAX_CELLS, TALL, WIDTH, Cell, png, shortened, write_sheet
from streamwatch.decoders.job import Thumbnail
from streamwatch.errors import UsageError


def test_the_png_is_read_back_pixel_by_pixel(tmp_path: Path) -> None:
    """Whatever was drawn is what a decoder that nobody here wrote finds."""
    rgb = np.random.default_rng(1).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(png(rgb))
    with av.open(str(tmp_path / "a.png")) as container:
        found = next(container.decode(video=0)).to_ndarray(format="rgb24")

    assert np.array_equal(found, rgb)


def test_letters_differ_and_what_has_none_is_a_question_mark() -> None:
    """Letters, digits and signs each their own; a blank is blank; beyond ASCII a question mark."""
    signs = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.,:-_/#%()+=?!"
    drawn = {written(letter).tobytes() for letter in signs}

    assert len(drawn) == len(signs)
    assert written("ab").shape == (HEIGHT, 2 * ADVANCE)
    assert not written(" ").any()
    assert np.array_equal(written("村"), written("?"))


@pytest.mark.parametrize("length", [1, 5, 20, 21, 200])
def test_long_names_lose_their_middle(length: int) -> None:
    """Their beginning and their end stay, and never more than the room there is."""
    name = "".join(chr(97 + at % 26) for at in range(length))
    short = shortened(name, 20)

    assert len(short) == min(length, 20)
    assert short[:1] == name[:1] and short[-1:] == name[-1:]


def test_the_sheet_is_bounded_and_small_pictures_are_not_enlarged(tmp_path: Path) -> None:
    """However many cells: at most 120 in rows of six; a picture of 2 x 2 stays one; a name fills its line at most."""
    small = Thumbnail(2, 2, b"\xff" * 12)
    cells = [Cell(at + 1, "x" * 500, ("y" * 500, "z" * 500, "more"), (1, 2, 3), small) for at in range(MAX_CELLS + 5)]
    write_sheet(tmp_path / "a.png", cells)
    with av.open(str(tmp_path / "a.png")) as container:
        found = next(container.decode(video=0)).to_ndarray(format="rgb24")

    assert found.shape == (MAX_CELLS // 6 * TALL, 6 * WIDTH, 3)
    assert int((found[: TALL - 70] == 255).all(axis=2).sum()) == 6 * 4
    assert LETTERS_A_LINE * ADVANCE * 2 <= WIDTH


def test_a_sheet_that_cannot_be_written_is_a_wrong_call(tmp_path: Path) -> None:
    """The message names the option and the place."""
    with pytest.raises(UsageError, match="--sheet"):
        write_sheet(tmp_path, [])
