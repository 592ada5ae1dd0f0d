"""Stage 3, wire: what must not be seen by others is taken out of addresses and recorded messages.

By pattern: credentials in addresses and headers, realms (they hold serial numbers), serial numbers, MAC addresses.
By value: the password and user name in every form that a device or we may write them.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Final
from urllib.parse import quote, quote_plus

from streamwatch.model.report import Credentials
from streamwatch.wire.url import split_userinfo

MASK: Final = "***"
MIN_BY_VALUE: Final = 4  # characters: a shorter secret occurs in innocent text too ("1" is in "RTSP/1.0")

# Headers whose values carry the conversation itself: masked in addresses only, as a password may be "1234".
_STRUCTURE: Final = frozenset(
    {"cseq", "content-length", "content-type", "transport", "session", "rtp-info", "range", "public", "accept"}
)
_START_LINE = re.compile(r"((?:RTSP/1\.0 [0-9]{3}|[A-Z_]+ ))(.*?)((?: RTSP/1\.0)?\r?)", re.DOTALL)
_ADDRESS = re.compile(r"(?<=//)[^\s\"<>]+")
# In a query, or as Xiongmai has it in a path: "/user=NAME_password=WORD_channel=1_stream=0.sdp?real_stream".
_PARAMETER = re.compile(
    r"(?i)([?&;/_](?:user(?:name)?|usr|pass(?:word|wd)?|pwd|psw|auth|token|key|sig)=)"
    r"([^&;\s\"]+)"
)
_PLAIN = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f]+")
_NEXT = re.compile(r"(?i)(?=_(?:pass(?:word|wd)?|channel|stream)=)")  # where Xiongmai's user name or password ends
_AUTHORIZATION = re.compile(r"(?im)^((?:proxy-)?authorization[ \t]*:[ \t]*)[^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*")
_REALM = re.compile(r"(?im)^(www-authenticate[ \t]*:.*?\brealm[ \t]*=[ \t]*)\"(?:[^\"\\\r\n]|\\.)*\"")
# In a name at most 64 characters are looked through: a body of "serialserial…" must not cost its square.
_SERIAL = re.compile(r"(?i)((?:serial|device-?id|uuid)[\w-]{0,64}+[ \t]*+[:=][ \t]*+\"?)[\w.-]+")
_HIKVISION_SERIAL = re.compile(r"\bDS-[0-9A-Z/-]{4,30}?[0-9]{8}[A-Z]{4}[0-9]{8,9}[A-Z0-9]*\b")
_MAC = re.compile(r"(?i)\b[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}\b")
_BARE_MAC = re.compile(r"(?i)(\bmac[\w-]{0,64}+[ \t]*+[:=][ \t]*+\"?)[0-9a-f]{12}\b")


def masked_url(url: str) -> str:
    """An address for people to read: *** for user name and password, and for what looks like a secret in its query.

    Takes any text, also one that is no address. Where a user name stands, everything up to the last @ goes: a password
    that nobody encoded may hold any character.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        return _PARAMETER.sub(_without_value, url)
    userinfo, rest = split_userinfo(rest)
    masked = f"{scheme}://{rest}" if userinfo is None else f"{scheme}://{MASK}@{rest.rpartition('@')[2]}"
    return _PARAMETER.sub(_without_value, masked)


class Redactor:
    """Masks texts of one conversation. Its repr shows no secret."""

    __slots__ = ("_by_value",)

    def __init__(self, credentials: Credentials | None) -> None:
        forms = _forms(credentials) if credentials is not None else set()
        words = sorted((form for form in forms if len(form) >= MIN_BY_VALUE), key=len, reverse=True)
        self._by_value = re.compile("|".join(map(re.escape, words))) if words else None

    def __repr__(self) -> str:
        return "Redactor(***)"

    def text(self, text: str) -> str:
        """Any text, Latin-1 of the wire."""
        if self._by_value is not None:
            text = self._by_value.sub(MASK, text)
        text = _addresses(text)
        text = _SERIAL.sub(rf"\1{MASK}", text)
        text = _HIKVISION_SERIAL.sub(f"DS-{MASK}", text)
        text = _MAC.sub(r"**\1**\1**\1**\1**\1**", text)
        return _BARE_MAC.sub(rf"\1{MASK}", text)

    def message(self, raw: bytes, body_size: int) -> bytes:
        """A whole RTSP message whose last `body_size` bytes are its body; Content-Length follows the masking."""
        cut = len(raw) - body_size
        body = self.text(raw[cut:].decode("latin-1")).encode("latin-1")
        head = _AUTHORIZATION.sub(rf"\1{MASK}", raw[:cut].decode("latin-1"))
        head = _REALM.sub(_without_realm, head)
        first, newline, rest = head.partition("\n")
        start = _START_LINE.fullmatch(first)
        first = f"{start[1]}{self.text(start[2])}{start[3]}" if start else self.text(first)
        lines = [(_addresses if _name(line) in _STRUCTURE else self.text)(line) for line in rest.split("\n")]
        head = first + newline + "\n".join(lines)
        if len(body) != body_size:
            head = re.sub(r"(?im)^(content-length[ \t]*:[ \t]*)[0-9]+", rf"\g<1>{len(body)}", head)
        return head.encode("latin-1") + body


def _addresses(text: str) -> str:
    return _PARAMETER.sub(_without_value, _ADDRESS.sub(_without_userinfo, text))


def _without_realm(found: re.Match[str]) -> str:
    return f'{found[1]}"{MASK}{_odd(found[0][len(found[1]) :])}"'


def _without_value(found: re.Match[str]) -> str:
    value, *more = _NEXT.split(found[2])
    rest = "".join(_PARAMETER.sub(rf"\1{MASK}", part) for part in more)  # each has one parameter, or none of ours
    return f"{found[1]}{MASK + _odd(value) if value else ''}{rest}"


def _without_userinfo(found: re.Match[str]) -> str:
    """A device's own words: a password with a slash in it is masked as far as an address is read."""
    userinfo, rest = split_userinfo(found[0])
    return found[0] if userinfo is None else f"{MASK}{_odd(userinfo)}@{rest}"


def _odd(masked: str) -> str:
    """What no header may hold: it decides the look, and tells nothing."""
    return _PLAIN.sub("", masked)


def _name(line: str) -> str:
    return line.partition(":")[0].strip().lower()


def _forms(credentials: Credentials) -> set[str]:
    """Every way in which a password, or user and password, may be written. UTF-8 as it looks in Latin-1."""
    username, password = credentials.username, credentials.password
    forms = set()
    for text in (password, f"{username}:{password}"):
        if len(password) < MIN_BY_VALUE and text == password:
            continue
        raw = text.encode()
        forms |= {
            text,
            raw.decode("latin-1"),
            text.encode("gb18030").decode("latin-1"),
            quote(text, safe=""),
            quote(text, safe="").replace("%", "%25"),
            quote_plus(text),
            re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), quote(text, safe="")),
            json.dumps(text)[1:-1],
            base64.b64encode(raw).decode("ascii"),
            base64.b64encode(raw).decode("ascii").rstrip("="),
        }
    return forms
