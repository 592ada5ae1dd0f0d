"""Stage 1: one cell of a list -> one typed value, or why not. Each function takes the stripped, non-empty text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Final

from streamwatch.inventory.parsed import Value

MAX_CODE: Final = 64  # characters; the columns of the store. GB/T 28181 codes have 20
MAX_NAME: Final = 200  # 一机一档 allows 100
MAX_SECRET: Final = 256

_CODE = re.compile(r"[^\W_][\w.:-]*")  # goes into paths of the API: no slash, space or control character
_SCIENTIFIC = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]+")
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{2}")  # as spreadsheets write a number of more than 15 digits
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{1,2})-([0-9]{1,2})|/([0-9]{1,2})/([0-9]{1,2})|([0-9]{2})([0-9]{2})"
    r"|\.([0-9]{1,2})\.([0-9]{1,2})|年([0-9]{1,2})月([0-9]{1,2})日)(?:[ T].*)?"
)
_EPOCH_MS = re.compile(r"[0-9]{12,13}")  # what JSON exports of 一机一档 have: from 2001 to 2286
_HOME: Final = timezone(timedelta(hours=8))  # China has one zone and, since 1992, no summer time
_YES: Final = frozenset({"1", "yes", "y", "true", "是", "有"})
_NO: Final = frozenset({"0", "no", "n", "false", "否", "无"})

_PASSED: Final = _YES | {"passed", "pass", "ok", "合格", "通过", "正常"}
_FAILED: Final = _NO | {"failed", "fail", "不合格", "未通过", "不通过", "异常"}

Parser = Callable[[str], Value]


class CellError(ValueError):
    """A cell that cannot be taken: a stable code, and the remedy as a sentence."""

    def __init__(self, code: str, remedy: str) -> None:
        super().__init__(remedy)
        self.code = code
        self.remedy = remedy


def code(text: str) -> str:
    """A code: letters of any script, ASCII digits, . : - _ ; at most 64, beginning with a letter or digit."""
    _not_rounded(text, _SCIENTIFIC)
    if len(text) > MAX_CODE:
        raise CellError("too_long", f"shorten it to {MAX_CODE} characters")
    if unicodedata.normalize("NFKC", text) != text:
        raise CellError("bad_code", "write digits and letters in their ordinary (half) width")
    if not text.isprintable():
        raise CellError("bad_text", "remove line breaks and characters that cannot be seen")
    if not _CODE.fullmatch(text):
        raise CellError("bad_code", "use letters, digits and . : - _ only")
    return text


def reference(text: str) -> str:
    """The code or name of something else: one line, at most 200 characters."""
    _not_rounded(text)
    return _line(_spaced(text), MAX_NAME)


def name(text: str) -> str:
    """A name for people: one line, at most 200 characters."""
    return _line(_spaced(text), MAX_NAME)


def short(text: str) -> str:
    """A text of one line, at most 64 characters."""
    _not_rounded(text)
    return _line(_spaced(text), MAX_CODE)


def secret(text: str) -> str:
    """A user name or password: one line, at most 256 characters."""
    return _line(text, MAX_SECRET)


def whole(low: int, high: int) -> Parser:
    """A whole number from `low` to `high`; 300.0, as spreadsheets write it, counts."""

    def parse(text: str) -> int:
        try:
            number = float(text)
        except ValueError:
            raise CellError("bad_number", f"give a whole number from {low} to {high}") from None
        if not low <= number <= high:  # false for nan too
            raise CellError("out_of_range", f"give a whole number from {low} to {high}")
        if number != int(number):
            raise CellError("bad_number", f"give a whole number from {low} to {high}")
        return int(number)

    return parse


def number(low: float, high: float) -> Parser:
    """A number from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            raise CellError("bad_number", f"give a number from {low:g} to {high:g}") from None
        if not low <= found <= high:
            raise CellError("out_of_range", f"give a number from {low:g} to {high:g}")
        return found

    return parse


def yes_no(text: str) -> bool:
    """yes or no, also true, 1, 是."""
    folded = text.casefold()
    if folded in _YES:
        return True
    if folded in _NO:
        return False
    raise CellError("bad_choice", "give yes or no")


def passed(text: str) -> bool:
    """The result of a test: passed or failed, also yes, no, 合格, 不合格."""
    folded = text.casefold()
    if folded in _PASSED:
        return True
    if folded in _FAILED:
        return False
    raise CellError("bad_choice", "give passed or failed")


def choice(*allowed: str) -> Parser:
    """One of a few words; case does not count."""
    words = {word.casefold(): word for word in allowed}

    def parse(text: str) -> str:
        found = words.get(text.casefold())
        if found is None:
            raise CellError("bad_choice", "give one of " + ", ".join(allowed))
        return found

    return parse


def day(text: str) -> str:
    """A date as YYYY-MM-DD; takes 2026-1-5, 2026/1/5, 2026.1.5, 2026年1月5日, 20260105 and a time after it, which is
    dropped; also milliseconds since 1970, whose day is that of China.
    """
    if _EPOCH_MS.fullmatch(text):
        return datetime.fromtimestamp(int(text) / 1000, _HOME).date().isoformat()
    found = _DATE.fullmatch(text)
    if found is None:
        raise CellError("bad_date", "give a date such as 2026-11-24")
    year, month, number_ = (int(part) for part in found.groups() if part is not None)
    try:
        moment = date(year, month, number_)
    except ValueError:
        raise CellError("bad_date", "there is no such day; give a date such as 2026-11-24") from None
    if year < 1990:
        raise CellError("out_of_range", "give a date from 1990 on")
    return moment.isoformat()


def region(text: str) -> str:
    """A place in the tree: its path 县/镇 with at most 8 steps, or its code."""
    steps = [step.strip() for step in unicodedata.normalize("NFKC", text).split("/")]
    if len(steps) > 8 or not all(steps):
        raise CellError("bad_region", "give the path such as 青河县/双河镇, or the region's code")
    return "/".join(_line(step, MAX_CODE) for step in steps)


def _not_rounded(text: str, pattern: re.Pattern[str] = _ROUNDED) -> None:
    if pattern.fullmatch(text):
        raise CellError(
            "damaged_number", "a spreadsheet rounded this code; format the column as text and fill it again"
        )


def _spaced(text: str) -> str:
    """Wide and unbreakable spaces of Chinese lists as plain ones."""
    return text.replace("\u3000", " ").replace("\xa0", " ")


def _line(text: str, longest: int) -> str:
    if len(text) > longest:
        raise CellError("too_long", f"shorten it to {longest} characters")
    if not text.isprintable():
        raise CellError("bad_text", "remove line breaks and characters that cannot be seen")
    return text
