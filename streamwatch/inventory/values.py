"""Stage 1: values that are no text in a workbook or in JSON -> the text that a CSV would have. Pure."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import Final

EXACT: Final = 10**15  # spreadsheets and JavaScript keep 15 digits of a number; 一机一档 codes have 20

_HALVES = re.compile("[\ud800-\udfff]")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_EPOCH_1900: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - a wall clock; serial 60 is 29 February 1900, which never was
_EPOCH_1904: Final = datetime(1904, 1, 1)  # noqa: DTZ001
_MAX_SERIAL: Final = 2_958_465  # 9999-12-31


def bool_text(value: bool) -> str:  # noqa: FBT001 - it is the value
    """true or false."""
    return "true" if value else "false"


def number_text(value: float) -> str:
    """A number without needless zeros. Whole numbers of more than 15 digits have lost some: they come as 4.4E+19."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        if value != math.floor(value):
            return repr(value)
        value = int(value)
    return str(value) if -EXACT < value < EXACT else f"{float(value):.14E}" if abs(value) < 10**300 else "1E+300"


def date_text(serial: float, *, epoch_1904: bool = False) -> str | None:
    """A spreadsheet's serial day as 2026-11-24, with the time where there is one; None where it is no day."""
    if not 0 <= serial <= _MAX_SERIAL:
        return None
    epoch = _EPOCH_1904 if epoch_1904 else _EPOCH_1900
    moment = epoch + timedelta(seconds=round(serial * 86_400))
    return moment.date().isoformat() if moment.time() == moment.min.time() else moment.isoformat(sep=" ")


def unescaped(text: str) -> str:
    """18.3.1.96 and ST_Xstring: characters that XML cannot hold are written _x000D_."""
    return sound(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)) if "_x" in text else text


def sound(text: str) -> str:
    """The text with U+FFFD for halves of characters, which escapes can write and no encoding holds."""
    return text if text.isascii() else _HALVES.sub("\ufffd", text)
