"""Letters of 5 x 7 dots for the contact sheet: ASCII only, so that no font is needed on the machine."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

ADVANCE: Final = 6  # dots from one letter to the next
HEIGHT: Final = 7

# A letter, then its seven rows from the top, two hexadecimal digits each: five bits, the leftmost dot the highest.
_DRAWN: Final = """
0 0e11131519110e  1 040c040404040e  2 0e11010204081f  3 1f02040201110e  4 02060a121f0202  5 1f101e0101110e
6 0608101e11110e  7 1f010204080808  8 0e11110e11110e  9 0e11110f01020c  A 0e11111f111111  B 1e11111e11111e
C 0e11101010110e  D 1c12111111121c  E 1f10101e10101f  F 1f10101e101010  G 0e11101711110f  H 1111111f111111
I 0e04040404040e  J 0702020202120c  K 11121418141211  L 1010101010101f  M 111b1515111111  N 11111915131111
O 0e11111111110e  P 1e11111e101010  Q 0e11111115120d  R 1e11111e141211  S 0f10100e01011e  T 1f040404040404
U 1111111111110e  V 11111111110a04  W 1111111515150a  X 11110a040a1111  Y 1111110a040404  Z 1f01020408101f
a 00000e010f110f  b 1010161911111e  c 00000e1010110e  d 01010d1311110f  e 00000e111f100e  f 0609081c080808
g 000f11110f010e  h 10101619111111  i 04000c0404040e  j 0200060202120c  k 10101214181412  l 0c04040404040e
m 00001a15151111  n 00001619111111  o 00000e1111110e  p 00001e111e1010  q 00000d130f0101  r 00001619101010
s 00000e100e011e  t 08081c08080906  u 0000111111130d  v 00001111110a04  w 0000111115150a  x 0000110a040a11
y 000011110f010e  z 00001f0204081f  . 00000000000c0c  , 000000000c0408  : 000c0c000c0c00  - 0000001f000000
_ 0000000000001f  / 00010204081000  # 0a0a1f0a1f0a0a  % 18190204081303  ( 02040808080402  ) 08040202020408
+ 0004041f040400  = 00001f001f0000  ? 0e110102040004  ! 04040404000004  [ 0e08080808080e  ] 0e02020202020e
~ 00000815020000  @ 0e11171517100e  ' 04040800000000  & 0814140815120d  ; 000c0c000c0408
"""
_UNKNOWN: Final = "?"


def _dots(rows: str) -> NDArray[np.bool_]:
    levels = np.frombuffer(bytes.fromhex(rows), np.uint8)
    return np.unpackbits(levels[:, None], axis=1)[:, 8 - ADVANCE + 1 :].astype(bool)


_WORDS: Final = _DRAWN.split()
_LETTERS: Final = {letter: _dots(rows) for letter, rows in zip(_WORDS[::2], _WORDS[1::2], strict=True)}


def written(text: str) -> NDArray[np.bool_]:
    """The dots of `text`, shape (7, 6 x its length). What has no letter here is a question mark; a blank is blank."""
    found = np.zeros((HEIGHT, ADVANCE * len(text)), bool)
    for at, letter in enumerate(text):
        if letter != " ":
            found[:, at * ADVANCE : at * ADVANCE + ADVANCE - 1] = _LETTERS.get(letter, _LETTERS[_UNKNOWN])
    return found
