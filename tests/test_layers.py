"""The order of the house: imports go one way, and each outside library has one home (docs/architecture.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "streamwatch"

LAYERS = [
    {"errors", "clock", "counters", "frames", "heap"},
    {"model"},
    {"wire"},
    {"schedule", "triage", "quality", "verdict", "blame", "timeline", "texts"},  # pure; values meet in model
    {"patience", "linebudget", "lockout"},  # pure
    {"uptime", "findings", "scores"},
    {"certification", "sequence"},
    {"settings", "secrets", "datadir", "health"},
    {"redaction"},
    {"logs", "net"},
    {"ingest", "decoders", "store", "gates", "inbox"},
    {"memory", "watches", "reaching"},
    {"looker"},
    {"retention", "inventory", "gb28181", "prober"},
    {"fleet", "alerts", "metrics", "reports", "access", "live"},
    {"api", "media"},
    {"web"},
    {"service"},
    {"cli"},
    {"__main__", "__init__"},  # __init__: the library's door; what stands behind it is imported at first use
]
APART = {"simulator": {"errors", "clock"}}  # a shared mistake must not cancel out
APART_USERS = {"cli"}
ONLY = {
    "av": {"decoders", "media", "simulator"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "aiosqlite": {"store"},
    "aiohttp": {"net"},
    "fastapi": {"api", "web"},
    "nats": {"fleet"},
    "prometheus_client": {"metrics"},
    "cyclopts": {"cli"},
    "docxtpl": {"reports"},
}
PURE = {"errors", "counters", "frames", "model", "wire", "schedule", "triage", "quality", "verdict", "blame"}
PURE |= {"timeline", "texts", "uptime", "findings", "certification", "scores", "sequence", "patience", "linebudget"}
PURE |= {"lockout"}
IMPURE_MODULES = {"asyncio", "socket", "ssl", "time", "threading", "subprocess", "multiprocessing", "select", "signal"}

FILES = sorted(ROOT.rglob("*.py"))


def unit_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "streamwatch" else []
            found += [(node.lineno, name) for name in names or [node.module or ""]]
    return found


def row_of(unit: str) -> int:
    rows = [number for number, row in enumerate(LAYERS) if unit in row]
    assert rows, f"{unit} has no place in LAYERS: give it one, in tests/test_layers.py and docs/architecture.md"
    return rows[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    """A unit imports from earlier rows or its own package, never from a neighbour; libraries stay in their homes."""
    unit = unit_of(path)
    wrong = []
    for line, name in imports(path):
        top, *rest = name.split(".")
        if top == "streamwatch" and rest:
            other = rest[0]
            if other in (unit, "__version__"):
                continue
            if unit in APART:
                allowed = other in APART[unit]
            elif other in APART:
                allowed = unit in APART_USERS
            else:
                allowed = row_of(other) < row_of(unit)
            if not allowed:
                wrong.append(f"{line}: {unit} imports {name}")
        elif top in ONLY and unit not in ONLY[top]:
            wrong.append(f"{line}: {top} belongs to {sorted(ONLY[top])}")
        elif unit in PURE and top in IMPURE_MODULES:
            wrong.append(f"{line}: {unit} is pure and imports {name}")
    assert wrong == []


def test_the_table_names_no_ghosts() -> None:
    """Every unit of the tree stands in exactly one row."""
    units = {unit_of(path) for path in FILES} - set(APART)
    for unit in units:
        assert sum(unit in row for row in LAYERS) == 1, unit
