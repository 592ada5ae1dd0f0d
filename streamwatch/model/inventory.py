"""Stage 1's values: what is there to watch. Ids are internal and permanent; codes and names may change."""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT_INTERVAL_S = 300


class Secret:
    """A text that never shows itself: repr, str and format are blind; `reveal()` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: call it only where the bytes leave for the host they belong to."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(("Secret", self._text))

    def __bool__(self) -> bool:
        return bool(self._text)


@dataclass(frozen=True, slots=True)
class Region:
    """A node of the administrative tree 行政区划. `name` is its path from the top, e.g. 青河县/双河镇."""

    id: int
    code: str
    name: str
    parent: int | None


@dataclass(frozen=True, slots=True)
class Village:
    """The unit that is certified 村居: a leaf of the tree."""

    id: int
    code: str
    name: str
    region: int  # Region.id


@dataclass(frozen=True, slots=True)
class Camera:
    """One video source 摄像机. `url` carries no credentials; `installed_us` bounds its time in service."""

    id: int
    code: str
    name: str
    village: int  # Village.id
    url: str
    sub_url: str | None = None
    username: str | None = None
    password: Secret | None = None
    recorder: str | None = None  # recorder code
    recorder_channel: str | None = None
    line: str | None = None  # line code: its own, or its recorder's
    interval_s: int = DEFAULT_INTERVAL_S
    allow_basic: bool = False
    installed_us: int = 0  # in service from here
    removed_us: int | None = None  # in service until here


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that is watched at one moment, keyed by internal id. `version` grows with every change."""

    version: int = 0
    regions: dict[int, Region] = field(default_factory=dict)
    villages: dict[int, Village] = field(default_factory=dict)
    cameras: dict[int, Camera] = field(default_factory=dict)
    line_kbps: dict[str, int] = field(default_factory=dict)  # by line code, where it is known
