"""The words shown to people, in one catalogue a language with one list of keys: pages, command line, badges.

Codes (`net.refused`, `blackout`, `up`) are the interface and never change; a text is only how a person reads them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Final

from streamwatch.errors import Blame
from streamwatch.model.look import State

DEFAULT_LANGUAGE: Final = "zh-CN"
LANGUAGES: Final = ("zh-CN", "en")
MAX_ACCEPT_LANGUAGE: Final = 16  # entries read of an Accept-Language header; browsers send two to five


@cache
def catalogue(lang: str) -> dict[str, str]:
    """Every key with its text in `lang` (one of LANGUAGES; KeyError else). The caller must not change it."""
    if lang not in LANGUAGES:
        raise KeyError(f"there are no texts in {lang!r}: use one of {', '.join(LANGUAGES)}")
    loaded: dict[str, str] = json.loads((files(__package__) / f"{lang}.json").read_text(encoding="utf-8"))
    return loaded


def text(key: str, lang: str = DEFAULT_LANGUAGE, **params: object) -> str:
    """The text of `key` with `{name}` places filled from `params`. KeyError where the catalogue has no such key."""
    found = catalogue(lang)[key]
    return found.format_map(params) if params else found


def reason_text(reason: str | None, lang: str = DEFAULT_LANGUAGE) -> str:
    """A reason's or fault's words; an unknown code (of a later version) stays the code, never an error."""
    if reason is None:
        return ""
    words = catalogue(lang)
    return words.get(f"reason.{reason}") or words.get(f"fault.{reason}") or reason


def state_text(state: State, lang: str = DEFAULT_LANGUAGE) -> str:
    """A state's word."""
    return catalogue(lang)[f"state.{state}"]


def blame_text(blame: Blame | None, lang: str = DEFAULT_LANGUAGE) -> str:
    """A blame's word, or an empty text."""
    return "" if blame is None else catalogue(lang)[f"blame.{blame}"]


def negotiate(*, asked: str | None, cookie: str | None, accept: str | None) -> str:
    """The language of a page: `?lang`, the cookie, Accept-Language (RFC 9110 section 12.5.4), else Chinese."""
    for wish in (asked, cookie):
        if (found := _match(wish)) is not None:
            return found
    weighted: list[tuple[float, int, str]] = []
    for place, entry in enumerate((accept or "").split(",")[:MAX_ACCEPT_LANGUAGE]):
        tag, _, parameters = entry.partition(";")
        if (found := _match(tag)) is not None and (weight := _weight(parameters)) > 0:
            weighted.append((-weight, place, found))
    return min(weighted)[2] if weighted else DEFAULT_LANGUAGE


def _match(tag: str | None) -> str | None:
    """The language that serves a tag: any Chinese is served by zh-CN, any English by en."""
    primary = (tag or "").strip().lower().replace("_", "-").partition("-")[0]
    return {"zh": "zh-CN", "en": "en"}.get(primary)


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 0.0
