"""Tables and progress on real terminals of several widths, and on none."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Callable
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from streamwatch.cli import show
from streamwatch.cli.show import GAP, LEAST_WIDTH, fitted, progress, table

HEADINGS = ("village", "name", "state", "what is to be done about it")
ROWS = [
    ("331102000001", "青石村口高杆全景枪机一号", "up", None),
    ("331102000002", "Bridge", "down", "the recorder refuses the password; ask its owner for the new one [red]"),
]
STEERING = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_a_terminal(columns: int, work: Callable[[TextIO], None]) -> str:
    """What `work` writes to a terminal of that width, as the terminal would be sent it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    heard = bytearray()

    def listen() -> None:
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:
                return  # EIO: the other end is closed
            heard.extend(part)

    listening = threading.Thread(target=listen)
    listening.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        work(terminal)
    listening.join()
    os.close(ours)
    return heard.decode().replace("\r\n", "\n")


def seen(columns: int, rows: list[tuple[object, ...]] = ROWS, headings: tuple[str, ...] = HEADINGS) -> list[str]:
    """The lines of a table on a terminal, without colours."""
    return STEERING.sub("", on_a_terminal(columns, lambda out: table(headings, rows, file=out))).splitlines()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_table_fits_its_terminal_and_loses_nothing(columns: int) -> None:
    """No line is wider than the terminal, in cells; every character of every cell is there."""
    lines = seen(columns)

    assert max(map(cell_len, lines)) <= columns
    assert max(map(cell_len, lines)) > columns * 0.6 or columns == 200
    shown = "".join(lines)
    for row in ROWS:
        for cell in row:
            for char in str(cell or "–").replace(" ", ""):
                assert char in shown
    assert "[red]" in shown or columns < 200  # folding may cut the word, but it is no markup


def test_the_first_column_keeps_its_width_longest() -> None:
    """At 80 cells only the last column is folded; codes stay whole and can be copied."""
    lines = seen(80)

    assert [line.split()[0] for line in lines if line.startswith("3311")] == ["331102000001", "331102000002"]
    assert "青石村口高杆全景枪机一号" in "".join(lines)
    assert len(lines) > 4


def test_a_terminal_too_narrow_for_columns_gets_blocks() -> None:
    """A line a cell, a blank line between rows."""
    lines = seen(20)

    assert max(map(cell_len, lines)) <= 20
    assert "state  up" in lines
    assert lines.count("") == 1
    assert "331102000001" in lines


@pytest.mark.parametrize("file", [io.StringIO])
def test_elsewhere_it_is_aligned_text(file: Callable[[], io.StringIO]) -> None:
    """One line a row however long, without colour; wide characters take two cells; numbers stand right."""
    out = file()
    table(("name", "cameras", "since"), [("青石村", 7, None), ("Bridge", 1_240, "yesterday")], file=out)

    assert out.getvalue() == "name    cameras  since\n青石村        7  –\nBridge     1240  yesterday\n"


def test_what_a_device_calls_itself_cannot_steer_the_terminal() -> None:
    """ESC and bidi marks are shown, line ends are blanks, also on a terminal."""
    out = io.StringIO()
    table(("name",), [("a\x1b[2Jb\u202ec\nd\u3000e",)], file=out)

    assert out.getvalue().splitlines()[1] == "a\ufffd[2Jb\ufffdc d e"
    assert "\x1b[2J" not in on_a_terminal(80, lambda terminal: table(("name",), [("a\x1b[2Jb",)], file=terminal))


def test_a_table_without_rows_shows_its_headings() -> None:
    """So that a script's columns stay where they are."""
    out = io.StringIO()
    table(("name", "role"), [], file=out)

    assert out.getvalue() == "name  role\n"
    assert seen(80, [], ("name", "role"))[0].split() == ["name", "role"]


