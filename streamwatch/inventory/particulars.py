"""Stage 1: what is particular to each kind of list beside its columns: its table, what it belongs to, what it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from streamwatch.inventory.columns import CAMERAS, FACILITIES, LINES, POINTS, RECORDERS, VILLAGES
from streamwatch.secrets import Owner


@dataclass(frozen=True, slots=True)
class Particulars:
    """One kind. `placed`: it is in a village. `owner`: it has an address and a login, sealed for it.

    `names`: columns with the code of another thing, and the table of that: such things may be imported later.
    """

    table: str
    placed: bool = True
    owner: Owner | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    days: tuple[str, ...] = ()  # columns whose day must have begun


PARTICULARS: Final[Mapping[str, Particulars]] = {
    VILLAGES: Particulars("village", placed=False, days=("joined_on",)),
    LINES: Particulars("line", placed=False, names={"parent": "line"}),
    RECORDERS: Particulars("recorder", owner="recorder", names={"line": "line"}),
    CAMERAS: Particulars(
        "camera", owner="camera", names={"recorder": "recorder", "line": "line"}, days=("installed_on",)
    ),
    POINTS: Particulars("point", names={"camera": "camera"}),
    FACILITIES: Particulars("facility", days=("installed_on", "tested_on")),
}
