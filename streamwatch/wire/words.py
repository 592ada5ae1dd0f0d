"""Stage 3, wire: a device's words, fit to be shown to a person."""

from __future__ import annotations

from typing import Final

MAX_SERVER_NAME: Final = 128  # characters of what a device calls itself


def plain(text: str) -> str:
    """Printable ASCII as it is, and ? for everything else: no line end, escape sequence or foreign script gets out."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)
