"""The shell of the page: language, texts, and nothing that a strict policy would forbid."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from streamwatch import web
from streamwatch.texts import catalogue
from tests.api.world import World

STATIC = Path(web.__file__).parent / "static"


@pytest.mark.parametrize(
    ("query", "headers", "lang"),
    [
        ("", {}, "zh-CN"),
        ("", {"Accept-Language": "en"}, "en"),
        ("?lang=en", {"Accept-Language": "zh"}, "en"),
        ("", {"Cookie": "lang=en"}, "en"),
        ("?lang=fr", {}, "zh-CN"),
    ],
)
async def test_page_speaks_the_readers_language(site: World, query: str, headers: dict[str, str], lang: str) -> None:
    """Address, cookie, browser, Chinese, in this order; only a choice in the address is remembered."""
    async with site.client(**headers) as client:
        answer = await client.get(f"/{query}")

    assert answer.status_code == 200
    assert f'<html lang="{lang}">' in answer.text
    assert ("lang=" in answer.headers.get("set-cookie", "")) == bool(query)
    texts = json.loads(re.search(r'id="texts">(.*?)</script>', answer.text, re.DOTALL)[1])  # type: ignore[index]
    assert texts["page.login"] == catalogue(lang)["page.login"]
    assert "$" not in answer.text.replace(json.dumps(texts, ensure_ascii=False), "")


async def test_page_obeys_its_own_policy(site: World) -> None:
    """No inline script, style or handler and no foreign address: `default-src 'self'` forbids nothing that it needs."""
    async with site.client() as client:
        text = (await client.get("/")).text
    sources = "".join(path.read_text(encoding="utf-8") for path in STATIC.iterdir())

    assert re.findall(r"<script(?![^>]*(?:\bsrc=|application/json))", text) == []
    assert re.findall(r"\son\w+=|\sstyle=|<style", text) == []
    assert set(re.findall(r"https?://[^\s\"'<>]+", text + sources)) <= {"http://www.w3.org/2000/svg"}
    assert "innerHTML" not in sources
    assert "insertAdjacentHTML" not in sources
    assert "eval(" not in sources


async def test_static_files_are_served_with_their_types(site: World) -> None:
    """Every file of the page arrives, is asked for again each time, and nothing beside the folder is served."""
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
    async with site.client() as client:
        for path in STATIC.iterdir():
            answer = await client.get(f"/static/{path.name}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(types[path.suffix])
            assert answer.headers["cache-control"] == "no-cache"
        for outside in ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static/nothing.js"):
            assert (await client.get(outside)).status_code == 404


async def test_page_routes_are_no_part_of_the_api(site: World) -> None:
    """What is described is the API only."""
    assert not [path for path in site.app.openapi()["paths"] if path in ("/", "/static")]
