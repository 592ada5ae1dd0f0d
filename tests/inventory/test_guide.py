"""docs/inventory.md can be believed: its examples are read without a word, and it names every code that is said."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import Rejection
from streamwatch.inventory.references import FOREIGN, UNKNOWN
from tests.inventory.written import values

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "inventory.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```csv\n(.*?)```", GUIDE, re.DOTALL)
KINDS = ["cameras", "cameras", "villages", "lines", "recorders", "cameras", "points", "facilities", "cameras"]

# Who says a code, and which argument it is.
SAID_BY = {"CellError": 0, "VendorError": 1, "RowError": 2, "Skipped": 2, "add": 3, "Rejection": 3}


@pytest.mark.parametrize(("kind", "text"), list(zip(KINDS, EXAMPLES, strict=True)))
def test_examples_are_read_without_a_word(kind: str, text: str) -> None:
    """Nothing is rejected or remarked on, and every line is taken."""
    file = parse_file(text.encode(), kind)

    notes: tuple[Rejection, ...] = (*file.rejected, *file.remarks)
    assert notes == ()
    assert len(values(file)) == text.count("\n") - 1


def said() -> set[str]:
    """The codes that stand in the code, by their place in calls; a tuple of code and remedy counts too."""
    found = set()
    for path in sorted((ROOT / "streamwatch" / "inventory").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            arguments: list[ast.expr] = []
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                at = SAID_BY.get(name)
                if at is not None and len(node.args) > at:
                    arguments = [node.args[at]]
            elif isinstance(node, ast.Return | ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Tuple):
                pair = node.value.elts
                if len(pair) == 2 and isinstance(pair[1], ast.Constant) and " " in str(pair[1].value):
                    arguments = [pair[0]]
            found |= {
                argument.value
                for argument in arguments
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            }
    return {code for code in found if re.fullmatch(r"[a-z]+(?:_[a-z]+)*", code)}


def test_every_code_is_named() -> None:
    """In the table at the end of the page, and none that nobody says."""
    table = GUIDE.partition("### All codes")[2]
    named = {code for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)}

    chosen = {*UNKNOWN.values(), *FOREIGN.values()}  # from tables, as are the last two below
    assert sorted((said() | chosen) - named) == []
    assert sorted(named - said() - chosen - {"spaces", "full_width"}) == []
