"""Every error as an RFC 9457 problem document with a stable `code`; no stack trace leaves the process."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from streamwatch.errors import NotFoundError, StreamwatchError

MEDIA_TYPE: Final = "application/problem+json"
MAX_ERRORS: Final = 20  # of one validation; the first ones say what is wrong
MAX_INPUT_CHARS: Final = 200  # of what the caller sent, repeated in an error

# Codes of the service's answers -> HTTP status; any other code is the service's own failure.
CALL_STATUS: Final = {
    "running": 409,
    "refused": 503,
    "busy": 503,
    "unavailable": 503,
    "timeout": 504,
}
_GENERIC_CODES: Final = {
    400: "request.malformed",
    401: "access.unknown",
    403: "access.forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "request.too_large",
    415: "request.media_type",
    422: "request.invalid",
    429: "access.backoff",
}

log = structlog.get_logger(__name__)


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """An answer other than the wanted one. `code` is stable, `detail` is for a person."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.extra = extra


def document(problem: Problem) -> JSONResponse:
    """The problem as a response."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        **problem.extra,
    }
    return JSONResponse(body, problem.status, headers=dict(problem.headers or {}), media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes every way in which a request can fail answer with a problem document."""

    async def on_problem(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return document(error)

    async def on_validation(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        errors = [_told(one) for one in error.errors()[:MAX_ERRORS]]
        detail = "; ".join(f"{one['where']}: {one['message']}" for one in errors) or "the request is not valid"
        return document(Problem(422, "request.invalid", detail, errors=errors))

    async def on_http(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = _GENERIC_CODES.get(error.status_code, f"http.{error.status_code}")
        return document(Problem(error.status_code, code, str(error.detail), headers=error.headers))

    async def on_ours(_request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, NotFoundError):
            return document(Problem(404, "not_found", str(error)))
        code = str(getattr(error, "code", "failed"))
        return document(Problem(CALL_STATUS.get(code, 500), f"service.{code}", str(error)))

    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        log.error("api.failed", path=request.url.path, method=request.method, exc_info=error)
        return document(Problem(500, "internal", "this is a defect of streamwatch; the service's log has the details"))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(StreamwatchError, on_ours)
    app.add_exception_handler(Exception, on_bug)


def _told(error: Mapping[str, Any]) -> dict[str, str]:
    """One validation error without the input itself, which may be a password."""
    place = ".".join(str(step)[:MAX_INPUT_CHARS] for step in error.get("loc", ())[:8])
    return {"where": place or "request", "message": str(error.get("msg", "invalid"))[:MAX_INPUT_CHARS]}
