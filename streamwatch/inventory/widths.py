"""Stage 1: full-width digits, letters and marks 全角, and what is wrong with an address that is nearly one. Pure."""

from __future__ import annotations

from typing import Final

from streamwatch.inventory.addresses import AddressError, split_address

# Unicode's full-width forms U+FF01-U+FF5E stand 0xFEE0 above ASCII; the wide space is apart.
_ORDINARY: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def half_width(text: str) -> str:
    """The text with ordinary digits, letters, marks and spaces; Chinese punctuation of its own stays."""
    return text.translate(_ORDINARY)


def bad_address(text: str, error: AddressError, schemes: tuple[str, ...]) -> tuple[str, str]:
    """Code and remedy of an address that is none: tabs, spaces and width are named where they alone are wrong."""
    if "\t" in text:
        return "tab", "remove the tab inside it"
    together = "".join(text.split())
    for plain, code, remedy in (
        (together, "spaces", "remove the spaces inside it"),
        ("".join(half_width(text).split()), "full_width", "write : / @ and digits in ordinary (half) width"),
    ):
        if plain != text:
            try:
                split_address(plain, schemes)
            except AddressError:
                continue
            return code, remedy
    return "bad_url", str(error)
