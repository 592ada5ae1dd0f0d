"""Writes the parts of the documentation that the code already says: `python tools/docs.py`; `--check` fails when stale.

Whole pages: docs/settings.md, docs/goals.md, docs/cli.md, docs/cameras.md. Inside hand-written pages: what is between
`<!-- made by tools/docs.py: NAME -->` and `<!-- end of NAME -->`.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from fastapi.routing import APIRoute

from streamwatch.api import blackbox, machine
from streamwatch.api.app import PREFIX, RESOURCES, create_app
from streamwatch.cli.app import app as commands
from streamwatch.errors import Exit, default_blame
from streamwatch.inventory.addresses import RECORDER_SCHEMES
from streamwatch.inventory.archive import ARCHIVE, POSITIONS
from streamwatch.inventory.cells import Parser
from streamwatch.inventory.columns import KINDS, RECORDERS, Column
from streamwatch.inventory.facilities import FACILITY_KINDS
from streamwatch.inventory.vendors import VENDORS, Paths
from streamwatch.metrics import CATALOGUE
from streamwatch.settings import describe
from streamwatch.settings.model import sections
from streamwatch.texts import text
from streamwatch.verdict import BOOKING, FAULTS

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
PACKAGE: Final = ROOT / "streamwatch"
MADE: Final = "<!-- Made by tools/docs.py from the code: do not edit, run `python tools/docs.py`. -->\n\n"
_BLOCK: Final = re.compile(r"(<!-- made by tools/docs\.py: ([a-z-]+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)
_CALLED: Final = re.compile(r"^(streamwatch [a-z -]+?) -m \S+", re.MULTILINE)  # `python -m NAME` shows
_LISTED: Final = re.compile(r"\| `((\w+?)_\w+\.jsonl)` \| (.*) \|")  # a row of tests/data/SOURCES.md
_GOAL: Final = re.compile(r"test_(?:.*_)?r([0-9]+)(?:_.*)?")

_TAKES: Final = {  # how cells are read -> what to write into them
    "code": "letters, digits and `. : - _`, at most 64, beginning with a letter or digit",
    "name": "one line, at most 200 characters",
    "short": "one line, at most 64 characters",
    "secret": "one line, at most 256 characters",
    "region": "the path such as `青河县/双河镇`, at most 8 steps, or the region's code",
    "yes_no": "`yes` or `no`, also `true`, `1`, `是`, `有`",
    "day": "`2026-11-24`, also `2026/11/24` and `20261124`",
    "whole": "a whole number from {low} to {high}",
    "number": "a number from {low:g} to {high:g}",
    "choice": "one of {words}",
    "reference": "its code or name: one line, at most 200 characters",
    "passed": "`passed` or `failed`, also `yes`, `no`, `合格`, `不合格`",
    "vendor": "a maker by any name or number of the [table](inventory.md#makers-and-their-addresses), or one line",
    "facility_kind": "a kind by any name of the [table](inventory.md#kinds-of-facilities)",
    "point_kind": "one line, at most 64 characters, such as 村口, 路口, 主干道",
    "device_state": "`1` 在用, `2` 维修 or `3` 拆除, as number or word; a removed camera is left out",
    "networked": "`已联网` or `未联网`, `0` or `1`; what is 未联网 is left out",
    "position_type": "number or name of the [table](inventory.md#position-types), several with `/`; or a 2022 code",
    "civil_code": "6 to 12 digits",
    "grassroots_code": "township 3 digits + village 3 digits, or the village's 12 digits",
    "_host": "an IP address or a host name",
    "_address": "`rtsp[s]://[USER:PASSWORD@]HOST[:PORT]/PATH`",
}
_EXITS: Final = {
    Exit.OK: "all is well",
    Exit.DEGRADED: "something is to be remarked: a fault in a picture, a rejected line",
    Exit.DOWN: "a camera is down",
    Exit.UNKNOWN: "it could not be found out: our side, or a busy device",
    Exit.USAGE: "the call is wrong; the message says what it takes",
    Exit.HELD: "somebody else holds the data directory; the message names the process",
    Exit.CONFIG: "the configuration is wrong; the message names each key, its place and the remedy",
}


MAKERS: Final[dict[str, tuple[str, str]]] = {  # word in a test's name -> name, 中文 where it has one
    "anjvision": ("Anjvision, Anpviz", ""),
    "arecont": ("Arecont Vision", ""),
    "axis": ("Axis", "安讯士"),
    "bosch": ("Bosch", "博世"),
    "dahua": ("Dahua, Amcrest", "大华"),
    "escam": ("Escam", ""),
    "ezviz": ("EZVIZ", "萤石"),
    "foscam": ("Foscam", "福斯康姆"),
    "geovision": ("GeoVision", "奇偶"),
    "gstreamer": ("GStreamer's server", ""),
    "gw": ("GW Security", ""),
    "h264dvr": ("H264DVR (Xiongmai)", "雄迈"),
    "hikvision": ("Hikvision", "海康威视"),
    "hipcam": ("Hipcam", ""),
    "huawei": ("Huawei", "华为"),
    "ivel": ("Ivel", ""),
    "laureii": ("Laureii", ""),
    "live555": ("LIVE555", ""),
    "longse": ("Longse", ""),
    "luckfox": ("Luckfox", "幸狐"),
    "macrovideo": ("Macro-video", ""),
    "mercury": ("Mercury", "水星"),
    "mobotix": ("Mobotix", ""),
    "reolink": ("Reolink", "睿联"),
    "tapo": ("Tapo (TP-Link)", "普联"),
    "tenda": ("Tenda", "腾达"),
    "tiandy": ("Tiandy", "天地伟业"),
    "tplink": ("TP-Link", "普联"),
    "tuya": ("Tuya", "涂鸦"),
    "ubiquiti": ("Ubiquiti", ""),
    "uniview": ("Uniview", "宇视"),
    "v380": ("V380", ""),
    "v4l2rtspserver": ("v4l2rtspserver", ""),
    "vivotek": ("VIVOTEK", "晶睿"),
    "vlc": ("VLC", ""),
    "vstarcam": ("VStarcam", "威视达康"),
    "wowza": ("Wowza", ""),
    "any": ("Of any maker", ""),
}


@dataclass(frozen=True, slots=True)
class MakerTest:
    """A test of what a maker's devices do, and of what we do about it."""

    makers: frozenset[str]
    place: str
    does: str
    answer: str


