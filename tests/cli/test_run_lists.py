"""`run --cameras my.csv`: what a newcomer's lists become before the service starts; what is said of their mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamwatch.cli import run as command
from streamwatch.cli.import_ import import_file
from streamwatch.cli.run import UNSORTED_REGION, take_in, villages_named_by, watched
from streamwatch.datadir import DataDir
from streamwatch.errors import Exit, HeldError, UsageError
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ImportResult
from streamwatch.live.server import LiveServer
from streamwatch.model.live import ServiceStatus
from streamwatch.model.scope import EVERYTHING
from streamwatch.settings import Settings, load
from streamwatch.store.engine import default_url, open_reader
from streamwatch.store.inventory import VillageRow, list_villages

CAMERAS = (
    "code,name,village,url\nC1,村口,青石村,rtsp://10.0.0.1/a\nC2,桥头,青石村,rtsp//10.0.0.2/a\nC3,x,,rtsp://10.0.0.3/\n"
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of an empty data directory, for `import` too."""
    monkeypatch.setenv("STREAMWATCH_DATA_DIR", str(tmp_path / "data"))
    return load(None, {"STREAMWATCH_DATA_DIR": str(tmp_path / "data")})


def written(folder: Path, kind: str, text: str) -> Path:
    """A list as a file."""
    path = folder / f"{kind}.csv"
    path.write_text(text, encoding="utf-8")
    return path


async def villages(settings: Settings) -> list[VillageRow]:
    """What the store has."""
    engine = open_reader(default_url(settings.data_dir))
    try:
        async with engine.connect() as conn:
            return await list_villages(conn, EVERYTHING, limit=100)
    finally:
        await engine.dispose()


async def test_the_good_lines_are_watched_and_the_bad_ones_named(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with line, column and remedy; the village is made by its name; then it is said how many are watched."""
    assert await take_in(settings, {"cameras": written(tmp_path, "cameras", CAMERAS)})

    out = capsys.readouterr().out
    assert "villages: 1 made by their name in a list" in out
    assert "cameras: 1 created, 0 changed, 0 unchanged, 2 lines rejected" in out
    rows = [line.split() for line in out.splitlines()]
    assert [row[:2] for row in rows if row[:1] in (["3"], ["4"])] == [["3", "url"], ["4", "village"]]
    assert [(one.code, one.name, one.region_name) for one in await villages(settings)] == [
        ("青石村", "青石村", UNSORTED_REGION)
    ]
    assert await watched(settings) == "1 camera in 1 village"


async def test_villages_that_are_known_by_code_or_name_are_not_made_again(settings: Settings, tmp_path: Path) -> None:
    """What an operator sorted since stays, and a name means the village that has it."""
    await import_file("villages", written(tmp_path, "villages", "code,name,region\nV1,青石村,青河县\n"))
    text = "code,name,village,url\nC1,a,青石村,rtsp://10.0.0.1/a\nC2,b,V1,rtsp://10.0.0.2/a\n"

    assert await take_in(settings, {"cameras": written(tmp_path, "cameras", text)})
    assert [(one.code, one.region_name) for one in await villages(settings)] == [("V1", "青河县")]
    assert await watched(settings) == "2 cameras in 1 village"


async def test_with_a_list_of_villages_a_missing_one_is_a_mistake(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is made then: the line is named, the others are watched."""
    text = "code,name,village,url\nC1,a,V1,rtsp://10.0.0.1/a\nC2,b,V9,rtsp://10.0.0.2/a\n"
    lists = {
        "villages": written(tmp_path, "villages", "code,name,region\nV1,青石村,青河县\n"),
        "cameras": written(tmp_path, "cameras", text),
    }

    assert await take_in(settings, lists)
    assert "unknown_village" in capsys.readouterr().out
    assert [one.code for one in await villages(settings)] == ["V1"]


async def test_the_villages_of_an_archive_come_from_its_codes(settings: Settings, tmp_path: Path) -> None:
    """一机一档 names no village: the 12 digits that its two codes give are one."""
    text = "设备编码,设备名称,行政区域,村级编码,主码流地址\n99010100001320000001,村口,990101,001201,rtsp://10.0.0.1/a\n"

    assert await take_in(settings, {"cameras": written(tmp_path, "cameras", text)})
    assert [one.code for one in await villages(settings)] == ["990101001201"]


async def test_all_lists_are_taken_and_their_villages_made(settings: Settings, tmp_path: Path) -> None:
    """Recorders and points name villages too."""
    lists = {
        "lines": "code,name\nL1,x\n",
        "recorders": "code,name,village,kind,url,line\nN1,x,甲村,isapi,http://10.0.0.9,L1\n",
        "cameras": "code,name,village,url,recorder,recorder_channel\nC1,x,乙村,,N1,2\n",
        "points": "code,village,kind,name,camera\nP1,乙村,村口,x,C1\n",
        "facilities": "code,village,kind\nF1,丙村,警铃入户\n",
    }

    assert await take_in(settings, {kind: written(tmp_path, kind, text) for kind, text in lists.items()})
    assert [one.code for one in await villages(settings)] == sorted(("甲村", "乙村", "丙村"))


@pytest.mark.parametrize(
    ("text", "word"),
    [("code,name,village,url\nC1,a,V1,http://10.0.0.1/\n", "bad_url"), ("a,b\n1,2\n", "unknown_column")],
)
async def test_a_list_of_which_nothing_can_be_taken_starts_nothing(
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    word: str,
) -> None:
    """Exit 1, with the reasons; the service is not started on it."""

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("the service was started")

    monkeypatch.setattr(command, "service", never)
    monkeypatch.setattr(command, "configure", lambda _: None)  # logging is this process's own
    lists = {"cameras": written(tmp_path, "cameras", text)}

    assert await command.run(None, in_one_process=True, ready_fd=None, lists=lists) == Exit.DEGRADED
    out = capsys.readouterr().out
    assert word in out
    assert out.endswith("cameras.csv: no line could be taken in, so nothing was started; correct it and start again\n")


async def test_a_file_that_is_not_there_is_wrong_usage(settings: Settings, tmp_path: Path) -> None:
    """Before anything is taken in."""
    with pytest.raises(UsageError, match="cannot be read"):
        await take_in(settings, {"cameras": tmp_path / "no.csv"})


async def test_nothing_is_taken_in_beside_a_running_service(settings: Settings, tmp_path: Path) -> None:
    """`run` would end with 75 anyway: it must not change what the other one watches first."""
    asked: list[str] = []

    async def handler(op: str, _args: dict[str, Any]) -> Any:
        asked.append(op)
        return ImportResult().to_json()

    data = DataDir(settings.data_dir)
    server = LiveServer(data.live_sock(), handler, lambda: ServiceStatus(at_us=0, started_us=0, version="0"))
    with data.lock("run", 0):
        await server.start(())
        try:
            with pytest.raises(HeldError):
                await take_in(settings, {"cameras": written(tmp_path, "cameras", CAMERAS)})
        finally:
            await server.aclose()
    assert asked == []


def test_villages_are_named_once() -> None:
    """In the order in which they come, over all lists; a list without villages names none."""
    lists = {"cameras": CAMERAS, "lines": "code,name\nL1,x\n", "facilities": "code,village,kind\nF1,乙村,警铃入户\n"}
    named = villages_named_by([parse_file(text.encode(), kind) for kind, text in lists.items()])

    assert [row.values for row in named.rows] == [(one, one, UNSORTED_REGION) for one in ("青石村", "乙村")]
