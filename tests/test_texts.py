"""Both catalogues say the same things, and everything that has a code has words."""

from __future__ import annotations

import dataclasses
import re
import string
from pathlib import Path

import pytest

from streamwatch import texts
from streamwatch.errors import Blame, Reason, Step
from streamwatch.model.look import State
from streamwatch.quality.streams import STREAM_MEASURES
from streamwatch.quality.table import MEASURES
from streamwatch.verdict import Policy

FAULTS = [
    "blackout",
    "blur",
    "overexposed",
    "colour_cast",
    "noise",
    "stripes",
    "frozen",
    "signal_loss",
    "picture_broken",
    "occluded",
    "shake",
    "flicker",
    "underexposed",
    "low_contrast",
    "scene_change",
    "degrading",
    "osd_missing",
    "wrong_resolution",
    "clock_offset",
    "duplicate_scene",
    "ptz_runaway",
]
ROOT = Path(texts.__file__).parent.parent
WHYS = sorted(
    {why for path in (ROOT / "quality").glob("*.py") for why in re.findall(r'"((?:no|too)_[a-z]+)"', path.read_text())}
)


def places(text: str) -> set[str]:
    """The names of the places to fill in."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_catalogues_have_one_key_list_in_one_order() -> None:
    """A key of one language is in the other, at the same place, so that a diff shows what is missing."""
    assert list(texts.catalogue("zh-CN")) == list(texts.catalogue("en"))


@pytest.mark.parametrize("lang", texts.LANGUAGES)
def test_no_text_is_empty_and_places_agree(lang: str) -> None:
    """Every text says something and has the same places to fill as in the other language."""
    for key, value in texts.catalogue(lang).items():
        assert value.strip() == value != "", key
        assert places(value) == places(texts.catalogue("en")[key]), key


@pytest.mark.parametrize("lang", texts.LANGUAGES)
@pytest.mark.parametrize(
    "key",
    [
        *(f"reason.{reason}" for reason in Reason),
        *(f"blame.{blame}" for blame in Blame),
        *(f"step.{step}" for step in Step),
        *(f"state.{state}" for state in State),
        *(f"picture.{state}" for state in State),
        *(f"fault.{fault}" for fault in FAULTS),
        *(f"measure.{measure}" for measure in (*MEASURES, *STREAM_MEASURES)),
        *(f"why.{why}" for why in WHYS),
        *(f"threshold.{name.name}" for name in dataclasses.fields(Policy)),
    ],
)
def test_every_code_has_a_text(lang: str, key: str) -> None:
    """A person never reads a bare code."""
    assert len(WHYS) >= 6, "where measures say why they cannot be taken"
    assert texts.text(key, lang)


def test_chinese_catalogue_is_chinese() -> None:
    """No English text slipped into the Chinese catalogue."""
    for key, value in texts.catalogue("zh-CN").items():
        assert re.search(r"[\u4e00-\u9fff]", value), key


def test_page_uses_no_unknown_key_and_catalogue_has_no_dead_page_text() -> None:
    """The page's script and shell name exactly the keys that the catalogue has."""
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "web").rglob("*.*"))
        if path.suffix in {".py", ".js", ".html"}
    )
    named = set(re.findall(r"""["'`](page\.[a-z0-9_]+)["'`]""", source))
    have = {key for key in texts.catalogue("en") if key.startswith("page.")}

    assert (named - have, have - named) == (set(), set())


def test_text_fills_places_and_refuses_unknown_keys() -> None:
    """Places are filled by name; a key that does not exist is our bug and says so."""
    assert texts.text("page.login_wait", "en", seconds=8) == "Too many failures: try again in 8 s."
    with pytest.raises(KeyError):
        texts.text("page.nothing_of_the_kind")
    with pytest.raises(KeyError):
        texts.catalogue("fr")


def test_unknown_reason_of_a_later_version_stays_its_code() -> None:
    """A page of this version can show what a newer service wrote."""
    assert texts.reason_text("rtsp.something_new") == "rtsp.something_new"
    assert texts.reason_text("blackout", "en") == "blackout"
    assert texts.reason_text("net.refused", "en") == "connection refused"
    assert texts.reason_text(None) == ""


@pytest.mark.parametrize(
    ("asked", "cookie", "accept", "expected"),
    [
        ("en", "zh-CN", "zh", "en"),
        (None, "en", "zh", "en"),
        (None, None, "en-GB,en;q=0.9", "en"),
        (None, None, "fr,zh-TW;q=0.5,en;q=0.4", "zh-CN"),
        (None, None, "zh;q=0.2, en;q=0.8", "en"),
        (None, None, "en;q=0", "zh-CN"),
        (None, None, "en;q=abc", "zh-CN"),
        (None, None, "fr", "zh-CN"),
        ("fr", "xx", None, "zh-CN"),
    ],
)
def test_language_is_negotiated(asked: str | None, cookie: str | None, accept: str | None, expected: str) -> None:
    """The address wins over the cookie, the cookie over the browser; Chinese is the default."""
    assert texts.negotiate(asked=asked, cookie=cookie, accept=accept) == expected
