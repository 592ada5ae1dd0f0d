"""`import`: alone, through whoever runs, in words and as JSON, with the exit statuses of the interface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streamwatch.cli.import_ import import_file, import_into
from streamwatch.cli.imported import tell
from streamwatch.datadir import DataDir
from streamwatch.errors import Exit, HeldError, UsageError
from streamwatch.inventory.apply import run_import
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import Change, ImportResult, ParsedFile, Rejection
from streamwatch.live.server import LiveServer
from streamwatch.model.inventory import Inventory, Secret
from streamwatch.model.live import ServiceStatus
from streamwatch.secrets import Sealer
from streamwatch.settings import load
from streamwatch.store.engine import default_url, open_reader, open_writer
from streamwatch.store.inventory import load_inventory

VILLAGES = "code,name,region\nV1,青石村,青河县/双河镇\n"
CAMERAS = "code,name,village,url\nC1,村口,V1,rtsp://u:geheim@10.0.0.1/a\nC2,x,V9,rtsp://u:geheim@10.0.0.2/\n"
NO_VILLAGE = "no village has this code or name; import villages first, or correct it"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory, set for the command as for the service."""
    monkeypatch.setenv("STREAMWATCH_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def lists(tmp_path: Path) -> tuple[Path, Path]:
    """Villages and cameras; the second camera is in no village."""
    villages, cameras = tmp_path / "villages.csv", tmp_path / "cameras.csv"
    villages.write_text(VILLAGES)
    cameras.write_text(CAMERAS)
    return villages, cameras


async def inventory(data: Path) -> Inventory:
    """What the store has."""
    engine = open_reader(default_url(data))
    try:
        async with engine.connect() as conn:
            return await load_inventory(conn, Sealer.open(data))
    finally:
        await engine.dispose()


async def test_a_list_is_taken_and_told_in_words(
    data: Path, lists: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 0; 1 where lines were rejected, each named; the same list again changes nothing; no password is shown."""
    assert await import_file("villages", lists[0]) == Exit.OK
    assert await import_file("cameras", lists[1]) == Exit.DEGRADED
    assert await import_file("cameras", lists[1]) == Exit.DEGRADED

    wrong = f"""
not taken:
line  column   value  what is wrong    what to do
   3  village  V9     unknown_village  {NO_VILLAGE}

"""
    assert capsys.readouterr().out == (
        "villages: 1 created, 0 changed, 0 unchanged, 0 lines rejected\n"
        f"cameras: 1 created, 0 changed, 0 unchanged, 1 line rejected\n{wrong}"
        f"cameras: 0 created, 0 changed, 1 unchanged, 1 line rejected\n{wrong}"
    )
    (camera,) = (await inventory(data)).cameras.values()
    assert (camera.url, camera.password) == ("rtsp://10.0.0.1/a", Secret("geheim"))
    assert DataDir(data).holder() is None


async def test_remarks_are_told_and_are_no_failure(
    data: Path, lists: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Lists may come in any order: what is named before it is there is taken, with a word, and exit 0."""
    lines = tmp_path / "lines.csv"
    lines.write_text("code,name,parent\nL2,村专线,L1\n")

    assert await import_file("lines", lines) == Exit.OK
    assert capsys.readouterr().out == (
        """lines: 1 created, 0 changed, 0 unchanged, 0 lines rejected, 1 line with remarks

taken, but to be put right:
line  column  value  what is wrong  what to do
   2  parent  L1     unknown_line   no line has this code; import lines first, or correct it

"""
    )
    assert await import_file("lines", lines, as_json=True) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["unchanged"], told["remarks_total"], told["remarks"][0]["code"]) == (1, 1, "unknown_line")


@pytest.mark.parametrize(
    ("count", "most", "more"),
    [(3, None, None), (3, 3, None), (3, 2, "… and 1 line more"), (30, 20, "… and 10 lines more")],
)
def test_long_lists_of_problems_are_cut_where_one_asks(
    capsys: pytest.CaptureFixture[str], count: int, most: int | None, more: str | None
) -> None:
    """What was done must not scroll away; how many lines are not shown is said."""
    rejected = tuple(Rejection(line, "url", "x", "bad_url", "give one") for line in range(2, 2 + count))
    tell("cameras", ImportResult(rejected=rejected, rejected_total=count), most=most)

    out = capsys.readouterr().out
    assert out.count("bad_url") == (count if most is None else min(count, most))
    assert ("… and" in out) == (more is not None)
    assert more is None or more in out


def test_a_move_says_that_history_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """Before it is done; of a recorder nothing of the kind, it has no history."""
    result = ImportResult(changed=1, changes=(Change("X1", ("name", "village")),), dry_run=True)
    tell("cameras", result)
    tell("recorders", result)

    assert capsys.readouterr().out.splitlines()[1::2] == [
        "X1: name, village would change; its history stays with the old village",
        "X1: name, village would change",
    ]


async def test_json_has_the_promised_keys(
    data: Path, lists: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """One object, nothing else on stdout."""
    await import_file("villages", lists[0], as_json=True)
    await import_file("cameras", lists[1], as_json=True)

    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["created"], first["changed"], first["unchanged"], first["rejected"]) == (1, 0, 0, [])
    assert second["rejected"] == [
        {
            "line": 3,
            "column": "village",
            "value": "V9",
            "code": "unknown_village",
            "remedy": NO_VILLAGE,
        }
    ]


async def test_a_dry_run_shows_the_difference(
    data: Path, lists: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """What would change, by code and field; nothing does."""
    await import_file("villages", lists[0])
    lists[0].write_text(VILLAGES.replace("青石村", "石桥村"))
    capsys.readouterr()

    assert await import_file("villages", lists[0], dry_run=True) == Exit.OK
    assert capsys.readouterr().out == (
        "villages: 0 would be created, 1 would be changed, 0 unchanged, 0 lines rejected\nV1: name would change\n"
    )
    (village,) = (await inventory(data)).villages.values()
    assert village.name == "青石村"


async def test_stop_writes_nothing(data: Path, lists: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """One bad line and the good ones stay out too; the words say so."""
    await import_file("villages", lists[0])

    assert await import_file("cameras", lists[1], on_error="stop") == Exit.DEGRADED
    assert "nothing was written, because lines were rejected" in capsys.readouterr().out
    assert (await inventory(data)).cameras == {}


async def test_a_running_service_does_the_work(
    data: Path, lists: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The list crosses the control socket and the service's own writer takes it in."""
    await import_file("villages", lists[0])
    asked: list[str] = []
    engine = open_writer(default_url(data))

    async def handler(op: str, args: dict[str, Any]) -> Any:
        asked.append(op)
        async with engine.begin() as conn:
            result = await run_import(
                conn,
                Sealer.open(data),
                args["kind"],
                ParsedFile.from_bytes(args["file"]),
                now_us=7,
                dry_run=args["dry_run"],
                on_error=args["on_error"],
                create_only=args["create_only"],
            )
        return result.to_json()

    directory = DataDir(data)
    server = LiveServer(directory.live_sock(), handler, lambda: ServiceStatus(at_us=0, started_us=0, version="0"))
    with directory.lock("streamwatch run", 0):
        await server.start(())
        try:
            assert await import_file("cameras", lists[1]) == Exit.DEGRADED
        finally:
            await server.aclose()
            await engine.dispose()

    assert asked == ["import"]
    assert "cameras: 1 created" in capsys.readouterr().out
    (camera,) = (await inventory(data)).cameras.values()
    assert (camera.password, camera.installed_us) == (Secret("geheim"), 7)


async def test_another_command_that_holds_the_directory_is_named(data: Path, lists: tuple[Path, Path]) -> None:
    """Nobody answers on the socket: exit 75 names the holder instead."""
    with DataDir(data).lock("streamwatch import", 0), pytest.raises(HeldError, match=r"\(streamwatch import\)"):
        await import_file("villages", lists[0])


async def test_a_file_that_cannot_be_read_is_wrong_usage(data: Path, tmp_path: Path) -> None:
    """Exit 64, before anything is made."""
    with pytest.raises(UsageError, match="cannot be read"):
        await import_file("cameras", tmp_path / "no.csv")
    assert not data.exists()


async def test_a_settings_file_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config: the same data directory as the service's."""
    monkeypatch.delenv("STREAMWATCH_DATA_DIR", raising=False)
    config, villages = tmp_path / "s.toml", tmp_path / "v.csv"
    config.write_text('data_dir = "here"\n')
    villages.write_text(VILLAGES)

    assert await import_file("villages", villages, config=config) == Exit.OK
    assert len((await inventory(tmp_path / "here")).villages) == 1


async def test_create_only_is_for_lists_made_from_other_lists(data: Path) -> None:
    """What an operator sorted since stays."""
    settings = load(None, {"STREAMWATCH_DATA_DIR": str(data)})
    made = parse_file(VILLAGES.encode(), "villages")
    await import_into(settings, "villages", made, dry_run=False, on_error="skip")
    other = parse_file("code,name,region\nV1,V1,未分区\n".encode(), "villages")

    result = await import_into(settings, "villages", other, dry_run=False, on_error="skip", create_only=True)

    assert (result.changed, result.unchanged) == (0, 1)
