"""Uptime, timelines, status and badges: exact sums, windows that end at now, what the live view adds."""

from __future__ import annotations

from typing import Any

import pytest

from streamwatch.clock import US, parse_rfc3339, rfc3339
from streamwatch.model.live import CameraLive
from streamwatch.model.look import State
from streamwatch.model.standing import STREAM
from streamwatch.store.tables import camera, segment, standing
from tests.api.world import DAY, HOUR, NOW, STOOD, VILLAGE_A, VILLAGE_B, World, live, stand


def window(from_us: int, to_us: int) -> str:
    return f"from={rfc3339(from_us)}&to={rfc3339(to_us)}"


def total_s(rate: dict[str, Any]) -> float:
    return float(rate["up_s"] + rate["down_s"] + rate["unknown_s"] + rate["excluded_s"])


async def test_village_uptime_is_exact(world: World) -> None:
    """The four sums are the cameras' time in service, to the second, and each is what the segments say."""
    found = await world.get(f"/villages/{VILLAGE_A}/uptime?{window(NOW - DAY, NOW)}")

    rate = found["uptime"]
    assert (found["from"], found["to"], found["made_up"]) == (rfc3339(NOW - DAY), rfc3339(NOW), False)
    assert total_s(rate) == 4 * 86_400
    assert rate["down_s"] == 3_600
    assert rate["excluded_s"] == 2 * 3_600
    assert rate["unknown_s"] == 3 * 3_600  # camera 4 since its last look
    assert rate["up_s"] == 4 * 86_400 - 6 * 3_600
    assert rate["down_by_blame_s"] == {"camera": 3_600}
    assert rate["cameras"] == 4
    assert rate["value"] == pytest.approx(rate["up_s"] / (rate["up_s"] + rate["down_s"]), abs=1e-6)


async def test_default_window_is_30_days_and_begins_with_the_installation(world: World) -> None:
    """Nothing before a camera's installation is in the window; made-up history is told."""
    found = await world.get(f"/villages/{VILLAGE_A}/uptime")

    assert parse_rfc3339(found["to"]) == NOW
    assert parse_rfc3339(found["from"]) == NOW - 30 * DAY
    assert total_s(found["uptime"]) == 4 * 20 * 86_400
    assert found["made_up"] is True


@pytest.mark.parametrize(("by", "steps"), [("hour", 24), ("day", 2), ("month", 1)])
async def test_series_adds_up_to_the_whole(world: World, by: str, steps: int) -> None:
    """Hours, days and months (of Asia/Shanghai: now is 14:00 there) abut, cover the window and add up."""
    found = await world.get(f"/villages/{VILLAGE_A}/uptime?{window(NOW - DAY, NOW)}&by={by}")

    series = found["series"]
    assert len(series) == steps
    assert [one["from"] for one in series[1:]] == [one["to"] for one in series[:-1]]
    assert (series[0]["from"], series[-1]["to"]) == (found["from"], found["to"])
    for part in ("up_s", "down_s", "unknown_s", "excluded_s"):
        assert sum(one["uptime"][part] for one in series) == found["uptime"][part]
        assert sum(one["intact"]["of_online"][part] for one in series) == found["intact"]["of_online"][part]


async def test_intact_rates_follow_the_picture(world: World) -> None:
    """Of online: intact by defective pictures; of registered: the outage counts too; unjudged time is only coverage."""
    found = (await world.get(f"/villages/{VILLAGE_A}/uptime?{window(NOW - DAY, NOW)}"))["intact"]

    assert found["of_online"]["down_s"] == 2 * 3_600
    assert found["of_online"]["up_s"] == 22 * 3_600 + 22 * 3_600
    assert found["of_registered"]["down_s"] == 3 * 3_600
    assert total_s(found["of_online"]) == total_s(found["of_registered"]) == 4 * 86_400
    assert found["of_online"]["inferred_s"] == 0


async def test_region_is_its_villages(world: World) -> None:
    """A region's rate holds exactly its subtree."""
    city = (await world.get(f"/regions/3311/uptime?{window(NOW - DAY, NOW)}"))["uptime"]
    parts = [
        (await world.get(f"/villages/{code}/uptime?{window(NOW - DAY, NOW)}"))["uptime"]
        for code in (VILLAGE_A, VILLAGE_B)
    ]

    assert total_s(city) == 6 * 86_400
    for part in ("up_s", "down_s", "unknown_s", "excluded_s"):
        assert city[part] == sum(one[part] for one in parts)


