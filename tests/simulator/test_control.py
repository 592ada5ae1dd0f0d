"""The control port."""

from __future__ import annotations

import json
import urllib.request

import pytest

from streamwatch.simulator.faults import Fault
from tests.simulator.conftest import CAMERAS, PATIENCE_S, Running


def test_a_list_is_done_as_a_whole_or_not_at_all(farm: Running) -> None:
    """One wrong order in a list and none is carried out; a good list is answered item by item."""
    codes = [camera["code"] for camera in farm.cameras[:2]]
    bad = [{"camera": codes[0], "fault": "auth"}, {"camera": "nobody", "fault": "auth"}]
    good = [{"camera": code, "fault": "auth"} for code in codes]

    assert farm.ask("/faults", bad)[0] == 404
    assert farm.ask("/faults")[1]["items"] == []
    status, answer = farm.ask("/faults", good)
    assert (status, [item["camera"] for item in answer["items"]]) == (200, codes)
    assert [item["camera"] for item in farm.ask("/faults")[1]["items"]] == codes


@pytest.mark.parametrize(
    ("order", "status", "word"),
    [
        ({"camera": "nobody", "fault": None}, 404, "nobody"),
        ({"camera": "", "fault": "on_fire"}, 400, "no_keyframe"),
        ({"camera": "", "fault": "latency:far"}, 400, "10000 ms"),
        ({"camera": "", "fault": "auth", "until": "tomorrow"}, 400, "tomorrow"),
        ({"camera": "", "fault": "auth", "until": "2020-01-01T00:00:00Z"}, 400, "future"),
        ({"camera": "", "fault": "auth", "until": "2099-01-01T00:00:00"}, 400, "zone"),
        ({"camera": "", "fault": "auth", "til": None}, 400, "til"),
        ({"camera": ""}, 400, "fault"),
        ([], 400, "1"),
        ("auth", 400, "object"),
    ],
)
def test_a_wrong_order_is_named(farm: Running, order: object, status: int, word: str) -> None:
    """Unknown camera 404, all else 400, with what is wrong and the list of faults."""
    if isinstance(order, dict) and order.get("camera") == "":
        order = order | {"camera": farm.cameras[0]["code"]}

    got, answer = farm.ask("/faults", order)

    assert got == status
    assert word in answer["detail"]
    assert answer["faults"] == [str(fault) for fault in Fault]
    assert farm.ask("/faults")[1]["items"] == []


def test_the_cameras_and_the_health_of_the_farm_can_be_asked(farm: Running) -> None:
    """GET /cameras has the inventory's codes and addresses and the present fault; GET /healthz counts."""
    farm.fault(farm.cameras[1], "blur")
    farm.fault(farm.cameras[2], "loss:2.5")

    items = farm.ask("/cameras")[1]["items"]
    assert [(c["code"], c["sub_url"]) for c in items] == [(c["code"], c["sub_url"]) for c in farm.cameras]
    assert [c["fault"] for c in items[:3]] == [None, "blur", "loss:2.5"]
    assert "password" not in items[0]
    assert farm.ask("/healthz")[1] == {"cameras": CAMERAS, "faulty": 2}


def test_a_log_line_can_be_posted_as_it_is(farm: Running) -> None:
    """`POST /faults` takes the object that the log has."""
    farm.fault(farm.cameras[0], "busy")
    line = farm.log()[-1]
    farm.fault(farm.cameras[0], None)

    request = urllib.request.Request(farm.control + "/faults", json.dumps(line).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert json.load(answer)["items"][0]["fault"] == "busy"
