"""What holds for every request before any handler sees it: a bounded body, and headers that keep browsers careful."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamwatch.api.problems import Problem, document

MAX_BODY_BYTES: Final = 2**20  # goal R30; the largest body of other routes is a maintenance of some hundred bytes
MAX_LIST_BYTES: Final = 64 * 2**20  # a city's cameras with every column are about 50 MB; permitted callers only
POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_LIST: Final = re.compile(r"/api/v1/[a-z]+/import")  # reads its body itself, after it knows that the caller may


class _TooLargeError(Exception):
    """The body grew past the cap while a handler was reading it."""


class BodyLimit:
    """Answers 413 to a body over the cap, whether its length was declared, wrong or not said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = MAX_LIST_BYTES if _LIST.fullmatch(scope["path"]) else MAX_BODY_BYTES
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > most:
            await _refuse(most, scope, receive, send)
            return
        seen = 0
        over = started = False

        async def counted() -> Message:
            nonlocal seen, over
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > most:
                    over = True
                    raise _TooLargeError
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if over and not started:
                return  # FastAPI makes a 400 of what failed while it read the body: ours comes instead
            started = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _TooLargeError:
            if started:
                raise
        if over and not started:
            await _refuse(most, scope, receive, send)


class CarefulHeaders:
    """Adds the headers above to every answer, and `no-store` where nothing else was said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, careful)


async def _refuse(most: int, scope: Scope, receive: Receive, send: Send) -> None:
    problem = Problem(413, "request.too_large", f"a request body has at most {most} bytes here")
    problem.headers = {"Connection": "close"}  # the rest of the body is not read
    await document(problem)(scope, receive, send)