async def test_end_is_clipped_to_now(world: World) -> None:
    """The future is nobody's unknown time: the answer's `to` says until when."""
    found = await world.get(f"/cameras/c1/uptime?{window(NOW - HOUR, NOW + DAY)}")

    assert found["to"] == rfc3339(NOW)
    assert total_s(found["uptime"]) == 3_600


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (window(NOW, NOW - HOUR), "request.window"),
        (window(NOW - HOUR, NOW - HOUR), "request.window"),
        (window(NOW + HOUR, NOW + DAY), "request.window"),
        (window(NOW - 900 * DAY, NOW), "request.window"),
        ("from=yesterday", "request.invalid"),
        ("from=2026-11-24", "request.invalid"),
        ("from=2026-11-24T00:00:00", "request.invalid"),
        ("to=99999-11-24T00:00:00Z", "request.invalid"),
        ("by=week", "request.invalid"),
    ],
)
async def test_wrong_window_is_refused(world: World, query: str, code: str) -> None:
    """Empty, reversed, future, endless windows and times without an offset are said to be wrong."""
    async with world.client("read.all") as client:
        answer = await client.get(f"/api/v1/cameras/c1/uptime?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_timeline_is_gapless_and_cut_by_maintenance(world: World) -> None:
    """Segments abut over the window; the open one has no end; maintenance cuts and marks."""
    found = await world.get(f"/cameras/c1/timeline?{window(NOW - DAY, NOW)}&dimension=stream")

    items = found["items"]
    assert [(one["state"], one["excluded"]) for one in items] == [("up", False), ("up", True), ("up", False)]
    assert [one["from"] for one in items[1:]] == [one["to"] for one in items[:-1]]
    assert items[0]["from"] == rfc3339(NOW - DAY)
    assert items[-1]["to"] is None
    assert (items[1]["from"], items[1]["to"]) == (rfc3339(NOW - 5 * HOUR), rfc3339(NOW - 3 * HOUR))


async def test_timeline_names_reason_blame_and_origin(world: World) -> None:
    """A booked outage shows why and whose; a demonstration's history is marked."""
    found = (await world.get("/cameras/c2/timeline"))["items"]

    assert [(one["state"], one["reason"], one["blame"], one["origin"]) for one in found] == [
        ("up", None, None, "made_up"),
        ("up", None, None, "look"),
        ("down", "net.refused", "camera", "look"),
    ]
    assert found[0]["from"] == rfc3339(NOW - 20 * DAY)  # the installation, not the window's beginning


async def test_timeline_before_the_first_look_is_unknown(world: World) -> None:
    """A camera that nobody looked at has one unknown stretch, and a past window has an end."""
    found = (await world.get(f"/cameras/c6/timeline?{window(NOW - DAY, NOW - HOUR)}&dimension=fault.blur"))["items"]

    assert [(one["state"], one["to"]) for one in found] == [("unknown", rfc3339(NOW - HOUR))]


@pytest.mark.parametrize("dimension", ["stream2", "fault.", "fault.BLUR", "fault.a;b", ""])
async def test_unknown_dimension_is_refused(world: World, dimension: str) -> None:
    """Only dimensions that exist can be asked for."""
    async with world.client("read.all") as client:
        answer = await client.get("/api/v1/cameras/c1/timeline", params={"dimension": dimension})

    assert answer.status_code == 422


async def test_status_counts_at_an_instant(world: World) -> None:
    """In service is online + offline + unknown; the past is told as it was."""
    now = await world.get(f"/villages/{VILLAGE_A}/status")
    before = await world.get(f"/villages/{VILLAGE_A}/status?at={rfc3339(NOW - 4 * HOUR)}")
    city = await world.get("/regions/3311/status")

    assert (now["registered"], now["in_service"]) == (4, 4)
    assert (now["online"], now["offline"], now["unknown"]) == (2, 1, 1)
    assert (now["intact"], now["defective"], now["excluded"]) == (1, 1, 0)
    assert (before["online"], before["offline"], before["unknown"], before["excluded"]) == (4, 0, 0, 1)
    assert before["at"] == rfc3339(NOW - 4 * HOUR)
    assert (city["in_service"], city["excluded"]) == (6, 2)


async def test_status_counts_only_what_was_in_service(world: World) -> None:
    """Before its installation and after its removal a camera is in no count of states."""
    async with world.writer.begin() as conn:
        await conn.execute(camera.update().where(camera.c.id == 2).values(removed_us=NOW - HOUR))

    now = await world.get(f"/villages/{VILLAGE_A}/status")
    before = await world.get(f"/villages/{VILLAGE_A}/status?at={rfc3339(NOW - 2 * HOUR)}")
    early = await world.get(f"/villages/{VILLAGE_A}/status?at={rfc3339(NOW - 25 * DAY)}")

    assert (now["registered"], now["in_service"], now["offline"]) == (3, 3, 0)
    assert (before["registered"], before["in_service"]) == (4, 4)
    assert (early["in_service"], early["unknown"]) == (0, 0)


async def test_live_view_carries_standings_on_to_now(world: World) -> None:
    """The database says where a segment began; only the live view knows that it was seen again a minute ago."""
    assert (await world.get("/cameras/c5/uptime"))["uptime"]["unknown_s"] == 0

    world.tell(*live(*(one for one in STOOD if one.camera != 5)))

    assert (await world.get("/cameras/c5/uptime"))["uptime"]["unknown_s"] > 0


async def test_view_ahead_of_the_snapshot_is_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit between our transaction and the view's message is not lost: the transaction is repeated after it."""
    from streamwatch.api import evidence

    changed = stand(1, STREAM, State.DOWN, NOW - 30 * US, NOW - 10 * US, "net.reset")
    others = [one for one in live(*STOOD) if one.camera != 1]
    world.tell(*others, CameraLive(camera=1, standings=(changed,)))
    reads = 0
    read = evidence.standings

    async def commit_after_the_first_read(*args: Any) -> Any:
        nonlocal reads
        found = await read(*args)
        reads += 1
        if reads == 1:
            async with world.writer.begin() as conn:
                await conn.execute(
                    segment.insert().values(
                        camera=1,
                        dimension=STREAM,
                        from_us=NOW - 20 * DAY,
                        to_us=NOW - 30 * US,
                        state="up",
                        origin="look",
                        learned_us=NOW,
                    )
                )
                await conn.execute(
                    standing.update()
                    .where(standing.c.camera == 1, standing.c.dimension == STREAM)
                    .values(state="down", reason="net.reset", since_us=NOW - 30 * US, last_us=NOW - 30 * US)
                )
        return found

    monkeypatch.setattr(evidence, "standings", commit_after_the_first_read)
    rate = (await world.get(f"/cameras/c1/uptime?{window(NOW - HOUR, NOW)}"))["uptime"]

    assert reads == 2
    assert (rate["up_s"], rate["down_s"], rate["unknown_s"]) == (3_570, 30, 0)


async def test_view_that_stays_ahead_ends_in_the_snapshot(world: World) -> None:
    """After the third try the snapshot counts as it is: the sums stay exact, the tail stays as booked."""
    world.tell(CameraLive(camera=1, standings=(stand(1, STREAM, State.DOWN, NOW - 30 * US, NOW - 10 * US),)))

    rate = (await world.get(f"/cameras/c1/uptime?{window(NOW - HOUR, NOW)}"))["uptime"]

    assert total_s(rate) == 3_600
    assert rate["down_s"] == 0


async def test_before_the_first_snapshot_the_database_speaks(world: World) -> None:
    """A web process that has not heard of the service yet shows what was committed, exact, and no more."""
    world.view.status = None
    world.view.cameras = {}

    rate = (await world.get(f"/cameras/c2/uptime?{window(NOW - DAY, NOW)}"))["uptime"]

    assert (rate["up_s"], rate["down_s"], rate["unknown_s"]) == (23 * 3_600, 0, 3_600)


async def test_last_day_of_a_village_has_its_hours(world: World) -> None:
    """`rates=24h` adds the rate of 24 hours and a value with coverage for each hour, for lists and for one village."""
    one = (await world.get(f"/villages/{VILLAGE_A}?rates=24h"))["last_24h"]
    listed = (await world.get("/villages?rates=24h"))["items"][0]["last_24h"]

    assert one == listed
    assert total_s(one["uptime"]) == 4 * 86_400
    assert len(one["hours"]) == 24
    last = one["hours"][-1]
    assert last["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert last["coverage"] == pytest.approx(3 / 4, abs=1e-6)
    assert one["hours"][0]["value"] == 1


@pytest.mark.parametrize(
    ("code", "lang", "words"),
    [(VILLAGE_A, "en", "uptime 30 d"), (VILLAGE_A, "zh-CN", "30 天在线率"), (VILLAGE_B, "en", "% seen")],
)
async def test_badge_shows_the_rate_with_its_coverage(world: World, code: str, lang: str, words: str) -> None:
    """Uptime and coverage in the reader's language."""
    async with world.client("read.all") as client:
        answer = await client.get(f"/api/v1/villages/{code}/badge.svg?lang={lang}")

    assert answer.headers["content-type"] == "image/svg+xml"
    assert words in answer.text
    assert "%" in answer.text


async def test_badge_without_data_is_grey(world: World) -> None:
    """Unknown is never shown as down."""
    async with world.writer.begin() as conn:
        await conn.execute(segment.delete())
        await conn.execute(standing.delete())
    world.tell()
    async with world.client("read.all") as client:
        text = (await client.get(f"/api/v1/villages/{VILLAGE_B}/badge.svg?lang=en")).text

    assert "no data" in text
    assert "#6b7280" in text
    assert "%" not in text
