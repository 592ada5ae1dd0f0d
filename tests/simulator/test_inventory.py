"""Invented villages and the files that `import` takes."""

from __future__ import annotations

import csv
import random

import pytest

from streamwatch.simulator.inventory import CAMERAS_HEADING, MAX_VILLAGES, VILLAGES_HEADING, cameras, villages
from streamwatch.simulator.scenes import SCENES
from tests.simulator.conftest import CAMERAS, Running


def test_files_parse_with_the_agreed_headings(farm: Running) -> None:
    """UTF-8 without a mark, headings of the import files, cameras of known villages with both addresses."""
    raw = (farm.folder / "cameras.csv").read_bytes()
    with (farm.folder / "villages.csv").open(encoding="utf-8", newline="") as file:
        places = list(csv.DictReader(file))

    assert raw.startswith(b"code,name,village,url,sub_url,")
    assert tuple(places[0]) == VILLAGES_HEADING
    assert tuple(farm.cameras[0]) == CAMERAS_HEADING
    assert len(farm.cameras) == CAMERAS
    assert {camera["village"] for camera in farm.cameras} <= {place["code"] for place in places}
    assert len({camera["url"] for camera in farm.cameras}) == CAMERAS
    for camera in farm.cameras:
        assert camera["url"].startswith("rtsp://127.9.0.")
        assert f":{farm.port}/" in camera["sub_url"]
        assert camera["password"] and camera["password"] not in camera["url"]


@pytest.mark.parametrize(("homes", "count"), [(1, 1), (8, 240), (5, 3), (MAX_VILLAGES, 2000)])
def test_codes_and_names_are_unique_and_well_formed(homes: int, count: int) -> None:
    """Villages have 12 digits, cameras 20 of type 132, every view exists, and no village of a large farm is empty."""
    among = villages(homes, random.Random(3))
    seen = cameras(count, among, random.Random(3))

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
