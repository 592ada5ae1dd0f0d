"""Who is asking, as dependencies: API key or session cookie, permission, and proof that a page of ours asks."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from streamwatch.access.keys import principal_of_key
from streamwatch.access.principal import Permission, Principal
from streamwatch.access.session import COOKIE, CSRF_HEADER
from streamwatch.api.context import Context, context_of
from streamwatch.api.problems import Problem

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="An API key: sw_<id>_<secret>.")
_cookie = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="session", description="The cookie that POST /login sets."
)

Ctx = Annotated[Context, Depends(context_of)]


async def optional_principal(
    request: Request,
    context: Ctx,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    cookie: Annotated[str | None, Security(_cookie)],
) -> Principal | None:
    """The caller, or None where nothing was shown or what was shown is worth nothing."""
    if bearer is not None:
        async with context.reader.begin() as conn:
            return await principal_of_key(conn, bearer.credentials)
    if cookie is None:
        return None
    async with context.reader.begin() as conn:
        found = await context.sessions.principal(conn, cookie, context.clock.utc_us())
    if found is not None and request.method not in SAFE:
        refuse_foreign_page(request)
        if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), (found.csrf or "").encode()):
            raise Problem(403, "access.csrf", f"a session needs the header {CSRF_HEADER} with this method")
    return found


def needs(permission: Permission) -> Callable[..., Awaitable[Principal]]:
    """A dependency: the caller, who must have `permission`. 401 for nobody, 403 for somebody else."""

    async def check(found: Annotated[Principal | None, Depends(optional_principal)]) -> Principal:
        if found is None:
            raise Problem(
                401,
                "access.unknown",
                "show an API key (Authorization: Bearer sw_…) or sign in",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not found.may(permission):
            raise Problem(403, "access.forbidden", f"{found.name} has no {permission} permission")
        return found

    return check


def refuse_foreign_page(request: Request) -> None:
    """403 where a browser says that another site's page sent this."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = site not in (None, "same-origin", "none")
    if site is None and origin is not None:
        foreign = urlsplit(origin).netloc != request.headers.get("host", "")
    if foreign:
        raise Problem(403, "access.foreign_page", "another site's page may not do this")


def from_loopback(request: Request) -> bool:
    """Whether this machine itself asks; a proxy that forwards for somebody else does not count."""
    if request.client is None or "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


Reading = Annotated[Principal, Depends(needs(Permission.READ))]
Writing = Annotated[Principal, Depends(needs(Permission.WRITE))]
Probing = Annotated[Principal, Depends(needs(Permission.PROBE))]
MaybePrincipal = Annotated[Principal | None, Depends(optional_principal)]
