"""Stage 3, wire: a device's words, fit to be shown to a person."""

from __future__ import annotations


def plain(text: str) -> str:
    """Printable ASCII as it is, and ? for everything else: no line end, escape sequence or foreign script gets out."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)
