"""Cameras and villages made, changed and taken out of service one by one, under the rules of the lists."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter

from streamwatch.access.principal import Principal
from streamwatch.api.callers import Ctx, Reading, Writing
from streamwatch.api.cameras import Asking as Camera
from streamwatch.api.cameras import detail as camera_detail
from streamwatch.api.context import Context
from streamwatch.api.forms import CameraForm, NewCamera, NewVillage, VillageForm
from streamwatch.api.problems import Problem
from streamwatch.api.schemas import CameraDetail, VillageDetail
from streamwatch.api.villages import Asking as Village
from streamwatch.api.villages import detail as village_detail
from streamwatch.store.inventory import get_camera, get_region, get_village

router = APIRouter()

TIMEOUT_S: Final = 60.0  # a city's inventory is read again after each change
# Why the service refused -> status and code; anything else is a value that cannot be taken.
REFUSALS: Final = {
    "exists": (409, "inventory.exists"),
    "taken": (409, "inventory.exists"),
    "removed": (409, "inventory.removed"),
    "in_use": (409, "inventory.in_use"),
    "unknown": (404, "not_found"),
}


@router.post("/cameras", tags=["cameras"], status_code=201, responses={404: {}, 409: {}, 503: {}})
async def new_camera(context: Ctx, caller: Writing, reader: Reading, form: NewCamera) -> CameraDetail:
    """A camera that is watched from now on; 409 where its code is or was in use."""
    await edit_one(context, caller, "cameras", form.code, form.values(), create=True)
    async with context.reader.begin() as conn:
        made = await get_camera(conn, reader.scope, form.code)
    return await camera_detail(context, reader.scope, made)


@router.patch("/cameras/{id}", tags=["cameras"], responses={404: {}, 409: {}, 503: {}})
async def change_camera(context: Ctx, caller: Writing, found: Camera, form: CameraForm) -> CameraDetail:
    """Changes what is said of a camera; with another `village` it is moved, and its history stays where it was."""
    if found.removed_us is not None:
        raise Problem(409, "inventory.removed", f"camera {found.code} was taken out of service: it stays as it was")
    await edit_one(context, caller, "cameras", found.code, form.values(), create=False)
    async with context.reader.begin() as conn:
        changed = await get_camera(conn, caller.scope, found.code)
    return await camera_detail(context, caller.scope, changed)


@router.delete("/cameras/{id}", tags=["cameras"], status_code=204, responses={404: {}, 503: {}})
async def remove_camera(context: Ctx, caller: Writing, found: Camera) -> None:
    """Takes a camera out of service from now on. Its history stays and its code is not used again; twice is as once."""
    await remove_one(context, caller, "cameras", found.code)


@router.post("/villages", tags=["villages"], status_code=201, responses={404: {}, 409: {}, 503: {}})
async def new_village(context: Ctx, caller: Writing, reader: Reading, form: NewVillage) -> VillageDetail:
    """A village without cameras yet, in a region that is there; 409 where its code is or was in use."""
    await edit_one(context, caller, "villages", form.code, form.values(), create=True)
    async with context.reader.begin() as conn:
        made = await get_village(conn, reader.scope, form.code)
    return await village_detail(context, reader.scope, made)


@router.patch("/villages/{code}", tags=["villages"], responses={404: {}, 409: {}, 503: {}})
async def change_village(context: Ctx, caller: Writing, found: Village, form: VillageForm) -> VillageDetail:
    """Changes what is said of a village; with another `region` it goes there with all its history."""
    if found.removed_us is not None:
        raise Problem(409, "inventory.removed", f"village {found.code} was taken out: it stays as it was")
    await edit_one(context, caller, "villages", found.code, form.values(), create=False)
    async with context.reader.begin() as conn:
        changed = await get_village(conn, caller.scope, found.code)
    return await village_detail(context, caller.scope, changed)


@router.delete("/villages/{code}", tags=["villages"], status_code=204, responses={404: {}, 409: {}, 503: {}})
async def remove_village(context: Ctx, caller: Writing, found: Village) -> None:
    """Takes out a village that has no cameras in service any more; its history stays. Twice is as once."""
    await remove_one(context, caller, "villages", found.code)


async def edit_one(
    context: Context, caller: Principal, kind: str, code: str, values: dict[str, Any], *, create: bool
) -> None:
    """Hands the change to the service and waits until it is committed and watched.

    An address with the `***` of an answer in it is that address.
    """
    for name in ("url", "sub_url"):
        if isinstance(values.get(name), str):
            values[name] = values[name].replace("://***@", "://", 1)
    async with context.reader.begin() as conn:
        if isinstance(values.get("village"), str):
            await get_village(conn, caller.scope, values["village"])
        if isinstance(values.get("region"), str):
            await get_region(conn, caller.scope, values["region"])
    args = {"kind": kind, "code": code, "values": values, "create": create}
    _check(await context.caller.call("edit", {**args, **_on_behalf_of(caller)}, TIMEOUT_S))


async def remove_one(context: Context, caller: Principal, kind: str, code: str) -> None:
    """Has the service take it out and waits until that is committed."""
    _check(await context.caller.call("remove", {"kind": kind, "code": code, **_on_behalf_of(caller)}, TIMEOUT_S))


def _on_behalf_of(caller: Principal) -> dict[str, Any]:
    return {"region": caller.scope.region, "author": caller.name}


def _check(result: dict[str, Any]) -> None:
    """Raises a problem for what was refused; the value is not repeated, because it may be a password."""
    rejected = result["rejected"]
    if not rejected:
        return
    errors = [{"where": bad["column"] or "request", "message": bad["remedy"], "code": bad["code"]} for bad in rejected]
    detail = "; ".join(f"{one['where']}: {one['message']}" for one in errors)
    status, code = REFUSALS.get(rejected[0]["code"], (422, "request.invalid"))
    raise Problem(status, code, detail, errors=errors)
