"""What an import did, told to a person: counts, then every line to be put right with its remedy."""

from __future__ import annotations

from collections.abc import Sequence

from streamwatch.cli.show import table
from streamwatch.inventory.columns import CAMERAS
from streamwatch.inventory.parsed import ImportResult, Rejection

HEADINGS = ("line", "column", "value", "what is wrong", "what to do")


def tell(kind: str, result: ImportResult, *, most: int | None = None) -> None:
    """Prints the result; of rejections and of remarks at most `most` each, all that were kept where None."""
    print(_in_words(kind, result))
    if result.stopped:
        print("nothing was written, because lines were rejected")
    if result.dry_run:
        for change in result.changes:
            moved = kind == CAMERAS and "village" in change.fields
            history = "; its history stays with the old village" if moved else ""
            print(f"{change.code}: {', '.join(change.fields)} would change{history}")
        if result.changed > len(result.changes):
            print(f"… and {result.changed - len(result.changes):,} more")
    _list("not taken:", result.rejected, result.rejected_total, most)
    _list("taken, but to be put right:", result.remarks, result.remarks_total, most)
    if result.rejected_total or result.remarks_total:
        print()


def _in_words(kind: str, result: ImportResult) -> str:
    """The counts, on one line."""
    would = "would be " if result.dry_run else ""
    counts = [f"{result.created} {would}created", f"{result.changed} {would}changed", f"{result.unchanged} unchanged"]
    counts.append(f"{_lines(result.rejected_total)} rejected")
    if result.remarks_total:
        counts.append(f"{_lines(result.remarks_total)} with remarks")
    return f"{kind}: {', '.join(counts)}"


def _list(title: str, found: Sequence[Rejection], total: int, most: int | None) -> None:
    if not total:
        return
    print(f"\n{title}")
    shown = found[:most]
    if shown:
        table(HEADINGS, [(bad.line, bad.column, bad.value or None, bad.code, bad.remedy) for bad in shown])
    lines = len({bad.line for bad in shown})
    if total > lines:
        print(f"… and {_lines(total - lines)} more")


def _lines(count: int) -> str:
    return f"{count} line{'' if count == 1 else 's'}"