@given(st.lists(st.integers(1, 90), min_size=1, max_size=9), st.integers(1, 200))
def test_columns_fill_the_room_from_the_left(natural: list[int], room: int) -> None:
    """Never wider than the room nor their content; a column is folded only when all after it are at their least."""
    widths = fitted(natural, room)
    least = [min(width, LEAST_WIDTH) for width in natural]
    if widths is None:
        assert sum(least) + GAP * (len(natural) - 1) > room
        return
    assert sum(widths) + GAP * (len(widths) - 1) <= room
    assert all(low <= width <= high for low, width, high in zip(least, widths, natural, strict=True))
    folded = [at for at, width in enumerate(widths) if width < natural[at]]
    if folded:
        assert widths[folded[0] + 1 :] == least[folded[0] + 1 :]
        assert sum(widths) + GAP * (len(widths) - 1) == room


class Drawn:
    """Nothing is drawn before somebody waits for it: what was done until then is in the first drawing."""

    def __init__(self) -> None:
        self.wanted, self.begun = threading.Event(), threading.Event()

    def wait(self, timeout_s: float) -> bool:
        self.wanted.set()
        return self.begun.wait(timeout_s)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Tells once a bar is drawn."""
    drawing = Drawn()
    console = show._console

    def noticed(out: TextIO) -> object:
        drawing.wanted.wait(10)
        drawing.begun.set()
        return console(out)

    monkeypatch.setattr(show, "_console", noticed)
    return drawing


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_long_work_shows_a_bar_on_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch, drawn: Drawn) -> None:
    """What is done, how far it is, in one line of the terminal's width; it is wiped out at the end."""
    monkeypatch.setattr(show, "BAR_AFTER_S", 0.0)

    def work(terminal: TextIO) -> None:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress("copying 青石村", 1_000, unit="pages") as bar:
            bar.advance(250)
            assert drawn.wait(10)

    heard = on_a_terminal(columns, work)
    assert "250/1,000 pages" in heard
    assert "copying" in heard
    assert max(cell_len(STEERING.sub("", line).rstrip()) for line in re.split(r"[\r\n]", heard)) <= columns
    assert "\x1b[2K" in heard[heard.rindex("250/1,000") :]


@pytest.mark.parametrize(("total", "unit", "words"), [(None, "", "3"), (2_500_000, "bytes", "2.5 MB")])
def test_a_bar_knows_bytes_and_the_unknown(
    total: int | None, unit: str, words: str, monkeypatch: pytest.MonkeyPatch, drawn: Drawn
) -> None:
    """Without a total it counts; bytes are shown as people read them."""
    monkeypatch.setattr(show, "BAR_AFTER_S", 0.0)

    def work(terminal: TextIO) -> None:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress("[red]reading", total, unit=unit) as bar:
            bar.advance(3)
            assert drawn.wait(10)

    heard = STEERING.sub("", on_a_terminal(80, work))
    assert words in heard
    assert "[red]reading" in heard


def test_short_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done within a second leaves no trace on the terminal."""

    def work(terminal: TextIO) -> None:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress("copying", 1) as bar:
            bar.advance()

    assert on_a_terminal(80, work) == ""


def test_elsewhere_there_is_no_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], drawn: Drawn
) -> None:
    """A log file or a pipe gets nothing, however long it takes."""
    monkeypatch.setattr(show, "BAR_AFTER_S", 0.0)
    with progress("copying", 10) as bar:
        bar.expect(20)
        bar.advance(3)

    assert (bar.done, bar.total) == (3, 20)
    assert not drawn.begun.is_set()
    assert capsys.readouterr() == ("", "")


def test_an_error_in_the_work_ends_the_bar(monkeypatch: pytest.MonkeyPatch, drawn: Drawn) -> None:
    """The bar is wiped and its thread gone before the error is told."""
    monkeypatch.setattr(show, "BAR_AFTER_S", 0.0)
    before = threading.active_count()

    def work(terminal: TextIO) -> None:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress("copying", 10):
            assert drawn.wait(10)
            raise OSError("full")

    def failing(terminal: TextIO) -> None:
        with pytest.raises(OSError, match="full"):
            work(terminal)

    on_a_terminal(80, failing)
    assert threading.active_count() == before
