"""What must not be shown, found in any text: known secrets by value, in every spelling, and strangers' by pattern.

Passwords reach logs by detours: a URL inside another program's message, a header, an escaped JSON text. So the message
is unfolded (percent-encoding, backslash escapes, base64 at any alignment) and searched for the *plain* secrets. That
keeps one copy of each secret instead of five spellings, and the search is exact: an index of the first bytes says at
which lengths to look, so that 126,000 secrets cost no more than ten.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from typing import Final

MASK: Final = "***"
MAX_SECRETS: Final = 200_000  # the city has 126,000 cameras; then keys and accounts
MIN_SECRET_BYTES: Final = 4  # shorter ones are parts of words; patterns and types still hide them
MAX_SECRET_BYTES: Final = 1_024
MAX_TEXT: Final = 16_384  # characters of one value in a log line: a traceback is about 4,000

# (pattern, what takes its place). The user name goes with the password: lists hold "password:" as user too.
PATTERNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"://[^\s\"'<>]*@"), f"://{MASK}@"),  # greedy: unescaped passwords hold / and @
    (re.compile(r"(?i)\b((?:proxy-)?authorization|x-api-key|cookie)(\\?[\"']?\s*[:=]\s*)[^\r\n]+"), rf"\1\2{MASK}"),
    (re.compile(r"(?i)\b(response|c?nonce)(=\\?\"?)[^\s\",\\]+"), rf"\1\2{MASK}"),  # Digest, apart from its header
    (re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/_=.-]{8,}"), rf"\1 {MASK}"),
    (
        re.compile(
            r"(?i)(passw(?:or)?d|passwort|pwd|passphrase|secret|api_?key|access_?token|密码)"
            r"(\\?[\"']?\s*[:=]\s*)(\\?[\"'])?(?(3).*?\\?[\"']|[^\s&,;)}\]]+)"
        ),
        rf"\1\2{MASK}",
    ),
)

_PERCENT = re.compile(rb"(?:%[0-9A-Fa-f]{2})")
_FORM = re.compile(rb"\+|%[0-9A-Fa-f]{2}")  # form encoding writes a space as +
_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[\"'\\/bfnrt])")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{6,}")
_SHORT: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_URLSAFE = bytes.maketrans(b"-_", b"+/")

_Span = tuple[int, int]


class Redactor:
    """Knows secrets and hides them. At its cap it forgets nothing and counts what it could not learn (`refused`)."""

    def __init__(self) -> None:
        self._secrets: set[bytes] = set()
        self._lengths: dict[bytes, int] = {}  # first bytes -> bit set of lengths
        self.refused = 0

    def learn(self, secrets: Iterable[str]) -> None:
        """From now on these are hidden. Too short ones (under 4 bytes) are left to patterns and types."""
        for text in secrets:
            raw = text.encode("utf-8", "surrogateescape")
            if not MIN_SECRET_BYTES <= len(raw) <= MAX_SECRET_BYTES or raw in self._secrets:
                continue
            if len(self._secrets) >= MAX_SECRETS:
                self.refused += 1
                continue
            self._secrets.add(raw)
            head = raw[:MIN_SECRET_BYTES]
            self._lengths[head] = self._lengths.get(head, 0) | 1 << len(raw)

    def forget(self) -> None:
        """Knows nothing again; the inventory is learnt anew after a change."""
        self._secrets.clear()
        self._lengths.clear()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._secrets)

    def redact(self, text: str) -> str:
        """The text without secrets, cut at MAX_TEXT."""
        if len(text) > MAX_TEXT:
            text = text[: MAX_TEXT - 1] + "…"
        for pattern, instead in PATTERNS:
            text = pattern.sub(instead, text)
        return self._by_value(text) if self._secrets else text

    def _by_value(self, text: str) -> str:
        raw = text.encode("utf-8", "surrogateescape")
        spans = self._find(raw)
        if b"%" in raw:
            spans += self._find_unfolded(raw, _PERCENT, _unfold_form)
        if b"+" in raw:
            spans += self._find_unfolded(
                raw, _FORM, lambda found: b" " if found == b"+" else bytes([int(found[1:], 16)])
            )
        if b"\\" in raw:
            spans += self._find_unfolded(raw, _ESCAPE, _unescape)
        spans += self._find_base64(raw)
        if not spans:
            return text
        return _masked(raw, spans).decode("utf-8", "surrogateescape")

    def _find(self, raw: bytes) -> list[_Span]:
        lengths, known = self._lengths, self._secrets
        spans: list[_Span] = []
        for start in range(len(raw) - MIN_SECRET_BYTES + 1):
            bits = lengths.get(raw[start : start + MIN_SECRET_BYTES], 0)
            while bits:
                length = bits.bit_length() - 1  # longest first: a secret may begin with another one
                if raw[start : start + length] in known:
                    spans.append((start, start + length))
                    break
                bits &= ~(1 << length)
        return spans

    def _find_unfolded(self, raw: bytes, pattern: re.Pattern[bytes], unfold: Callable[[bytes], bytes]) -> list[_Span]:
        """Spans of `raw` whose unfolded form is a secret."""
        plain = bytearray()
        origin: list[int] = []  # where in `raw` each plain byte begins
        at = 0
        for found in pattern.finditer(raw):
            plain += raw[at : found.start()]
            origin.extend(range(at, found.start()))
            piece = unfold(found[0])
            plain += piece
            origin.extend([found.start()] * len(piece))
            at = found.end()
        plain += raw[at:]
        origin.extend(range(at, len(raw) + 1))
        return [(origin[start], _end(origin, end)) for start, end in self._find(bytes(plain))]

    def _find_base64(self, raw: bytes) -> list[_Span]:
        """Runs of base64 that hold a secret at any alignment; the whole run is hidden, as its rest is of the secret."""
        spans: list[_Span] = []
        for found in _BASE64.finditer(raw):
            run = found[0].translate(_URLSAFE)
            for shift in range(4):
                whole = run[shift : shift + (len(run) - shift) // 4 * 4]
                tail = run[shift + len(whole) :]
                if len(tail) > 1:
                    whole += tail + b"=" * (4 - len(tail))
                if self._find(base64.b64decode(whole)):
                    spans.append(found.span())
                    break
        return spans


def _unfold_form(found: bytes) -> bytes:
    return b" " if found == b"+" else bytes([int(found[1:], 16)])


def _unescape(found: bytes) -> bytes:
    kind = found[1:2]
    if kind == b"u":
        return chr(int(found[2:], 16)).encode("utf-8", "surrogatepass")
    if kind == b"x":
        return bytes([int(found[2:], 16)])
    return _SHORT.get(kind, kind)


def _end(origin: list[int], end: int) -> int:
    """Where the raw bytes of the last plain byte before `end` stop: where the next one with another origin begins."""
    last = origin[end - 1]
    while origin[end] == last:
        end += 1
    return origin[end]


def _masked(raw: bytes, spans: list[_Span]) -> bytes:
    out = bytearray()
    at = 0
    for start, end in sorted(spans):
        if end <= at:
            continue
        if start >= at:
            out += raw[at:start] + MASK.encode()
        at = end
    return bytes(out + raw[at:])
