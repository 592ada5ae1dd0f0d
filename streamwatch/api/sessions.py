"""POST /login, POST /logout, GET /session: a person signs in, out, and learns who they are."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from streamwatch.access.accounts import password_matches
from streamwatch.access.session import COOKIE
from streamwatch.api.callers import Ctx, MaybePrincipal, optional_principal, refuse_foreign_page
from streamwatch.api.context import Context
from streamwatch.api.problems import Problem
from streamwatch.api.schemas import SessionOut
from streamwatch.store.access import AccountRow, account_by_name

router = APIRouter(tags=["session"])

MAX_NAME_CHARS: Final = 64  # account.name
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {
                "schema": {
                    "type": "object",
                    "required": ["name", "password"],
                    "properties": {"name": {"type": "string"}, "password": {"type": "string"}},
                }
            }
            for kind in ("application/json", "application/x-www-form-urlencoded")
        },
    }
}


class _Login(msgspec.Struct, frozen=True):
    name: str
    password: str

    def __repr__(self) -> str:
        return f"_Login({self.name!r}, ***)"


@router.post("/login", openapi_extra=_BODY, responses={401: {}, 429: {}})
async def login(request: Request, response: Response, context: Ctx) -> SessionOut:
    """Signs in: sets the session cookie (HttpOnly, SameSite=Strict) and gives the token for unsafe methods."""
    refuse_foreign_page(request)
    wish = await _wish(request)
    address = request.client.host if request.client else ""
    async with context.passwords:  # the wait is asked inside, so that tries sent at once do not slip past it together
        account = await _checked(context, wish, address)
    session = context.sessions.begin(account, context.clock.utc_us())
    response.set_cookie(
        COOKIE,
        session.cookie,
        max_age=context.sessions.lifetime_s,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return SessionOut(name=account.name, role=account.role, csrf=session.csrf)


@router.post("/logout", status_code=204, dependencies=[Depends(optional_principal)])
async def logout(request: Request, response: Response, context: Ctx) -> None:
    """Signs out: the cookie is worth nothing from now on, wherever a copy of it may be."""
    context.sessions.end(request.cookies.get(COOKIE, ""), context.clock.utc_us())
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


@router.get("/session", responses={401: {}})
async def session(found: MaybePrincipal) -> SessionOut:
    """Who the caller is; 401 for nobody."""
    if found is None:
        raise Problem(401, "access.unknown", "nobody is signed in")
    return SessionOut(name=found.name, role=found.role, csrf=found.csrf)


async def _checked(context: Context, wish: _Login, address: str) -> AccountRow:
    """The account whose name and password these are. Raises 429 while it must wait, 401 where they are wrong."""
    wait = context.backoff.wait_s(wish.name, address, context.clock.monotonic())
    if wait > 0:
        seconds = math.ceil(wait)
        raise Problem(
            429,
            "access.backoff",
            f"too many failures: try again in {seconds} s",
            headers={"Retry-After": str(seconds)},
            retry_after_s=seconds,
        )
    async with context.reader.begin() as conn:
        found = await account_by_name(conn, wish.name)
    account = found if found is not None and found.disabled_us is None else None
    good = await asyncio.to_thread(password_matches, None if account is None else account.password_hash, wish.password)
    if account is None or not good:
        context.backoff.failed(wish.name, address, context.clock.monotonic())
        raise Problem(401, "access.wrong", "the name or the password is wrong")
    context.backoff.succeeded(wish.name, address)
    return account


async def _wish(request: Request) -> _Login:
    """Name and password from a JSON object or a form. Raises 422 without repeating either."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            fields = dict(parse_qsl(body.decode(), max_num_fields=16))
            wish = msgspec.convert(fields, _Login)
        else:
            wish = msgspec.json.decode(body, type=_Login)
    except (ValueError, msgspec.MsgspecError):
        raise Problem(422, "request.invalid", 'send {"name": …, "password": …} as JSON or as a form') from None
    if not 1 <= len(wish.name) <= MAX_NAME_CHARS:
        raise Problem(422, "request.invalid", f"a name has 1 to {MAX_NAME_CHARS} characters")
    return wish
