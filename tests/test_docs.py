"""The documentation says what the code says, names what there is, and leads nowhere that does not exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from streamwatch.api.problems import CALL_STATUS
from streamwatch.errors import Exit, Reason
from streamwatch.metrics import CATALOGUE
from streamwatch.settings import describe
from streamwatch.settings.model import WITHOUT_EFFECT
from streamwatch.simulator.faults import Fault
from streamwatch.verdict import FAULTS
from tools import docs

ROOT = docs.ROOT
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md")})
SHIPPED = [*PAGES, ROOT / "Dockerfile", ROOT / ".dockerignore"]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OF_THIS_WORKPLACE = re.compile(r"/work\b|\bshared/|/tmp/w\b")
REGISTRIES = re.compile(
    r"(?:ghcr|quay|gcr|registry|artifactory|nexus|jfrog|pkg\.dev|azurecr|ecr\.[a-z0-9-]+\.amazonaws)[\w.-]*\.(?:io|com|cn|dev|org|net)"
    r"|pypi\.org|files\.pythonhosted|aliyuncs|tuna\.tsinghua"
)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def calls(folder: Path) -> Iterator[ast.Call]:
    """Every call in the code below a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield node


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def constants(folder: Path, name: str, position: int, arguments: int) -> set[str]:
    """The texts that calls of that name give in that position, where they have that many arguments."""
    found = set()
    for call in calls(folder):
        if name_of(call) == name and len(call.args) >= arguments:
            value = call.args[position]
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found.add(value.value)
    return found


def missing(names: Iterable[str], text: str) -> list[str]:
    return sorted(name for name in names if f"`{name}`" not in text)


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_made_parts_are_fresh() -> None:
    """What tools/docs.py makes is what stands in the pages."""
    stale = [str(path.relative_to(ROOT)) for path in docs.stale()]

    assert stale == [], "run python tools/docs.py"


def test_check_fails_when_a_page_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check names a page that differs and gives 1, and changes nothing; without it the page is written."""
    target = tmp_path / "made.md"
    target.write_text("old")
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    monkeypatch.setattr(docs, "wanted", lambda: {target: "new"})

    assert docs.main(["--check"]) == 1
    assert "made.md" in capsys.readouterr().out
    assert target.read_text() == "old"
    assert docs.main([]) == 0
    assert target.read_text() == "new"
    assert docs.main(["--check"]) == 0


def test_every_made_block_is_somewhere() -> None:
    """No block is made for nobody, and none is asked for that nobody makes."""
    asked = re.findall(r"<!-- made by tools/docs\.py: ([a-z-]+) -->", "".join(p.read_text() for p in PAGES))

    assert sorted(asked) == sorted(docs.BLOCKS)


def test_operators_find_every_reason_fault_and_status() -> None:
    """Each stands in the operators' page."""
    text = page("operators.md")

    assert missing(Reason, text) == []
    assert missing(FAULTS, text) == []
    assert [status for status in Exit if f"| {int(status)} |" not in text] == []


def test_operators_find_every_part_of_readiness() -> None:
    """Each part that /readyz may name has a row that says what to do."""
    parts = constants(docs.PACKAGE / "service", "Part", 0, 3) | constants(docs.PACKAGE / "service", "Child", 0, 2)
    for call in calls(docs.PACKAGE / "api"):
        if name_of(call) == "PartOut":
            parts |= {
                str(word.value.value)
                for word in call.keywords
                if word.arg == "name" and isinstance(word.value, ast.Constant)
            }

    assert parts >= {"store", "web", "pulse"}
    assert [part for part in sorted(parts) if f"| `{part}` |" not in page("operators.md")] == []


def test_integrators_find_every_metric_problem_and_route() -> None:
    """Each stands in the integrators' page."""
    text = page("integrators.md")
    codes = constants(docs.PACKAGE / "api", "Problem", 1, 3) | {f"service.{code}" for code in CALL_STATUS}

    assert len(codes) > 12
    assert missing({metric.name for metric in CATALOGUE}, text) == []
    assert missing(codes, text) == []
    assert missing((f"{method} {path}" for method, path, *_ in docs.api_routes()), text) == []


def test_every_setting_is_listed_and_told_to_have_an_effect_only_where_it_has_one() -> None:
    """Key and variable of each; what nothing reads says so."""
    text = page("settings.md")
    unread = docs.unread_settings()

    for row in describe():
        lines = [line for line in text.splitlines() if f"`{row.env}`" in line]
        assert len(lines) == 1, row.key
        assert ("no effect" in lines[0]) == (row.key in unread), row.key


