"""How commands show what they found: tables that fit a terminal, plain text for everything else, and progress.

Most of rich is imported when a terminal is there, and not before: a script in a pipe pays nothing for it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from rich.cells import cell_len

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

BAR_AFTER_S: Final = 1.0  # interface: a progress bar when the work takes more than a second
GAP: Final = 2  # cells between two columns
LEAST_WIDTH: Final = 6  # cells below which a folded column cannot be read: three wide characters
NOTHING: Final = "–"  # stands for None


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, file: TextIO | None = None) -> None:
    """Prints rows under headings to `file` (stdout). Put the most important column first: it keeps its width longest.

    On a terminal the table fits its width: what does not fit is folded within its column, later columns first, and
    where not even folded columns fit, each row is a block of `heading  value` lines; nothing is cut off. Elsewhere it
    is aligned text, one line a row, without colour. Wide characters (CJK) count two cells. None shows as "–", and
    characters that would steer a terminal as "�". Columns that hold only numbers stand right.
    """
    out = sys.stdout if file is None else file
    heads = [_clean(head) for head in headings]
    lines = [[_clean(cell) for cell in row] for row in rows]
    numeric = [
        bool(rows) and all(isinstance(row[at], int | float) and not isinstance(row[at], bool) for row in rows)
        for at in range(len(heads))
    ]
    natural = [max(map(cell_len, column)) for column in zip(heads, *lines, strict=True)]
    if not out.isatty():
        for line in [heads, *lines]:
            print(_aligned(line, natural, numeric), file=out)
        return
    room = _width(out)
    widths = fitted(natural, room)
    if widths is None:
        _blocks(heads, lines, room, out)
        return
    _rich_table(heads, lines, numeric, widths, room, out)


def print_json(found: object) -> None:
    """Prints one value as one line of JSON on stdout: what `--json` promises, and nothing else."""
    print(json.dumps(found, ensure_ascii=False))


def fitted(natural: Sequence[int], room: int) -> list[int] | None:
    """Widths of the columns in `room` cells, earlier columns first; None where not even the least widths fit."""
    left = room - GAP * (len(natural) - 1)
    least = [min(width, LEAST_WIDTH) for width in natural]
    if sum(least) > left:
        return None
    widths = []
    for at, width in enumerate(natural):
        given = min(width, left - sum(least[at + 1 :]))
        widths.append(given)
        left -= given
    return widths


class Bar:
    """Tells how far the work is. Every method may be called from any thread, and does nothing where nobody looks."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.done = 0
        self._lock = threading.Lock()

    def advance(self, n: int = 1) -> None:
        """`n` more are done."""
        with self._lock:
            self.done += n

    def expect(self, total: int) -> None:
        """How much there is in all, once that is known."""
        self.total = total


@contextmanager
def progress(what: str, total: int | None, *, unit: str = "") -> Iterator[Bar]:
    """A bar on stderr while the block runs, where stderr is a terminal and the work takes more than a second.

    `total` None: how much there is is not known (yet). `unit` stands behind the numbers; "bytes" shows kB, MB, GB.
    The bar is gone when the block ends; nothing is ever printed elsewhere.
    """
    bar = Bar(total)
    if not sys.stderr.isatty():
        yield bar
        return
    ended = threading.Event()
    drawing = threading.Thread(target=_draw, args=(bar, what, unit, ended), daemon=True)
    drawing.start()
    try:
        yield bar
    finally:
        ended.set()
        drawing.join()


def _draw(bar: Bar, what: str, unit: str, ended: threading.Event) -> None:
    """Waits a second, then draws until the work has ended. Owns rich's display, so that no other thread touches it."""
    if ended.wait(BAR_AFTER_S):
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    left = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    amount: ProgressColumn = DownloadColumn() if unit == "bytes" else TextColumn("{task.fields[amount]}")
    with Progress(
        TextColumn("{task.description}", table_column=left, markup=False),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        amount,
        TimeRemainingColumn(compact=True),
        console=_console(sys.stderr),
        transient=True,
        auto_refresh=False,
        expand=True,
        redirect_stdout=False,  # what a command prints belongs to its own stream, also while a bar is shown
        redirect_stderr=False,
    ) as display:
        task = display.add_task(_clean(what), total=bar.total, amount="")
        while True:
            of = "" if bar.total is None else f"/{bar.total:,}"
            display.update(task, completed=bar.done, total=bar.total, amount=f"{bar.done:,}{of} {unit}".rstrip())
            display.refresh()
            if ended.wait(0.1):
                return


def _clean(cell: object) -> str:
    """The text of a cell on one line: white space is a blank, and what is not printable (ESC, bidi marks) is shown."""
    if cell is None:
        return NOTHING
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    text = str(cell)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else " " if char.isspace() or unicodedata.category(char) == "Zs" else "\ufffd"
        for char in text
    )


def _aligned(line: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    cells = []
    for cell, width, right in zip(line, widths, numeric, strict=True):
        pad = " " * (width - cell_len(cell))
        cells.append(pad + cell if right else cell + pad)
    return (" " * GAP).join(cells).rstrip()


def _blocks(heads: Sequence[str], lines: Sequence[Sequence[str]], room: int, out: TextIO) -> None:
    """One block a row, a line a cell, folded to the terminal; a blank line between two blocks."""
    from rich.text import Text

    console = _console(out)
    for number, line in enumerate(lines):
        if number:
            print(file=out)
        for head, cell in zip(heads, line, strict=True):
            console.print(Text.assemble((head, "bold"), "  ", cell), width=room, overflow="fold")


def _rich_table(
    heads: Sequence[str],
    lines: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    widths: Sequence[int],
    room: int,
    out: TextIO,
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    # One cell of padding and the divider of this box, a blank, make the gap.
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for head, right, width in zip(heads, numeric, widths, strict=True):
        shown.add_column(Text(head), justify="right" if right else "left", width=width, overflow="fold")
    for line in lines:
        shown.add_row(*map(Text, line))
    _console(out).print(shown, width=room)


def _console(out: TextIO) -> Console:
    from rich.console import Console

    return Console(file=out, width=_width(out), highlight=False, markup=False, emoji=False)


def _width(out: TextIO) -> int:
    """Cells of the terminal behind `out`; where it does not know, what COLUMNS says, else 80."""
    try:
        columns = os.get_terminal_size(out.fileno()).columns
    except OSError:
        columns = 0
    return columns or shutil.get_terminal_size().columns
