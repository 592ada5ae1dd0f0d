"""What can be wrong with a line, as a value, and the bytes that it does it to."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Final

from streamwatch.errors import UsageError


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with one direction. Zeros and the empty text mean: nothing.

    `delay_s` and up to `jitter_s` more before every piece; `slice_bytes`: pieces of 1 to so many bytes (exactly 1 for
    1); `corrupt`: the share of bits that are flipped; `bytes_a_s`: no faster; `stall_after`: bytes, and then nothing;
    `cut_after`: bytes, and then `cut` (fin or rst). For datagrams only: `lose`, `double` and `swap` are shares.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    slice_bytes: int = 0
    corrupt: float = 0.0
    bytes_a_s: float = 0.0
    stall_after: int | None = None
    cut_after: int | None = None
    cut: str = "fin"
    lose: float = 0.0
    double: float = 0.0
    swap: float = 0.0


NO_FAULTS: Final = Faults()


def flipped(data: bytes, rate: float, rng: random.Random) -> bytes:
    """`data` with each bit turned at this rate: the distance to the next one is drawn, not every bit."""
    if rate <= 0 or not data:
        return data
    out = bytearray(data)
    bit = int(rng.expovariate(rate))
    while bit < len(out) * 8:
        out[bit >> 3] ^= 1 << (bit & 7)
        bit += 1 + int(rng.expovariate(rate))
    return bytes(out)


def sliced(data: bytes, most: int, rng: random.Random) -> Iterator[bytes]:
    """`data` in pieces of 1 to `most` bytes; whole for 0."""
    at = 0
    while at < len(data):
        size = rng.randint(1, most) if most else len(data)
        yield data[at : at + size]
        at += size


def parse_faults(text: str) -> Faults:
    """`slice_bytes=1,delay_s=0.1` as Faults. Raises UsageError that names what it takes."""
    kinds: dict[str, Callable[[str], float | int | str]] = {
        "slice_bytes": int,
        "stall_after": int,
        "cut_after": int,
        "cut": str,
        **dict.fromkeys(("delay_s", "jitter_s", "corrupt", "bytes_a_s", "lose", "double", "swap"), float),
    }
    given: dict[str, float | int | str] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            given[name] = kinds[name](value)
        except (KeyError, ValueError):
            known = ", ".join(one.name for one in fields(Faults))
            raise UsageError(f"{part!r} is no fault: write NAME=NUMBER with one of {known}") from None
    if given.get("cut", "fin") not in ("fin", "rst") or any(
        isinstance(v, float | int) and v < 0 for v in given.values()
    ):
        raise UsageError("cut is fin or rst, and no number is below 0")
    return Faults(**given)  # type: ignore[arg-type]
