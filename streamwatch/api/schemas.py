"""The shapes of the API (stable: fields are added, never renamed). Instants are RFC 3339 UTC, windows half open."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from streamwatch.model.look import Depth, State

Item = TypeVar("Item")
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Shape(BaseModel):
    """Base of every answer: what is not declared does not leave."""

    model_config = ConfigDict(extra="forbid")


class Page(Shape, Generic[Item]):
    """A part of a list; `next` is the cursor of the following part, null at the end."""

    items: list[Item]
    next: str | None


class RateOut(Shape):
    """A rate and what it was made of. `low` and `high` count unknown as all down and all up; null: nothing was seen."""

    value: float | None
    low: float | None
    high: float | None
    up_s: int | float
    down_s: int | float
    unknown_s: int | float
    excluded_s: int | float
    coverage: float | None
    cameras: int
    down_by_blame_s: dict[str, int | float]


class IntactRateOut(RateOut):
    """An intact rate; `inferred_s` is the part of up that no decoded picture shows, but one judged equal to it."""

    inferred_s: int | float


class HourOut(Shape):
    """One hour of a bar: the rate's value and coverage, null where nothing was seen."""

    from_: Instant = Field(alias="from")
    to: Instant
    value: float | None
    coverage: float | None


class LastDay(Shape):
    """The 24 hours up to `to`. `made_up`: some of it is a demonstration's history that nobody observed."""

    from_: Instant = Field(alias="from")
    to: Instant
    uptime: RateOut
    hours: list[HourOut]
    made_up: bool


class StatesOut(Shape):
    """How many cameras are in each state of the stream now."""

    up: int
    down: int
    unknown: int


class RegionOut(Shape):
    """A node of the tree; `name` is its path from the top."""

    code: str
    name: str
    parent: str | None


class VillageOut(Shape):
    """A village and its cameras now. `faults` counts cameras by fault, `faulty` those with at least one."""

    code: str
    name: str
    region: str
    region_name: str
    cameras: int
    states: StatesOut
    faults: dict[str, int]
    faulty: int
    last_24h: LastDay | None = None


class PictureOut(Shape):
    """The picture dimension: up is intact, down is defective; null where no picture was ever judged."""

    state: State
    reason: str | None
    blame: str | None
    since: Instant


class CameraOut(Shape):
    """A camera now. `url` has no credentials; `pending` tells that a bad look waits for its confirmation; `void` is why
    the latest look did not count (a cause on our side)."""

    id: str
    name: str
    village: str
    village_name: str
    region: str
    url: str
    recorder: str | None
    line: str | None
    state: State
    state_since: Instant | None
    reason: str | None
    blame: str | None
    picture: PictureOut | None
    faults: list[str]
    pending: bool
    void: str | None
    last_look_at: Instant | None
    last_up_at: Instant | None
    interval_s: int
    maintenance: bool


class CameraDetail(CameraOut):
    """One camera with what its list says of it. `has_login`: a user name is known; it and its password are not shown.

    In service from `installed_at`, until `removed_at` where that is not null.
    """

    sub_url: str | None
    vendor: str | None
    channel: str | None
    has_login: bool
    recorder_channel: str | None
    retention_days: int | None
    longitude: float | None
    latitude: float | None
    datum: str | None
    position_type: str | None
    key_point: bool | None
    installed_on: str | None
    installed_at: Instant
    removed_at: Instant | None


class VillageDetail(VillageOut):
    """One village with what its list says of it; taken out at `removed_at` where that is not null."""

    households: int | None
    population: int | None
    police_station: str | None
    unit: str | None
    unit_phone: str | None
    monitor_centre: bool | None
    joined_on: str | None
    removed_at: Instant | None


class IntactOut(Shape):
    """The intact rates 完好率: of online (stream up) and of registered time."""

    of_online: IntactRateOut
    of_registered: IntactRateOut


class StretchOut(Shape):
    """One step of a series."""

    from_: Instant = Field(alias="from")
    to: Instant
    uptime: RateOut
    intact: IntactOut


class UptimeOut(Shape):
    """Rates of a window; `to` says until when, never later than now."""

    from_: Instant = Field(alias="from")
    to: Instant
    by: str | None
    uptime: RateOut
    intact: IntactOut
    series: list[StretchOut]
    made_up: bool


