"""Stage 1's values: a list that was read, what was refused in it, and what an import did.

A ParsedFile crosses the control socket, so that a command hands its work to the running service; it holds passwords
in clear for that moment and shows none in its repr.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streamwatch.errors import UsageError

MAX_ROWS: Final = 500_000  # the city has 126,000 cameras
MAX_PARSED_BYTES: Final = 60 * 2**20  # 126,000 cameras are about 25 MiB; below the 64 MiB of a frame
MAX_REJECTIONS: Final = 10_000  # each about 300 bytes of JSON = 3 MB; a list with more is another kind of file
MAX_REMARKS: Final = 1_000  # a list with more repeats one habit; all are counted
MAX_CHANGES: Final = 1_000  # changes named one by one; all are counted
MASKED: Final = "***"

Value = str | int | float | bool | None


class Rejection(msgspec.Struct, frozen=True, array_like=True):
    """Why a line was not taken; or, as a remark, what was taken but should be put right. `line` counts from 1 with the
    headings; `value` is masked where it may be secret."""

    line: int
    column: str | None
    value: str
    code: str
    remedy: str


class ParsedRow(msgspec.Struct, frozen=True, array_like=True):
    """One line that can be taken: values in the order of the file's columns."""

    line: int
    values: tuple[Value, ...]

    def __repr__(self) -> str:
        return f"ParsedRow(line={self.line})"


class ParsedFile(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A list as it was read. A column that is not in `columns` says nothing; an empty cell (None) says "none", but not
    in `quiet` columns, which the file does not have: some of its addresses brought their values."""

    kind: str
    columns: tuple[str, ...]
    rows: tuple[ParsedRow, ...]
    rejected: tuple[Rejection, ...]
    rejected_total: int = 0  # lines; each may have several rejections, of which not all may be kept
    quiet: tuple[str, ...] = ()
    remarks: tuple[Rejection, ...] = ()  # the first MAX_REMARKS: taken, but to be put right
    remarks_total: int = 0

    def __repr__(self) -> str:
        return f"ParsedFile({self.kind}, {len(self.rows)} rows, {self.rejected_total} rejected)"

    def to_bytes(self) -> bytes:
        """The bytes for the control socket. Raises UsageError where they are too many."""
        return _bounded(_encoder.encode(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> ParsedFile:
        """A list from its bytes. Raises UsageError where they are none."""
        try:
            file = _decoder.decode(_bounded(data))
        except msgspec.MsgspecError:  # its text may quote the list
            raise UsageError("these bytes are no list that was read by this version; read the file again") from None
        if any(len(row.values) != len(file.columns) for row in file.rows):
            raise UsageError("a row of the list does not have its columns; read the file again")
        return file


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One object that differs from the store, and in what."""

    code: str
    fields: tuple[str, ...]


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, or would do where `dry_run`. `stopped`: lines were bad and nothing was written."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: tuple[Rejection, ...] = ()
    rejected_total: int = 0
    changes: tuple[Change, ...] = ()  # the first MAX_CHANGES
    dry_run: bool = False
    stopped: bool = False
    remarks: tuple[Rejection, ...] = ()  # the first MAX_REMARKS
    remarks_total: int = 0

    def to_json(self) -> dict[str, Any]:
        """The object of `import --json`."""
        return {
            "created": self.created,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "rejected": [msgspec.structs.asdict(bad) for bad in self.rejected],
            "rejected_total": self.rejected_total,
            "changes": [{"code": change.code, "fields": list(change.fields)} for change in self.changes],
            "dry_run": self.dry_run,
            "stopped": self.stopped,
            "remarks": [msgspec.structs.asdict(remark) for remark in self.remarks],
            "remarks_total": self.remarks_total,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> ImportResult:
        """The result from `to_json`, as the service answers it."""
        return cls(
            created=found["created"],
            changed=found["changed"],
            unchanged=found["unchanged"],
            rejected=tuple(Rejection(**bad) for bad in found["rejected"]),
            rejected_total=found["rejected_total"],
            changes=tuple(Change(change["code"], tuple(change["fields"])) for change in found["changes"]),
            dry_run=found["dry_run"],
            stopped=found["stopped"],
            remarks=tuple(Rejection(**remark) for remark in found["remarks"]),
            remarks_total=found["remarks_total"],
        )


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_PARSED_BYTES:
        raise UsageError(f"the list is {len(data)} bytes when read, more than {MAX_PARSED_BYTES}; split it")
    return data


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ParsedFile)