@dataclass(frozen=True, slots=True)
class GoalTest:
    """A test of a numbered goal."""

    goal: int
    place: str
    says: str


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; pipes in cells are escaped."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def booking() -> str:
    """What each reason books, in the words of operators."""
    rows = []
    for reason, row in BOOKING.items():
        picture = "not asked" if row.picture is None else row.picture.value
        if row.waited_out is not None:
            picture += f"; {row.waited_out} after three looks that waited as long as the camera may need"
        rows.append((f"`{reason}`", *_both(f"reason.{reason}"), row.reach, row.stream, picture, default_blame(reason)))
    return table(("reason", "means", "中文", "reach", "stream", "picture", "blame"), rows)


def faults() -> str:
    """The faults that pictures are judged for."""
    rows = (
        (
            f"`{fault.name}`",
            *_both(f"fault.{fault.name}"),
            str(fault.vqd or "–"),
            "yes" if fault.breaks_intact else "no",
        )
        for fault in FAULTS.values()
    )
    return table(("fault", "means", "中文", "VQD number", "breaks intact 完好"), rows)


def exits() -> str:
    """What commands exit with."""
    return table(("status", "means"), ((str(int(status)), _EXITS[status]) for status in Exit))


def columns(kind: str) -> str:
    """The columns of one list, with the other headings that they go by."""
    rows = (
        (
            f"`{column.name}`",
            _needed(kind, column),
            " ".join(column.also) or "–",
            _RECORDER_ADDRESS if (kind, column.name) == (RECORDERS, "url") else _taken(column.parse),
        )
        for column in KINDS[kind].columns
    )
    return table(("column", "", "also called", "takes"), rows)


_RECORDER_ADDRESS: Final = "; ".join(
    f"{'/'.join(schemes)} for {', '.join(kind for kind in RECORDER_SCHEMES if RECORDER_SCHEMES[kind] == schemes)}"
    for schemes in dict.fromkeys(RECORDER_SCHEMES.values())
)


def _needed(kind: str, column: Column) -> str:
    if not column.stored:
        return "not kept"
    if not column.required:
        return ""
    return (
        "required, or [instead](inventory.md#what-may-stand-instead)"
        if column.name in KINDS[kind].instead
        else "required"
    )