class StatusOut(Shape):
    """Counts at an instant: `in_service` = online + offline + unknown; `intact` + `defective` of those online."""

    at: Instant
    registered: int
    in_service: int
    online: int
    offline: int
    unknown: int
    intact: int
    defective: int
    excluded: int


class PartOut(Shape):
    """One part of readiness."""

    name: str
    ready: bool
    detail: str


class OverviewOut(Shape):
    """What the caller's regions look like now. `faults` counts cameras by fault, `faulty` those with at least one."""

    at: Instant
    villages: int
    cameras: int
    states: StatesOut
    faults: dict[str, int]
    faulty: int
    connected: bool
    ready: bool
    parts: list[PartOut]


class TimelineItem(Shape):
    """A stretch of one dimension; `to` null: it goes on. `origin` made_up is a demonstration's history."""

    from_: Instant = Field(alias="from")
    to: Instant | None
    state: State
    reason: str | None
    blame: str | None
    excluded: bool
    origin: str


class TimelineOut(Shape):
    """One dimension over the window, without a hole; times out of service are not in it."""

    from_: Instant = Field(alias="from")
    to: Instant
    dimension: str
    items: list[TimelineItem]


class ProbeIn(BaseModel):
    """How deep to look."""

    model_config = ConfigDict(extra="forbid")

    depth: Depth = Depth.PICTURE


class MaintenanceIn(BaseModel):
    """Approved maintenance of one camera or of one village."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    camera: str | None = Field(None, max_length=64)
    village: str | None = Field(None, max_length=64)
    from_: str = Field(alias="from", max_length=40)
    to: str = Field(max_length=40)
    reason: str = Field(min_length=1, max_length=500)


class MaintenanceOut(Shape):
    """Approved maintenance: its time is excluded from every rate."""

    id: int
    camera: str | None
    village: str | None
    from_: Instant = Field(alias="from")
    to: Instant
    reason: str
    author: str


class SessionOut(Shape):
    """Who the caller is. `csrf` goes into the header X-CSRF-Token with POST, PATCH and DELETE; null for an API key."""

    name: str
    role: str | None
    csrf: str | None


class ReadyOut(Shape):
    """Whether the service does its work, part by part."""

    ready: bool
    connected: bool
    version: str | None
    at: Instant | None
    parts: list[PartOut]


class ProblemOut(BaseModel):
    """RFC 9457. `code` is stable."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, Any]] | None = None


class LineOut(Shape):
    """A line; `parent` is the code of the one that it hangs on."""

    code: str
    name: str
    parent: str | None
    kbps: int | None
    provider: str | None
    circuit: str | None
    fault_phone: str | None


class RecorderOut(Shape):
    """A recorder. `url` has no credentials; `line` is a code."""

    code: str
    name: str
    village: str
    village_name: str
    region: str
    kind: str
    url: str
    line: str | None


class PointOut(Shape):
    """A planned point; `camera` is the code of the one that fills it, null: nobody sees it yet."""

    code: str
    name: str
    village: str
    village_name: str
    region: str
    kind: str
    longitude: float | None
    latitude: float | None
    key_point: bool | None
    camera: str | None


class FacilityOut(Shape):
    """A facility; `kind` is one of those in docs/inventory.md, days are the village's calendar."""

    code: str
    name: str | None
    village: str
    village_name: str
    region: str
    kind: str
    households: int | None
    installed_on: str | None
    tested_on: str | None
    test_passed: bool | None


class LineSaidOut(Shape):
    """Why a line of a list was not taken, or what should be put right about it. `code` is stable."""

    line: int
    column: str | None
    value: str
    code: str
    remedy: str


class ChangeOut(Shape):
    """What differs, and in which columns."""

    code: str
    fields: list[str]


class ImportOut(Shape):
    """What an import did, or would do (`dry_run`): as `streamwatch import --json`. `stopped`: nothing was written. The
    totals count lines; the lists beside them may be shorter."""

    created: int
    changed: int
    unchanged: int
    rejected: list[LineSaidOut]
    rejected_total: int
    remarks: list[LineSaidOut]
    remarks_total: int
    changes: list[ChangeOut]
    dry_run: bool
    stopped: bool
