"""Lines, recorders, planned points and facilities changed and taken out one by one, under the rules of the lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body

from streamwatch.api.callers import Ctx, Reading, Writing
from streamwatch.api.changes import edit_one, remove_one
from streamwatch.api.context import Context
from streamwatch.api.equipment import facility_out, line_out, point_out, recorder_out
from streamwatch.api.imports import may_import
from streamwatch.api.problems import Problem
from streamwatch.api.schemas import FacilityOut, LineOut, PointOut, RecorderOut
from streamwatch.inventory.columns import FACILITIES, LINES, POINTS, RECORDERS
from streamwatch.model.scope import Scope
from streamwatch.store.equipment import get_facility, get_line, get_point, get_recorder

router = APIRouter(tags=["equipment"])

Values = Annotated[
    dict[str, str | int | float | bool | None],
    Body(description="Columns of its list that change; what is not said stays, null is none.", max_length=50),
]


@dataclass(frozen=True, slots=True)
class _Kind:
    word: str
    get: Callable[..., Awaitable[Any]]
    shape: Callable[[Any], Any]
    out: type[Any]


EDITED: Final = {
    LINES: _Kind("line", get_line, line_out, LineOut),
    RECORDERS: _Kind("recorder", get_recorder, recorder_out, RecorderOut),
    POINTS: _Kind("planned point", get_point, point_out, PointOut),
    FACILITIES: _Kind("facility", get_facility, facility_out, FacilityOut),
}


def _changer(name: str) -> Callable[..., Awaitable[Any]]:
    kind = EDITED[name]

    async def change(context: Ctx, caller: Writing, _reader: Reading, code: str, values: Values) -> Any:
        may_import(name, caller.scope)
        await _stored(context, kind, caller.scope, code)
        if values.pop("code", code) != code:
            raise Problem(422, "request.invalid", "code: a code stays; give the new one an entry of its own")
        await edit_one(context, caller, name, code, values, create=False)
        return kind.shape(await _stored(context, kind, caller.scope, code))

    change.__doc__ = f"Changes what is said of a {kind.word}, by the rules of its list; answered once it is written."
    return change


def _remover(name: str) -> Callable[..., Awaitable[None]]:
    kind = EDITED[name]

    async def remove(context: Ctx, caller: Writing, _reader: Reading, code: str) -> None:
        may_import(name, caller.scope)
        await _stored(context, kind, caller.scope, code)
        await remove_one(context, caller, name, code)

    remove.__doc__ = f"Takes a {kind.word} out of service; its code is not used again."
    return remove


for _name, _of in EDITED.items():
    _path = f"/{_name}/{{code}}"
    _failures: dict[int | str, dict[str, Any]] = {404: {}, 409: {}, 503: {}}
    router.patch(_path, responses=_failures, response_model=_of.out)(_changer(_name))
    router.delete(_path, responses=_failures, status_code=204)(_remover(_name))


async def _stored(context: Context, kind: _Kind, scope: Scope, code: str) -> Any:
    async with context.reader.begin() as conn:
        return await kind.get(conn, scope, code)
