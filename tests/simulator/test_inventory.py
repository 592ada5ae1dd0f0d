"""Invented villages and the files that `import` takes."""

from __future__ import annotations

import csv
import random

import pytest

from streamwatch.inventory.lists import parse_file
from streamwatch.simulator.inventory import MAX_VILLAGES, Cameras, villages
from streamwatch.simulator.lists import HEADINGS
from streamwatch.simulator.scenes import SCENES
from tests.simulator.conftest import CAMERAS, Running, Talk


def test_files_parse_with_the_agreed_headings(farm: Running) -> None:
    """UTF-8 without a mark, headings of the import files, cameras of known villages with both addresses."""
    raw = (farm.folder / "cameras.csv").read_bytes()
    with (farm.folder / "villages.csv").open(encoding="utf-8", newline="") as file:
        places = list(csv.DictReader(file))

    assert raw.startswith(b"code,name,village,url,sub_url,")
    assert tuple(places[0]) == HEADINGS["villages"]
    assert tuple(farm.cameras[0]) == HEADINGS["cameras"]
    assert len(farm.cameras) == CAMERAS
    assert {camera["village"] for camera in farm.cameras} <= {place["code"] for place in places}
    assert len({camera["url"] for camera in farm.cameras}) == CAMERAS
    for camera in farm.cameras:
        assert camera["url"].startswith("rtsp://127.9.0.")
        assert f":{farm.port}/" in camera["sub_url"]
        assert camera["password"] and camera["password"] not in camera["url"]


def rows(farm: Running, kind: str) -> list[dict[str, str]]:
    """A list as the farm wrote it."""
    with (farm.folder / f"{kind}.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ()) == HEADINGS[kind]
        return list(reader)


@pytest.mark.parametrize("kind", HEADINGS)
def test_import_takes_every_list_as_it_is(farm: Running, kind: str) -> None:
    """The product's own reader rejects no line."""
    parsed = parse_file(farm.folder / f"{kind}.csv", kind)

    assert parsed.rejected == ()
    assert len(parsed.rows) == len(rows(farm, kind)) > 0


def test_the_lists_name_each_other(farm: Running) -> None:
    """Every code that a list names is in the list that it means; what belongs together is in one village."""
    village = {kind: {row["code"]: row["village"] for row in rows(farm, kind)} for kind in ("recorders", "cameras")}
    homes = {row["code"] for row in rows(farm, "villages")}
    parents = {row["code"]: row["parent"] for row in rows(farm, "lines")}
    cameras = rows(farm, "cameras")

    assert {
        home for kind in ("points", "facilities", "recorders") for home in (r["village"] for r in rows(farm, kind))
    } == homes
    assert {code for code in parents.values() if code} <= {code for code, parent in parents.items() if not parent}
    for camera in cameras:
        assert village["recorders"][camera["recorder"]] == camera["village"]
        assert parents[camera["line"]] in parents
    channels = [(camera["recorder"], int(camera["recorder_channel"])) for camera in cameras]
    assert len(set(channels)) == len(channels)
    assert {channel for _, channel in channels} == set(range(1, 17))
    filled = [point for point in rows(farm, "points") if point["camera"]]
    assert all(village["cameras"][point["camera"]] == point["village"] for point in filled)
    assert sorted(point["camera"] for point in filled) == sorted(village["cameras"])
    assert len(rows(farm, "points")) == len(filled) + len(homes)
    assert {row["kind"] for row in rows(farm, "facilities")} == {
        "household_alarm", "intrusion_alarm", "broadcast", "access_control", "electronic_fence",
    }  # fmt: skip


def test_a_recorder_is_a_device_of_its_own(farm: Running) -> None:
    """Its address is no camera's, and it answers there with its own password and shows a channel."""
    recorders = rows(farm, "recorders")

    assert len(recorders) == 2
    assert {row["url"] for row in recorders}.isdisjoint(camera["url"] for camera in farm.cameras)
    with Talk(recorders[0], stream="url") as talk:
        assert talk.play().status == 200
        assert talk.frame()


@pytest.mark.parametrize(("homes", "count"), [(1, 1), (8, 240), (5, 3), (MAX_VILLAGES, 2000)])
def test_codes_and_names_are_unique_and_well_formed(homes: int, count: int) -> None:
    """Villages have 12 digits, cameras 20 of type 132, every view exists, and no village of a large farm is empty."""
    among = villages(homes, random.Random(3))
    seen = Cameras(count, among, random.Random(3))

    assert len({village.code for village in among}) == len({village.name for village in among}) == homes
    assert all(len(village.code) == 12 and village.code.isdigit() for village in among)
    assert len({camera.code for camera in seen}) == len({camera.name for camera in seen}) == count
    assert all(len(camera.code) == 20 and camera.code[10:13] == "132" for camera in seen)
    assert {camera.scene for camera in seen} <= set(SCENES)
    assert len({camera.village for camera in seen}) == min(homes, count)


def test_the_same_seed_invents_the_same_villages() -> None:
    """A farm can be started again with the inventory that was imported before."""
    first, again = (villages(8, random.Random(1)) for _ in range(2))

    assert first == again
    assert first != villages(8, random.Random(2))
