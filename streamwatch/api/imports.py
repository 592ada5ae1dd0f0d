"""POST /cameras/import and its likes: a list, as a file is, into the inventory; answered once it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect

from streamwatch.api.callers import Ctx, Writing
from streamwatch.api.context import Context
from streamwatch.api.problems import Problem
from streamwatch.api.schemas import ImportOut
from streamwatch.errors import UsageError
from streamwatch.inventory.columns import KINDS, LINES
from streamwatch.inventory.lists import parse_file
from streamwatch.model.scope import EVERYTHING, Scope

router = APIRouter(tags=["import"])

ARRIVES_S: Final = 300.0  # for 64 MiB: 1.8 Mbit/s, which a county's uplink has
SERVICE_TIMEOUT_S: Final = 600.0  # 126,000 cameras take the service about 10 s; a loaded machine gets its time

_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "The file itself: CSV (UTF-8 or GB18030), XLSX or JSON lines; its bytes tell which.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {
                "schema": {"type": "string", "format": "binary"}
            },
            "application/jsonl": {"schema": {"type": "string"}},
        },
    }
}


def _importer(kind: str) -> Callable[..., Awaitable[ImportOut]]:
    async def import_list(
        request: Request,
        context: Ctx,
        caller: Writing,
        *,
        dry_run: Annotated[bool, Query(description="Tell what would change; change nothing.")] = False,
        on_error: Annotated[
            Literal["skip", "stop"], Query(description="`stop`: one bad line and nothing is taken in.")
        ] = "skip",
    ) -> ImportOut:
        may_import(kind, caller.scope)
        if request.headers.get("content-type", "").startswith("multipart/"):
            remedy = "send the file itself as the body, not a form: curl --data-binary @FILE"
            raise Problem(415, "request.media_type", remedy)
        if context.imports.locked():
            raise Problem(409, "import.running", "another list is being taken in; send this one when that is done")
        async with context.imports:  # one at a time: 64 MiB of a list are about 500 MB while they are read
            body = await _whole(request)
            return await take_in(context, kind, body, caller.scope, dry_run=dry_run, on_error=on_error)

    import_list.__doc__ = f"Takes a list of {kind} in, within the caller's regions, as `streamwatch import` does."
    return import_list


for _kind in KINDS:
    router.post(f"/{_kind}/import", responses={409: {}, 413: {}, 415: {}, 503: {}, 504: {}}, openapi_extra=_BODY)(
        _importer(_kind)
    )


def may_import(kind: str, scope: Scope) -> None:
    """403 for lines from a caller who sees only some regions: lines belong to none."""
    if kind == LINES and scope != EVERYTHING:
        raise Problem(403, "access.everything", "lines belong to no region: who changes them must see everything")


async def take_in(
    context: Context, kind: str, body: bytes, scope: Scope, *, dry_run: bool, on_error: Literal["skip", "stop"]
) -> ImportOut:
    """Reads a list and has the service take it in. Raises 422 where it cannot be read at all."""
    try:
        file = await asyncio.to_thread(lambda: parse_file(body, kind).to_bytes())
    except UsageError as error:
        raise Problem(422, "import.unreadable", str(error)) from None
    args: dict[str, Any] = {"kind": kind, "file": file, "dry_run": dry_run, "on_error": on_error}
    answer = await context.caller.call("import", {**args, "region": scope.region}, SERVICE_TIMEOUT_S)
    return ImportOut.model_validate(answer)


async def _whole(request: Request) -> bytes:
    """The body, whose size `guard` bounds. Raises 400 where it does not arrive."""
    body = bytearray()
    try:
        async with asyncio.timeout(ARRIVES_S):
            async for chunk in request.stream():
                body += chunk
    except (TimeoutError, ClientDisconnect):
        raise Problem(400, "request.malformed", f"the file did not arrive within {ARRIVES_S:.0f} s") from None
    return bytes(body)
