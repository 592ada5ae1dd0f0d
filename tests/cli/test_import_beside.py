"""All six lists into a running service, by the command and by the API, as an operator and an integrator do it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Shell

LISTS = {
    "lines": "code,name,parent\nT1,镇汇聚,\nT2,村专线,T1\n",
    "recorders": "code,name,village,kind,url,username,password,line\nN1,村委会,V1,isapi,http://127.0.0.9,admin,geheim,T2\n",
    "cameras": "code,name,village,url,recorder,recorder_channel\nB1,村口,V1,,N1,1\nB2,坏,V1,rtsp//x,,\n",
    "points": "code,village,kind,name,camera\nP1,V1,村口,东口,B1\n",
    "facilities": "code,village,kind,tested_on,test_passed\nF1,V1,警铃入户,2025-05-01,合格\n",
}


def test_lists_reach_a_running_service_by_command_and_by_the_api(beside: Shell, tmp_path: Path) -> None:
    """What the command took in the API knows, and taking it in again there changes nothing; passwords stay inside."""
    assert beside.running is not None
    api = beside.running.api
    for kind, text in LISTS.items():
        file = tmp_path / f"{kind}.csv"
        file.write_text(text, encoding="utf-8")
        told = beside("import", kind, str(file), "--json")
        good = json.loads(told.out)
        assert told.status == (1 if kind == "cameras" else 0), told
        assert good["created"] == len(text.splitlines()) - 1 - good["rejected_total"]

        again = api.post(f"/api/v1/{kind}/import", content=text.encode("gb18030"))
        assert again.status_code == 200, again.text
        same = again.json()
        assert (same["created"], same["changed"], same["unchanged"]) == (0, 0, good["created"])
        assert same["rejected"] == good["rejected"]
        assert "geheim" not in told.out + again.text

    assert beside.running.get("/recorders/N1")["url"] == "http://***@127.0.0.9"
    assert beside.running.get("/cameras/B1")["url"] == "rtsp://127.0.0.9/Streaming/Channels/101"
    assert [one["code"] for one in beside.running.every("/lines", village="V1")] == ["T2"]
    assert beside.running.get("/facilities/F1")["test_passed"] is True

    changed = api.patch("/api/v1/points/P1", json={"camera": None})
    assert (changed.status_code, changed.json()["camera"]) == (200, None)
    refused = api.patch("/api/v1/recorders/N1", json={"url": "http://127.0.0.66"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "password_needed")
    looped = api.patch("/api/v1/lines/T1", json={"parent": "T2"})
    assert (looped.status_code, looped.json()["errors"][0]["code"]) == (422, "parent_loop")
    for kind, code in (("points", "P1"), ("facilities", "F1"), ("recorders", "N1"), ("lines", "T2")):
        assert api.delete(f"/api/v1/{kind}/{code}").status_code == 204
        assert api.get(f"/api/v1/{kind}/{code}").status_code == 404
    reused = api.post("/api/v1/points/import", content=LISTS["points"].encode()).json()
    assert [bad["code"] for bad in reused["rejected"]] == ["removed"]
    assert api.delete("/api/v1/cameras/B1").status_code == 204
