"""A result for a person: a plain table, or the block that docs/performance.md keeps between two marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streamwatch.errors import UsageError


def table(result: dict[str, Any]) -> str:
    """For the terminal."""
    width = max(len(name) for name in (*result["figures"], *result["ratios"]))
    lines = [f"{result['benchmark']} on {_where(result['machine'])}", f"fixture: {_facts(result['fixture'])}", ""]
    lines.append(f"{'':{width}}  {'min':>9} {'median':>9} {'max':>9}   n")
    for name, spread in result["figures"].items():
        low, middle, high = (f"{spread[key]:>9g}" for key in ("min", "median", "max"))
        lines.append(f"{name:{width}}  {low} {middle} {high} {spread['n']:>3}")
    lines += [f"{name:{width}}  {'':9} {value:>9g}" for name, value in result["ratios"].items()]
    lines += ["", *(f"- {note}" for note in result["notes"])]
    return "\n".join(lines).rstrip()


def markdown(result: dict[str, Any], command: str) -> str:
    """For the documentation."""
    lines = [
        *header(result, command),
        "",
        "| figure | min | median | max | n |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, spread in result["figures"].items():
        lines.append(f"| `{name}` | {spread['min']:g} | {spread['median']:g} | {spread['max']:g} | {spread['n']} |")
    if result["ratios"]:
        lines += ["", "| ratio of medians | |", "| --- | ---: |"]
        lines += [f"| `{name}` | {value:g} |" for name, value in result["ratios"].items()]
    lines += ["", *(f"- {note}" for note in result["notes"])]
    return "\n".join(lines).rstrip()


def header(result: dict[str, Any], command: str) -> list[str]:
    """What a block begins with: how it was made, when, where, on what."""
    return [
        f"`{command}`, {result['machine']['at']}, on {_where(result['machine'])}.",
        f"Measured on: {_facts(result['fixture'])}.",
    ]


def renew(file: Path, name: str, block: str) -> None:
    """Puts `block` between the marks of benchmark `name` in `file`. Raises UsageError where it has no such marks."""
    begin, end = f"<!-- benchmark {name} -->", f"<!-- end of {name} -->"
    text = file.read_text(encoding="utf-8")
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise UsageError(f"{file} has no lines {begin} and {end}: add them where the figures belong")
    file.write_text(f"{head}{begin}\n{block}\n{end}{tail}", encoding="utf-8")


def _where(machine: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {machine[name]}" for name in ("av", "numpy", "uvloop"))
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB, Linux {machine['kernel']}, "
        f"Python {machine['python']}, {libraries}, load before {machine['load_before']:g}"
    )


def _facts(fixture: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fixture.items())
