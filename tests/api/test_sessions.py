"""Signing in and out: cookie, token, backoff, and what another site's page may not do."""

from __future__ import annotations

import pytest

from streamwatch.access.accounts import hash_password
from streamwatch.access.backoff import FREE_FAILURES
from streamwatch.access.principal import Role
from streamwatch.access.session import COOKIE, CSRF_HEADER
from streamwatch.clock import US
from streamwatch.store.access import change_account
from tests.api.world import SESSION_S, World

GOOD = {"name": "viewer.a", "password": "正确 horse"}


@pytest.fixture
async def people(world: World) -> World:
    """The world with one account whose password is known."""
    async with world.writer.begin() as conn:
        await change_account(conn, "viewer.a", password_hash=hash_password(GOOD["password"]))
    return world


@pytest.mark.parametrize("form", [False, True])
async def test_login_sets_a_careful_cookie_that_works(people: World, form: bool) -> None:
    """JSON and form sign in; the cookie is HttpOnly and SameSite=Strict; no token is in the address."""
    async with people.client() as client:
        answer = await client.post("/api/v1/login", **({"data": GOOD} if form else {"json": GOOD}))
        cookie = answer.headers["set-cookie"]
        me = await client.get("/api/v1/session")

    assert answer.status_code == 200
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    assert f"; max-age={SESSION_S};" in cookie.lower()
    assert "secure" not in cookie.lower()  # plain http on loopback
    assert me.json() == answer.json() == {"name": "viewer.a", "role": "viewer", "csrf": answer.json()["csrf"]}


async def test_cookie_is_secure_over_https(people: World) -> None:
    """Over TLS the browser must never send it in the clear."""
    async with people.client() as client:
        answer = await client.post("https://streamwatch.test/api/v1/login", json=GOOD)

    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "wish",
    [
        {**GOOD, "password": "正确 hors"},
        {**GOOD, "name": "nobody"},
        {**GOOD, "name": "editor.a"},
        {**GOOD, "password": ""},
    ],
)
async def test_wrong_name_and_wrong_password_look_alike(people: World, wish: dict[str, str]) -> None:
    """Nobody learns which accounts exist."""
    async with people.client() as client:
        answer = await client.post("/api/v1/login", json=wish)

    assert (answer.status_code, answer.json()["code"]) == (401, "access.wrong")
    assert "set-cookie" not in answer.headers


async def test_disabled_account_cannot_sign_in(people: World) -> None:
    """The right password of a disabled account is wrong."""
    async with people.writer.begin() as conn:
        await change_account(conn, "viewer.a", disabled_us=1)
    async with people.client() as client:
        assert (await client.post("/api/v1/login", json=GOOD)).status_code == 401


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"name": "a"}', b'{"name": 1, "password": "x"}', b"\xff", b'{"name":"","password":"x"}'],
)
async def test_malformed_login_is_422_and_repeats_nothing(people: World, content: bytes) -> None:
    """What is no name and password is refused before anything is looked up."""
    async with people.client() as client:
        answer = await client.post("/api/v1/login", content=content)

    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


async def test_bad_logins_wait_per_account_and_address(people: World) -> None:
    """Goal R31: after the free failures even the right password waits; elsewhere and later it works."""
    wrong = {**GOOD, "password": "x"}
    async with people.client() as client:
        for _ in range(FREE_FAILURES):
            assert (await client.post("/api/v1/login", json=wrong)).status_code == 401
        refused = await client.post("/api/v1/login", json=GOOD)
        assert (refused.status_code, refused.json()["code"]) == (429, "access.backoff")
        assert refused.headers["retry-after"] == str(refused.json()["retry_after_s"]) == "1"
        async with people.client(peer="192.0.2.77") as elsewhere:
            assert (await elsewhere.post("/api/v1/login", json=GOOD)).status_code == 200
        people.clock.seconds += 1.0
        assert (await client.post("/api/v1/login", json=GOOD)).status_code == 200


async def test_logout_makes_a_copied_cookie_worthless(people: World) -> None:
    """The cookie is taken from the browser, and a thief's copy ends too."""
    async with people.client() as client:
        csrf = (await client.post("/api/v1/login", json=GOOD)).json()["csrf"]
        copied = client.cookies[COOKIE]
        assert (await client.post("/api/v1/logout")).status_code == 403
        out = await client.post("/api/v1/logout", headers={CSRF_HEADER: csrf})
        assert (out.status_code, out.content) == (204, b"")
        assert COOKIE not in client.cookies
        client.cookies.set(COOKIE, copied)
        assert (await client.get("/api/v1/session")).status_code == 401


async def test_session_ends_by_itself(people: World) -> None:
    """After the time that the application was made with, the person signs in again."""
    async with people.client() as client:
        await client.post("/api/v1/login", json=GOOD)
        people.clock.now_us += SESSION_S * US - 1
        assert (await client.get("/api/v1/overview")).status_code == 200
        people.clock.now_us += 1
        assert (await client.get("/api/v1/overview")).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
    ],
)
async def test_another_sites_page_can_do_nothing(people: World, headers: dict[str, str]) -> None:
    """Neither a login nor, even with the right token, anything unsafe is taken from another site's page."""
    async with people.client() as client:
        answer = await client.post("/api/v1/login", json=GOOD, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "access.foreign_page")
    async with await people.signed_in(Role.ADMINISTRATOR, "a") as client:
        answer = await client.post("/api/v1/cameras/c1/probe", json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "access.foreign_page")
    assert people.service.asked == []


async def test_own_page_is_not_foreign(people: World) -> None:
    """The page itself may."""
    async with people.client() as client:
        for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://streamwatch.test"}):
            assert (await client.post("/api/v1/login", json=GOOD, headers=headers)).status_code == 200


async def test_key_needs_no_token_and_wins_over_a_cookie(people: World) -> None:
    """A script's key is shown on purpose, never by a browser alone."""
    async with await people.signed_in(Role.VIEWER, "a", csrf=False) as client:
        client.headers["Authorization"] = f"Bearer {people.keys['full.a']}"
        assert (await client.post("/api/v1/cameras/c1/probe", json={})).status_code == 200
        assert (await client.get("/api/v1/session")).json()["name"] == "key:t"