def vendors() -> str:
    """The makers that lists may name, and where their streams are."""
    rows = (
        (
            f"`{vendor.key}`",
            " ".join((vendor.zh, vendor.en, *vendor.also)),
            "–" if vendor.number is None else str(vendor.number),
            _paths(vendor.camera or vendor.channel),
            _paths(vendor.channel),
        )
        for vendor in VENDORS.values()
    )
    return table(("maker", "names", "SBCS", "a camera by itself: main, sub", "channel N: main, sub"), rows)


def _paths(paths: Paths | None) -> str:
    if paths is None:
        return "give `url`"
    return ", ".join(f"`{path.replace('{channel}', 'N')}`" for path in (paths.main, paths.sub) if path is not None)


def facility_kinds() -> str:
    """The kinds of facilities."""
    rows = ((f"`{kind.key}`", kind.zh, kind.en, " ".join(kind.also)) for kind in FACILITY_KINDS.values())
    return table(("kind", "中文", "English", "also called"), rows)


def positions() -> str:
    """The position types of 一机一档."""
    return table(("number", "中文"), ((str(number), " ".join(names)) for number, names in POSITIONS.items()))


def archive_columns() -> str:
    """Every column of 一机一档 that is known, and what becomes of it."""
    rows = (
        (
            " ".join(row.zh) or "–",
            " ".join(row.keys) or "–",
            " ".join(row.items) or "–",
            "not used" if row.column is None else f"`{row.column}`",
        )
        for row in ARCHIVE
    )
    return table(("中文", "pinyin", "GB/T 28181", "ours"), rows)


def _taken(parse: Parser) -> str:
    name = parse.__qualname__.partition(".")[0]
    found = dict(inspect.getclosurevars(parse).nonlocals) if inspect.isfunction(parse) else {}
    if name == "choice":
        found["words"] = ", ".join(f"`{word}`" for word in found["words"].values())
    return _TAKES[name].format(**found)


def metrics() -> str:
    """Every metric that there is."""
    rows = (
        (f"`{metric.name}`", metric.kind.value, " ".join(f"`{label}`" for label in metric.labels) or "–", metric.help)
        for metric in CATALOGUE
    )
    return table(("metric", "kind", "labels", "means"), rows)


def routes() -> str:
    """Every path of the API with the permission that it needs."""
    rows = []
    for method, path, permission, parameters, says in sorted(api_routes(), key=lambda route: (route[1], route[0])):
        names = ", ".join(f"`{name}`" for name in parameters) or "–"
        rows.append((f"`{method} {path}`", permission, names, says))
    return table(("path", "needs", "query", "gives"), rows)


