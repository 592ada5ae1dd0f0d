"""Stage 1: the outer shell of a workbook: a ZIP whose sizes are judged before anything in it is unpacked.

A workbook comes from strangers. Its directory says how much each part will be: that is bounded first, and ZIP readers
never give more than the directory says. Parts with a document type (entities) are refused; parts elsewhere (links to
other workbooks, pictures, macros) are never opened.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Final
from xml.parsers import expat

from streamwatch.errors import UsageError

MAX_TOTAL_BYTES: Final = 512 * 2**20  # unpacked; 126,000 cameras with 21 columns are about 150 MiB
MAX_SHEET_BYTES: Final = 384 * 2**20
MAX_STRINGS_BYTES: Final = 96 * 2**20  # they are held in memory: 126,000 cameras have about 40 MiB
MAX_PART_BYTES: Final = 16 * 2**20  # styles, relations: 100 KiB are usual
MAX_MEMBERS: Final = 2_000  # a workbook of lists has a dozen, one with pictures some hundreds
MAX_RATIO: Final = 250  # sheets of thousands of like rows reach 60; a bomb has 1,000
RATIO_FROM_BYTES: Final = 2**20  # below, a ratio harms nobody
CHUNK_BYTES: Final = 65_536

_END: Final = b"PK\x05\x06"  # APPNOTE 4.3.16
_END_64: Final = b"PK\x06\x07"  # APPNOTE 4.3.15
_END_BYTES: Final = 22
_MAX_COMMENT: Final = 0xFFFF
_MAX_DIRECTORY_BYTES: Final = 2**20  # an entry has about 80 bytes
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED: Final = 0x1  # APPNOTE 4.4.4


class Package:
    """The parts of a workbook by name. Raises UsageError naming the file where it is none, or too large."""

    def __init__(self, raw: bytes, name: str) -> None:
        self._name = name
        self._bound_directory(raw)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(raw))
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise self.refusal("is damaged") from None
        members = self._zip.infolist()
        if len(members) > MAX_MEMBERS:
            raise self.refusal(f"has more than {MAX_MEMBERS} parts")
        if sum(member.file_size for member in members) > MAX_TOTAL_BYTES:
            raise self.refusal(f"unpacks to more than {MAX_TOTAL_BYTES} bytes")
        self._members = {member.filename.lstrip("/").casefold(): member for member in members}
        if "mimetype" in self._members:
            raise UsageError(f"{name}: is an OpenDocument file; save it as XLSX or CSV UTF-8")

    def __contains__(self, part: str) -> bool:
        return part.casefold() in self._members

    def refusal(self, why: str) -> UsageError:
        """The error for this file."""
        return UsageError(f"{self._name}: the workbook {why}; save the one sheet with the list as XLSX or CSV UTF-8")

    def chunks(self, part: str, longest: int = MAX_PART_BYTES) -> Iterator[bytes]:
        """The bytes of a part, piece by piece. Raises UsageError where it is missing, damaged or too large."""
        member = self._members.get(part.casefold())
        if member is None:
            raise self.refusal(f"has no part {part[:60]!r}")
        if member.file_size > longest:
            raise self.refusal(f"has a part {part[:60]!r} of more than {longest} bytes")
        if member.file_size > RATIO_FROM_BYTES and member.file_size > MAX_RATIO * max(1, member.compress_size):
            raise self.refusal(f"has a part {part[:60]!r} that unpacks to more than {MAX_RATIO} times its size")
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
            raise self.refusal("is packed in a way that is not read")
        try:
            with self._zip.open(member) as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, struct.error):
            raise self.refusal("is damaged") from None

    def parse(
        self,
        part: str,
        *,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
        longest: int = MAX_PART_BYTES,
    ) -> Iterator[None]:
        """Reads a part as XML by local names; yields after each piece, so that what was gathered can be taken."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        local: dict[str, str] = {}

        def root(name: str, attributes: dict[str, str]) -> None:
            prefixed = ":" in name
            parser.StartElementHandler = started if prefixed else start
            if end is not None:
                parser.EndElementHandler = ended if prefixed else end
            parser.StartElementHandler(name, attributes)

        def started(name: str, attributes: dict[str, str]) -> None:
            start(local.get(name) or local.setdefault(name, name.rpartition(":")[2]), attributes)

        def ended(name: str) -> None:
            if end is not None:
                end(local[name])

        def doctype(*_: object) -> None:
            raise self.refusal("has a document type, which workbooks never have")

        parser.StartElementHandler = root
        if text is not None:
            parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = doctype
        try:
            for chunk in self.chunks(part, longest):
                parser.Parse(chunk, False)  # noqa: FBT003 - expat takes it by position only
                yield
            parser.Parse(b"", True)  # noqa: FBT003
        except expat.ExpatError:
            raise self.refusal(f"is damaged in {part[:60]!r}") from None
        yield

    def _bound_directory(self, raw: bytes) -> None:
        """The directory's size, before a reader makes an object of each entry."""
        at = raw.rfind(_END, max(0, len(raw) - _END_BYTES - _MAX_COMMENT))
        if at < 0 or len(raw) - at < _END_BYTES:
            raise self.refusal("is damaged or was not loaded whole")
        entries, size = struct.unpack_from("<HL", raw, at + 10)
        if raw[at - 20 : at - 16] == _END_64 or entries > MAX_MEMBERS or size > _MAX_DIRECTORY_BYTES:
            raise self.refusal(f"has more than {MAX_MEMBERS} parts")
