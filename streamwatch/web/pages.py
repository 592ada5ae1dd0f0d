"""GET / : the shell of the one page, in the reader's language, with the texts that its script needs."""

from __future__ import annotations

import html
import json
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from streamwatch import __version__
from streamwatch.texts import LANGUAGES, catalogue, negotiate, text

LANGUAGE_COOKIE: Final = "lang"
LANGUAGE_COOKIE_S: Final = 365 * 86_400
STATIC: Final = Path(__file__).parent / "static"
SCRIPT_PREFIXES: Final = (
    "page.",
    "state.",
    "picture.",
    "blame.",
    "step.",
    "reason.",
    "fault.",
    "dimension.",
    "measure.",
    "why.",
    "threshold.",
)
OWN_NAMES: Final = {"zh-CN": "中文", "en": "English"}  # a language is named in itself

router = APIRouter(include_in_schema=False)


class _Files(StaticFiles):
    """Static files that a browser asks for again each time and mostly gets 304: a new version is seen at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def install_pages(app: FastAPI) -> None:
    """Adds the page and its files to the application of `create_app`."""
    app.include_router(router)
    app.mount("/static", _Files(directory=STATIC), name="static")


@router.get("/", response_class=HTMLResponse)
async def shell(request: Request, lang: str | None = None) -> HTMLResponse:
    """The page; `?lang=` chooses a language and is remembered."""
    chosen = negotiate(
        asked=lang,
        cookie=request.cookies.get(LANGUAGE_COOKIE),
        accept=request.headers.get("accept-language"),
    )
    response = HTMLResponse(_shell(chosen), headers={"Content-Language": chosen, "Vary": "Accept-Language, Cookie"})
    if lang is not None:
        response.set_cookie(
            LANGUAGE_COOKIE,
            chosen,
            max_age=LANGUAGE_COOKIE_S,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return response


@cache
def _shell(lang: str) -> str:
    """The document in one language; the same for everybody."""
    words = {key: words for key, words in catalogue(lang).items() if key.startswith(SCRIPT_PREFIXES)}
    template = Template((STATIC / "shell.html").read_text(encoding="utf-8"))
    return template.substitute(
        lang=lang,
        title=html.escape(text("page.title", lang)),
        subtitle=html.escape(text("page.subtitle", lang)),
        skip=html.escape(text("page.skip", lang)),
        language=html.escape(text("page.language", lang)),
        languages=_switch(lang),
        no_script=html.escape(text("page.no_script", lang)),
        zone=html.escape(text("page.times_zone", lang)),
        version=html.escape(__version__),
        # A data block is not run, and with < written as an escape no text can end it.
        texts=json.dumps(words, ensure_ascii=False).replace("<", "\\u003c"),
    )


def _switch(lang: str) -> str:
    links = []
    for other in LANGUAGES:
        here = ' aria-current="true"' if other == lang else ""
        links.append(f'<a href="?lang={other}" lang="{other}" hreflang="{other}"{here}>{OWN_NAMES[other]}</a>')
    return "".join(links)