def api_routes() -> Iterator[tuple[str, str, str, list[str], str]]:
    """Method, path, permission, query parameters and meaning of every route of the API."""
    nothing = cast("Any", None)  # what the routes are made of is asked here, not what they answer
    api = create_app(reader=nothing, view=nothing, caller=nothing, clock=nothing, session_key=bytes(32))
    routers = [(PREFIX, one.router) for one in RESOURCES]
    needed = {
        (method, prefix + route.path): _permission(route)
        for prefix, router in [*routers, ("", machine.router), ("", blackbox.router)]
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    for path, methods in api.openapi()["paths"].items():
        for method, operation in methods.items():
            query = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
            says = " ".join(operation["description"].split())
            yield method.upper(), path, needed[method.upper(), path], query, says


def _permission(route: APIRoute) -> str:
    """The permissions that dependencies of the route demand; `may_scrape` has a rule of its own."""
    demanded: set[str] = set()
    waiting = [route.dependant]
    while waiting:
        dependant = waiting.pop()
        call = dependant.call
        if call is not None and inspect.isfunction(call):
            if call.__qualname__ == "needs.<locals>.check":
                demanded.add(f"`{inspect.getclosurevars(call).nonlocals['permission']}`")
            if call.__name__ == "may_scrape":
                demanded.add("`metrics`, or loopback")
        waiting += dependant.dependencies
    return " and ".join(sorted(demanded)) or "nothing"


def settings_page() -> str:
    """docs/settings.md."""
    unread = unread_settings()
    rows: dict[str, list[tuple[str, ...]]] = {}
    for key in describe():
        section, _, name = key.key.rpartition(".")
        means = key.description + (_NO_EFFECT if key.key in unread else "")
        rows.setdefault(section, []).append((f"`{name}`", f"`{key.env}`", key.takes, key.default, means))
    head = ("key", "variable", "takes", "default", "means")
    parts = [MADE + _SETTINGS_INTRO, "## At the top of the file\n\n" + table(head, rows.pop(""))]
    for section, model in sections().items():
        parts.append(f"## [{section}]\n\n{inspect.getdoc(model)}\n\n{table(head, rows[section])}")
    return "\n".join(parts)


_NO_EFFECT: Final = " **Has no effect in this version: giving it is refused.**"
_SETTINGS_INTRO: Final = """# Settings

Every key, what it takes, its default and its meaning. A file in [TOML](https://toml.io) is named by `--config FILE`.
The environment wins over the file, and the file over the defaults.

- In the file, keys stand in sections: `[schedule]` and below it `interval_s = 300`. A relative `data_dir` counts from
  the file's folder.
- In the environment, the same key is `STREAMWATCH_SCHEDULE__INTERVAL_S=300`. Lists have commas; `[]` is the empty list.
  An empty variable counts as not set.
- Each variable also exists with `_FILE` at its end. It names a file that holds the value.
- An unknown key, a wrong value or a contradiction is refused with its place and the remedy: exit status 78, and nothing
  starts. `streamwatch check-settings [--config FILE]` tells before you restart.
- Settings are read at the start, and again at `SIGHUP`: then all that changed is obeyed, or none of it. For another
  `listen`, `data_dir` or `database_url` stop the service and start it again.
"""


def unread_settings() -> frozenset[str]:
    """Keys that nothing in the package reads; `settings.load` must refuse them."""
    read: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                read.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                read.add(node.value)
    return frozenset(row.key for row in describe() if row.key.rpartition(".")[2] not in read)


def goal_tests(folder: Path) -> list[GoalTest]:
    """Every test below `folder` that carries the number of a goal in its name; nothing is imported."""
    found = []
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (goal := _GOAL.fullmatch(node.name)):
                says = " ".join((ast.get_docstring(node) or "").split())
                found.append(GoalTest(int(goal[1]), f"{path.relative_to(folder.parent)}::{node.name}", says))
    return sorted(found, key=lambda test: test.goal)


def goals_page() -> str:
    """docs/goals.md."""
    parts = [MADE + _GOALS_INTRO]
    tests = goal_tests(ROOT / "tests")
    for goal in sorted({test.goal for test in tests}):
        rows = ((f"`{test.place}`", test.says) for test in tests if test.goal == goal)
        parts.append(f"## R{goal}\n\n" + table(("test", "setup, fault, bound"), rows))
    return "\n".join(parts)


_GOALS_INTRO: Final = """# Goals that tests hold

Each reliability goal has a number. A test that holds (a part of) one carries the number in its name, and its first
lines say the setup, the fault and the bound. A number that is not here has no test yet. What stands here is what is
tested, which may be less than the whole goal.
"""


def maker_tests(folder: Path) -> list[MakerTest]:
    """Every test of folder/*/test_makers*.py whose name has a maker's word, in the order of the files; not imported."""
    found = []
    for path in sorted(folder.glob("*/test_makers*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            words = node.name.split("_")
            makers = frozenset(words[1:]) & (MAKERS.keys() - {"any"}) or frozenset(words[1:2]) & {"any"}
            if words[0] == "test" and makers:
                does, _, answer = " ".join((ast.get_docstring(node) or "").split()).rpartition(": ")
                place = f"{path.relative_to(folder.parent)}::{node.name}"
                found.append(MakerTest(makers, place, does, answer.removesuffix(".")))
    return found


def cameras_page() -> str:
    """docs/cameras.md."""
    parts = [MADE + _CAMERAS_INTRO]
    tests = maker_tests(ROOT / "tests")
    sources = (ROOT / "tests" / "data" / "SOURCES.md").read_text(encoding="utf-8")
    listed = [(found[1], found[2], found[3]) for found in map(_LISTED.fullmatch, sources.splitlines()) if found]
    for word, (name, chinese) in MAKERS.items():
        rows = [(test.does, test.answer, f"`{test.place}`") for test in tests if word in test.makers]
        kept = [f"- [`{file}`](../tests/data/{file}): {fact}\n" for file, maker, fact in listed if maker == word]
        if rows or kept:
            parts.append(f"## {name} {chinese}".rstrip() + "\n")
        if rows:
            parts.append(table(("what its devices do", "what we do", "the test that proves it"), rows))
        if kept:
            parts.append("Whole looks, replayed by `tests/wire/test_makers.py`:\n\n" + "".join(kept))
    return "\n".join(parts)


_CAMERAS_INTRO: Final = """# Cameras

What devices do differently from the standards, maker by maker, and what we do about it. Nothing stands here that is
not tested: `pytest -k hikvision` runs what is known of Hikvision, and so for every other word that the tests' names
have. What many makers' devices do, or those of a maker that nobody named, stands [at the end](#of-any-maker). Numbers
such as go2rtc #231 are the reports of that project in which the fact was told.

A device that is not here is no worse off: all of this is tolerated whoever does it, and what is not understood is
passed over. `streamwatch probe URL` tells how a look at yours ends, and at which step.

## When a camera fails that should not

```sh
streamwatch probe --record odd.jsonl rtsp://USER:PASSWORD@HOST/PATH
streamwatch probe --replay odd.jsonl     # must say the same, without the camera
```

1. Read `odd.jsonl`: one message a line, in the order in which they came, `out` ours and `in` the camera's. Passwords,
   realms and serial numbers are masked, and pictures are left out; the host's address is not masked.
2. Look at its end: the reply before the failure, or the packets before the deadline.
3. Send it with make, model and firmware, as the form for cameras in the issues asks. It becomes a recording in
   `tests/data`, a test named after the maker, and a row here
   ([how](developers.md#what-a-makers-device-does-differently)).
"""


def commands_page() -> str:
    """docs/cli.md."""
    shown = commands.generate_docs(output_format="markdown")
    body = shown.partition("## Table of Contents")[2].partition("## streamwatch run")
    rest = "\n".join(line.rstrip() for line in (body[1] + body[2]).splitlines())
    rest = _CALLED.sub(r"\1", rest)
    return f"{MADE}{_COMMANDS_INTRO}\n## Exit statuses\n\n{exits()}\n{rest.rstrip()}\n"


_COMMANDS_INTRO: Final = """# Commands

`streamwatch COMMAND --help` says the same. `streamwatch --version [--json]` names the versions of streamwatch, Python,
PyAV, FFmpeg and SQLite. With `--json` a command prints JSON and nothing else on stdout. Of several things asked about,
the worst counts for the exit status: 2 beats 3, 3 beats 1, 1 beats 0.
"""

PAGES: Final[dict[Path, Callable[[], str]]] = {
    DOCS / "settings.md": settings_page,
    DOCS / "goals.md": goals_page,
    DOCS / "cli.md": commands_page,
    DOCS / "cameras.md": cameras_page,
}
BLOCKS: Final[dict[str, Callable[[], str]]] = {
    "booking": booking,
    "faults": faults,
    "exits": exits,
    **{kind: partial(columns, kind) for kind in KINDS},
    "vendors": vendors,
    "facility-kinds": facility_kinds,
    "positions": positions,
    "archive": archive_columns,
    "metrics": metrics,
    "routes": routes,
}


def _both(key: str) -> tuple[str, str]:
    return text(key, "en"), text(key, "zh-CN")


def filled(page: str) -> str:
    """A hand-written page with its made parts as they should be. Raises KeyError for a part that nobody makes."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n{found[3]}", page)


def wanted() -> dict[Path, str]:
    """Every page that holds something made, as it should be."""
    pages = {path: make() for path, make in PAGES.items()}
    for path in sorted({*DOCS.glob("*.md"), *ROOT.glob("*.md")} - pages.keys()):
        before = path.read_text(encoding="utf-8")
        if _BLOCK.search(before):
            pages[path] = filled(before)
    return pages


def stale() -> list[Path]:
    """The pages that differ from what they should be."""
    return [path for path, page in wanted().items() if not path.exists() or path.read_text(encoding="utf-8") != page]


def main(arguments: list[str]) -> int:
    """Writes what is stale, or with --check only names it and gives 1."""
    found = stale()
    for path in found:
        print(f"{path.relative_to(ROOT)}: {'is stale: run python tools/docs.py' if arguments else 'written'}")  # noqa: T201
    if arguments == ["--check"]:
        return 1 if found else 0
    pages = wanted()
    for path in found:
        path.write_text(pages[path], encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
