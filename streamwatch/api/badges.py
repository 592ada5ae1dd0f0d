"""A badge as SVG: uptime of 30 days with its coverage; grey "no data" where nothing was seen."""

from __future__ import annotations

import html
import unicodedata
from typing import Final

from streamwatch.model.timeline import Rate
from streamwatch.texts import text

GREY: Final = "#6b7280"
COLOURS: Final = ((0.99, "#1b7a46"), (0.95, "#8a5a00"), (0.0, "#b3261e"))  # value at least -> colour
HEIGHT: Final = 22
WIDE: Final = 12.0  # px of a Chinese character at 12 px; half of it and a bit for the rest
NARROW: Final = 6.9
PAD: Final = 8


def badge(rate: Rate, lang: str) -> str:
    """The badge of a rate in that language."""
    label = text("badge.uptime", lang)
    if rate.value is None or rate.coverage is None:
        words, colour = text("badge.no_data", lang), GREY
    else:
        seen = text("badge.coverage", lang, percent=percent(rate.coverage))
        words = f"{percent(rate.value)} · {seen}"
        colour = next(colour for least, colour in COLOURS if rate.value >= least)
    return _svg(label, words, colour)


def percent(value: float) -> str:
    """Cut to two decimals, never rounded up: 100 % is only what was whole."""
    if value >= 1:
        return "100 %"
    hundredths = int(value * 10_000 + 1e-7)
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


def _svg(label: str, words: str, colour: str) -> str:
    left, right = _width(label), _width(words)
    title = html.escape(f"{label}: {words}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{HEIGHT}" '
        f'role="img" aria-label="{title}">'
        f"<title>{title}</title>"
        f'<rect width="{left}" height="{HEIGHT}" fill="#3b4450"/>'
        f'<rect x="{left}" width="{right}" height="{HEIGHT}" fill="{colour}"/>'
        f'<g fill="#fff" font-family="sans-serif" font-size="12" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="15">{html.escape(label)}</text>'
        f'<text x="{left + right / 2:g}" y="15">{html.escape(words)}</text></g></svg>\n'
    )


def _width(words: str) -> int:
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in words)
    return round(wide * WIDE + (len(words) - wide) * NARROW) + 2 * PAD
