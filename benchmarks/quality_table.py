"""The block of docs/quality.md: a fault and its peers a line, then what is false, then every grade."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks.quality_figures import ROWS, WEATHER
from benchmarks.show import header

PHOTOGRAPHS: Final = ("blur_photographs", 0.85)  # really blurred, and the AUC that has to be reached
FAULTS: Final = (
    "fault",
    "AUC",
    "has to be",
    "recall",
    "false of 1,000",
    "cannot judge",
    "most missed in",
    "most false in",
)
FALSE: Final = ("looks", "false of 1,000", "worst scene")
GRADES: Final = ("grade", "AUC", "recall")
SPREAD: Final = ("figure", "min", "median", "max", "n")
SHOWN: Final = ("auc.", "auc_of.", "recall", "false_per_1000", "false_in", "cannot_judge")  # in a table of their own


def markdown(result: dict[str, Any], command: str) -> str:
    """From the object of `--json`."""
    figures = {name: spread["median"] for name, spread in result["figures"].items()}
    parts = [
        "\n".join(header(result, command)),
        _table(FAULTS, _faults(figures)),
        "Pictures as they came, weather rendered over them, and still scenes with fresh noise; any fault is false:",
        _table(FALSE, _false(figures)),
        "By grade, those of the faults that are judged:",
        _table(GRADES, _grades(figures)),
        _table(SPREAD, _rest(result["figures"])),
        _table(("ratio", "of medians"), ((f"`{name}`", f"{value:g}") for name, value in result["ratios"].items())),
        "\n".join(f"- {note}" for note in result["notes"]),
    ]
    return "\n\n".join(parts).rstrip()


def _table(names: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    numbers = ("AUC", "has to be", "recall", "false of 1,000", "min", "median", "max", "n", "of medians")
    lines = [names, tuple("---:" if name in numbers else "---" for name in names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _faults(figures: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    """A fault's line, and one for each peer below it."""
    bars = [(row.fault, row.bar) for row in ROWS]
    if f"auc.{PHOTOGRAPHS[0]}" in figures:
        bars.append(PHOTOGRAPHS)
    for name, bar in bars:
        if f"auc.{name}" in figures:
            unjudged = f"{figures[f'cannot_judge_bad.{name}']:.2f} / {figures[f'cannot_judge.{name}']:.2f}"
            worst = (_named(figures, f"recall_in.{name}."), _named(figures, f"false_in.{name}."))
            yield f"**{name}**", f"{figures[f'auc.{name}']:.3f}", f"{bar:g}", *_told(figures, name), unjudged, *worst
        else:
            yield name, "not judged yet", f"{bar:g}", "", "", "", "", ""
        prefix = f"auc.{name}."
        for peer in (key.removeprefix(prefix) for key in figures if key.startswith(prefix)):
            own = f"{name}.{peer}"
            yield f"– {peer}", f"{figures[f'auc.{own}']:.3f}", "", *_told(figures, own), "", "", ""


def _told(figures: Mapping[str, float], name: str) -> tuple[str, str]:
    if f"recall.{name}" not in figures:
        return "no threshold", ""
    return f"{figures[f'recall.{name}']:.2f}", f"{figures[f'false_per_1000.{name}']:.3g}"


def _false(figures: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    weather = f"false_per_1000.{WEATHER}."
    for name, value in figures.items():
        if name == "false_per_1000" or (name.startswith(weather) and ".in." not in name):
            yield (
                name.removeprefix(weather).replace("false_per_1000", "as they came"),
                f"{value:.3g}",
                _named(figures, f"{name}.in."),
            )


def _grades(figures: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    for name, value in figures.items():
        if name.startswith("auc_of."):
            grade = name.removeprefix("auc_of.")
            yield grade.replace(".", ": ", 1), f"{value:.3f}", f"{figures[f'recall_of.{grade}']:.2f}"


def _rest(figures: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[str, ...]]:
    for name, spread in figures.items():
        if not name.startswith(SHOWN):
            yield f"`{name}`", *(f"{spread[key]:g}" for key in ("min", "median", "max", "n"))


def _named(figures: Mapping[str, float], prefix: str) -> str:
    """The scene that a figure's name ends with, and its value."""
    found = {name.removeprefix(prefix): value for name, value in figures.items() if name.startswith(prefix)}
    return ", ".join(f"{scene} ({value:.3g})" for scene, value in found.items())
