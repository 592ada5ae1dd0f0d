"""How a process keeps its memory: glibc's malloc and Python's collector, told what kind of work is done here."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # malloc.h of glibc
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_GLIBC_PAD_BYTES: Final = 2**17  # what it takes by itself

# A looker takes 50 to 250 KB for each keyframe, in pieces and as a whole, and gives them back a moment later. By itself
# glibc then cuts its heap, and grows it for the next one: 5 to 10 page faults a look, 40 us of 400.
LOOK_BLOCK_BYTES: Final = 2**20  # below it blocks come from the heap: keyframes of all but the largest pictures
LOOK_KEPT_BYTES: Final = 64 * 2**20  # free at the heap's end before it is cut: 256 looks at once of 256 KB
LOOK_PAD_BYTES: Final = 2**20  # more than is asked for, when it grows
# A look leaves no cyclic garbage; all that a collection does is to walk through the values of the looks under way.
LOOK_OBJECTS: Final = 20_000  # new ones until the youngest are looked through, 1 ms of work; by itself after 700

# What is said of a look has no cycles either; a city's standings would be walked through again and again.
REPORT_OBJECTS: Final = 20_000


def keep_blocks(block_bytes: int, kept_bytes: int, pad_bytes: int = _GLIBC_PAD_BYTES) -> bool:
    """Has malloc take blocks of less than `block_bytes` from its heap, and cut that only where `kept_bytes` are free
    at its end; it grows by `pad_bytes` more than is asked for. For this process and its forks.

    False where the C library is not glibc: nothing is lost.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    told = mallopt(_M_MMAP_THRESHOLD, block_bytes) and mallopt(_M_TRIM_THRESHOLD, kept_bytes)
    return bool(told and mallopt(_M_TOP_PAD, pad_bytes))


def prepare_for_looks() -> None:
    """For a process that looks at cameras, once all is loaded that stays."""
    keep_blocks(LOOK_BLOCK_BYTES, LOOK_KEPT_BYTES, LOOK_PAD_BYTES)
    _collect_seldom(LOOK_OBJECTS)


def prepare_for_reports() -> None:
    """For the process that knows where every camera stands, once the inventory is loaded."""
    _collect_seldom(REPORT_OBJECTS)


def _collect_seldom(objects: int) -> None:
    """Leaves alone what is there now, and looks through the youngest after so many new ones."""
    gc.collect()
    gc.freeze()
    _, older, oldest = gc.get_threshold()
    gc.set_threshold(objects, older, oldest)