def test_exactly_the_settings_that_nothing_reads_are_refused() -> None:
    """A key without effect is not taken silently, and one that gets its effect is not refused any longer."""
    assert docs.unread_settings() == WITHOUT_EFFECT


def test_every_command_and_option_is_listed() -> None:
    """The functions of cli/app.py that are commands, each with its options."""
    text = page("cli.md")
    tree = ast.parse((docs.PACKAGE / "cli" / "app.py").read_text(encoding="utf-8"))
    functions = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any("app.command" in ast.unparse(how) for how in node.decorator_list)
    ]

    assert len(functions) >= 6
    for function in functions:
        name = function.name.strip("_").replace("_", "-")
        own = text.partition(f"## streamwatch {name}\n")[2].partition("\n## ")[0]
        assert own, f"{name} is not in docs/cli.md"
        for option in function.args.kwonlyargs:
            assert f"`--{option.arg.replace('_', '-')}" in own, f"{name}: {option.arg}"


def test_every_goal_test_is_listed_and_says_something() -> None:
    """A test with a goal's number in its name stands in docs/goals.md with its first lines."""
    tests = docs.goal_tests(ROOT / "tests")

    assert len(tests) > 10
    assert [test.place for test in tests if len(test.says) < 20 or f"`{test.place}`" not in page("goals.md")] == []


def test_goal_numbers_are_read_from_names(tmp_path: Path) -> None:
    """test_r4_…, test_…_r19_… and test_…_r7 count; a word that ends in r and digits does not."""
    file = tmp_path / "tests" / "test_some.py"
    file.parent.mkdir()
    names = ("test_r4_holds", "test_some_r19_jail", "test_some_r7", "test_for_three", "test_sr4_other", "r5_no_test")
    file.write_text("".join(f'def {name}():\n    """Says\n    so."""\n' for name in names))

    found = docs.goal_tests(file.parent)

    assert [(test.goal, test.says) for test in found] == [(4, "Says so."), (7, "Says so."), (19, "Says so.")]


def test_every_maker_s_test_is_listed_and_says_what_and_what_then() -> None:
    """Each test of tests/*/test_makers_*.py has a maker in its name, and a docstring of two parts, in cameras.md."""
    tests = docs.maker_tests(ROOT / "tests")
    text = page("cameras.md")
    named = {test.place for test in tests}

    assert len(tests) > 100
    assert [test.place for test in tests if not test.does or not test.answer or f"`{test.place}`" not in text] == []
    for path in ROOT.glob("tests/*/test_makers_*.py"):
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert f"{path.relative_to(ROOT)}::{name}" in named, f"{name} names no maker of tools/docs.py"
    assert all(f"## {' '.join(name).rstrip()}\n" in text for name in docs.MAKERS.values())


def test_makers_are_read_from_names(tmp_path: Path) -> None:
    """One maker or several; `any` only in front; a docstring's last colon divides it."""
    file = tmp_path / "tests" / "wire" / "test_makers_some.py"
    file.parent.mkdir(parents=True)
    names = ("test_dahua_and_tapo_x", "test_any_dahua", "test_any_thing", "test_many_any", "dahua_no_test")
    file.write_text("".join(f'def {name}():\n    """`a: b` so\n    much: we see."""\n' for name in names))

    found = docs.maker_tests(tmp_path / "tests")

    assert [sorted(test.makers) for test in found] == [["dahua", "tapo"], ["dahua"], ["any"]]
    assert {(test.does, test.answer) for test in found} == {("`a: b` so much", "we see")}


def test_the_simulator_s_faults_are_named() -> None:
    """What can be switched at a simulated camera is listed for who tries it."""
    assert missing(Fault, page("operators.md")) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link names a file that is there, and its anchor a heading of that file."""
    dead = []
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        place, _, anchor = unquote(link).partition("#")
        if re.match(r"[a-z]+:", place):
            continue
        target = path if not place else (path.parent / place).resolve()
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(link)

    assert dead == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_name_neither_this_workplace_nor_a_registry(path: Path) -> None:
    """No path of the machine they were written on; the only registry is the default of the Dockerfile's BASE."""
    text = path.read_text(encoding="utf-8")

    assert OF_THIS_WORKPLACE.findall(text) == []
    assert REGISTRIES.findall(text) == []
    hosts = re.findall(r"docker\.io\S*", text)
    assert hosts == (["docker.io/library/python:3.12-slim"] if path.name == "Dockerfile" else [])
