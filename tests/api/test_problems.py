"""Every way to fail is a problem document with a stable code, bounded bodies, careful headers, no stack trace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import structlog

from streamwatch.api import cameras
from streamwatch.api.guard import MAX_BODY_BYTES
from tests.api.world import World

PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/v1/nowhere", 404, "not_found"),
        ("GET", "/api/v1/cameras/../../etc/passwd", 404, "not_found"),
        ("GET", "/api/v1/cameras/%00", 404, "not_found"),
        ("GET", "/api/v1/cameras/%EF%BC%91%EF%BC%92", 404, "not_found"),
        ("GET", "/api/v1/cameras/%3Cscript%3E", 404, "not_found"),
        ("DELETE", "/api/v1/cameras", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/api/v1/cameras?limit=0", 422, "request.invalid"),
        ("GET", "/api/v1/cameras?limit=501", 422, "request.invalid"),
        ("GET", "/api/v1/cameras?limit=x", 422, "request.invalid"),
        ("GET", "/api/v1/cameras?state=sideways", 422, "request.invalid"),
        ("GET", "/api/v1/cameras?sort=best", 422, "request.invalid"),
        ("GET", "/api/v1/cameras?cursor=%25%25", 422, "request.cursor"),
        ("GET", "/api/v1/cameras?cursor=WzFd", 422, "request.cursor"),
        ("GET", "/api/v1/cameras?sort=worst&cursor=WzFd", 422, "request.cursor"),
        ("GET", "/api/v1/regions?cursor=bnVsbA", 422, "request.cursor"),
        ("GET", "/api/v1/villages?rates=48h", 422, "request.invalid"),
        ("GET", f"/api/v1/cameras?text={'x' * 101}", 422, "request.invalid"),
    ],
)
async def test_wrong_requests_are_problems(world: World, method: str, path: str, status: int, code: str) -> None:
    """Status, code, media type and the four members of RFC 9457 agree."""
    async with world.client("full.all") as client:
        answer = await client.request(method, path)

    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    body = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, "about:blank")
    assert body["title"]
    assert body["detail"]


async def test_unknown_parameter_is_passed_over(world: World) -> None:
    """A parameter of a later version does no harm."""
    assert (await world.get("/cameras?colour=red"))["items"]


@pytest.mark.parametrize("path", ["/api/v1/login", "/api/v1/maintenance", "/api/v1/cameras/c1/probe"])
@pytest.mark.parametrize("said", [True, False])
async def test_large_body_is_413(world: World, path: str, said: bool) -> None:
    """One byte over the cap is refused, whether the length was declared or the body just keeps coming."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65_536):
            yield b"x" * 65_536
        yield b"x"

    body = b"x" * (MAX_BODY_BYTES + 1) if said else endless()
    async with world.client("full.all") as client:
        answer = await client.post(path, content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")


async def test_declared_length_is_refused_before_reading(world: World) -> None:
    """What is announced as too large is not waited for."""
    async with world.client("full.all") as client:
        answer = await client.post("/api/v1/login", content=b"{}", headers={"Content-Length": str(MAX_BODY_BYTES + 1)})

    assert answer.status_code == 413


async def test_body_at_the_cap_is_read(world: World) -> None:
    """The cap itself is allowed: what is wrong then is said by the route."""
    async with world.client("full.all") as client:
        answer = await client.post("/api/v1/login", content=b" " * MAX_BODY_BYTES)

    assert answer.status_code == 422


@pytest.mark.parametrize("body", ["{", "[]", '{"depth": "reach", "x": 1}', '{"depth": "deep"}', "[" * 100_000])
async def test_malformed_body_is_422_and_not_repeated(world: World, body: str) -> None:
    """Broken JSON, wrong shapes and bottomless nesting are refused in a few words."""
    async with world.client("full.all") as client:
        answer = await client.post(
            "/api/v1/cameras/c1/probe", content=body, headers={"Content-Type": "application/json"}
        )

    assert answer.status_code == (400 if body.startswith("[[") else 422)
    assert len(answer.text) < 1_000
    assert world.service.asked == []


async def test_defect_of_ours_is_500_without_a_trace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw tells the caller nothing about our insides."""

    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(cameras, "timeline_of", broken)
    with structlog.testing.capture_logs() as logs:
        async with world.client("read.all") as client:
            answer = await client.get("/api/v1/cameras/c1/timeline")

    assert [entry["event"] for entry in logs] == ["api.failed"]

    assert (answer.status_code, answer.json()["code"], answer.headers["content-type"]) == (500, "internal", PROBLEM)
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text


async def test_headers_keep_browsers_careful(world: World) -> None:
    """Every answer, also a refusal, forbids foreign scripts, frames, sniffing and storing."""
    async with world.client() as client:
        for path in ("/api/v1/cameras", "/healthz", "/nowhere"):
            headers = (await client.get(path)).headers
            assert headers["content-security-policy"].startswith("default-src 'self'")
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"


async def test_openapi_is_3_1_and_no_page_loads_foreign_scripts(world: World) -> None:
    """The description is there; the pages that would fetch scripts elsewhere are not."""
    async with world.client() as client:
        described = (await client.get("/api/v1/openapi.json")).json()
        assert (await client.get("/docs")).status_code == 404
        assert (await client.get("/redoc")).status_code == 404

    assert described["openapi"].startswith("3.1")
    assert "ProblemOut" in described["components"]["schemas"]
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert operation.get("summary"), path
