"""What an editor fills in: the columns of the lists of cameras and villages. What is left out stays as it is."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

MAX_TEXT: Final = 2_048  # characters of one value; the longest, an address, has at most this many

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Code = Annotated[str, Field(min_length=1, max_length=64)]


class Form(BaseModel):
    """Base of every form: what is not declared is refused, not passed over."""

    model_config = ConfigDict(extra="forbid")

    def values(self) -> dict[str, Any]:
        """Only what was said, null included, which means none."""
        said = self.model_dump(exclude_unset=True)
        said.pop("code", None)
        return said


class CameraForm(Form):
    """Changes of a camera. `village` is a code: the camera is moved now, and its history stays where it was.

    `username` and `password` are never shown again. A password is kept while its user name is, unless another is given;
    an address on another host or port asks for it again. `interval_s` null: as the schedule says.
    """

    name: Text | None = None
    village: Code | None = None
    url: Text | None = None
    sub_url: Text | None = None
    vendor: Text | None = None
    channel: Text | None = None
    username: Text | None = None
    password: Text | None = Field(None, json_schema_extra={"writeOnly": True})
    allow_basic: bool | None = None
    recorder: Text | None = None
    recorder_channel: Text | None = None
    line: Text | None = None
    interval_s: int | None = None
    retention_days: int | None = None
    longitude: float | None = None
    latitude: float | None = None
    datum: Text | None = None
    position_type: Text | None = None
    key_point: bool | None = None
    installed_on: Text | None = None


class NewCamera(CameraForm):
    """A camera that is watched from now on."""

    code: Code


class VillageForm(Form):
    """Changes of a village. `region` is a code."""

    name: Text | None = None
    region: Code | None = None
    households: int | None = None
    population: int | None = None
    police_station: Text | None = None
    unit: Text | None = None
    unit_phone: Text | None = None
    monitor_centre: bool | None = None
    joined_on: Text | None = None


class NewVillage(VillageForm):
    """A village, without cameras yet. A region that is missing comes with a list of villages."""

    code: Code
