"""Stage 1: what several columns of a line say together: a camera's village and addresses, a login in them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from streamwatch.inventory import archive
from streamwatch.inventory.addresses import (
    CAMERA_SCHEMES,
    RECORDER_SCHEMES,
    Address,
    AddressError,
    split_address,
    split_host,
)
from streamwatch.inventory.cells import CellError, secret
from streamwatch.inventory.columns import CAMERAS, KINDS, RECORDERS
from streamwatch.inventory.parsed import Value
from streamwatch.inventory.vendors import VendorError, stream_addresses
from streamwatch.inventory.widths import bad_address

Row = dict[str, Value]

_LOGIN: Final = ("username", "password")


class RowError(ValueError):
    """A line that is not taken: the column at fault, the value to show, code and remedy."""

    def __init__(self, column: str, value: str, code: str, remedy: str) -> None:
        super().__init__(remedy)
        self.column = column
        self.value = value
        self.code = code
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that is rightly left out."""

    column: str
    value: str
    code: str
    remedy: str


class WholeRow(Protocol):
    """What is particular to the lines of one kind."""

    def brings(self, given: Collection[str]) -> tuple[str, ...]:
        """Columns beside those given that a line may fill."""

    def complete(self, row: Row) -> Skipped | None:
        """Fills the row in place. Raises RowError; a value where the line is left out."""


class _Cameras:
    def brings(self, given: Collection[str]) -> tuple[str, ...]:
        """Its village from two codes, its addresses from the maker, its login from an address."""
        there = ("village", "url", *(("sub_url",) if "vendor" in given else ()), *_LOGIN)
        return tuple(name for name in there if name not in given)

    def complete(self, row: Row) -> Skipped | None:
        """Its village, its addresses, its login; whether it is to be watched."""
        if row.get("state") == archive.REMOVED:
            return Skipped("state", "拆除", "removed", "not taken: it is marked as removed 拆除")
        if row.get("networked") == archive.NOT_NETWORKED:
            return Skipped("networked", "未联网", "not_networked", "not taken: it is marked as not networked 未联网")
        if row.get("village") is None:
            row["village"] = _village(row)
        _camera_addresses(row)
        return None


class _Recorders:
    def brings(self, given: Collection[str]) -> tuple[str, ...]:
        """Its login, from its address."""
        return tuple(name for name in _LOGIN if name not in given)

    def complete(self, row: Row) -> Skipped | None:
        """Its address, by its kind, and its login."""
        url = str(row["url"])
        address = _split(row, "url", RECORDER_SCHEMES[str(row["kind"])])
        row["url"] = address.url
        _login(row, "url", url, address)
        return None


WHOLE_ROW: Final[Mapping[str, WholeRow]] = {CAMERAS: _Cameras(), RECORDERS: _Recorders()}


def _text(row: Row, column: str) -> str | None:
    value = row.get(column)
    return value if isinstance(value, str) else None


def _village(row: Row) -> str:
    found = archive.village_code(str(row["code"]), _text(row, "civil_code"), _text(row, "grassroots_code"))
    if found is None:
        raise RowError("village", "", "missing", f"give {KINDS[CAMERAS].instead['village'][1]}")
    return found


def _camera_addresses(row: Row) -> None:
    """Both addresses without credentials. They stay None where the recorder's address is to be taken."""
    url = _text(row, "url")
    bare = None if url is None or "://" in url else _bare_host("url", url)
    if bare is not None or (url is None and row.get("host") is not None and row.get("vendor") is not None):
        _by_vendor(row, bare)
        return
    if url is None:
        if row.get("recorder") is None or row.get("recorder_channel") is None or row.get("sub_url") is not None:
            raise RowError("url", "", "missing", f"give {KINDS[CAMERAS].instead['url'][1]}")
        row["url"] = None
        return
    main = _split(row, "url", CAMERA_SCHEMES)
    row["url"] = main.url
    _login(row, "url", url, main)
    _sub_address(row, main.host)


def _by_vendor(row: Row, bare: tuple[str, int | None] | None) -> None:
    """Both addresses from the maker, the host and the channel."""
    if bare is None:
        bare = _bare_host("host", str(row["host"]))
        if bare is None:
            raise RowError("host", str(row["host"]), "bad_url", "give an IP address or a host name with a dot")
    vendor = _text(row, "vendor")
    if vendor is None:
        remedy = "give the whole address such as rtsp://192.0.2.7:554/live, or the maker in vendor beside it"
        raise RowError("url", str(row["url"]), "bad_url", remedy)
    port = row.get("port")
    host, own_port = bare
    try:
        found = stream_addresses(
            vendor, host, own_port or (port if isinstance(port, int) else None), _text(row, "channel")
        )
    except VendorError as error:
        raise RowError(error.column, str(row.get(error.column) or ""), error.code, error.remedy) from None
    row["url"] = found.main
    if row.get("sub_url") is None:
        row["sub_url"] = found.sub
    else:
        _sub_address(row, host)


def _sub_address(row: Row, host: str) -> None:
    if row.get("sub_url") is None:
        return
    text = str(row["sub_url"])
    sub = _split(row, "sub_url", CAMERA_SCHEMES)
    row["sub_url"] = sub.url
    _login(row, "sub_url", text, sub)
    if sub.host != host:
        remedy = "give both streams at one host: the password is sent to the host of url only"
        raise RowError("sub_url", sub.url, "other_host", remedy)


def _bare_host(column: str, text: str) -> tuple[str, int | None] | None:
    try:
        return split_host(text)
    except AddressError as error:
        raise RowError(column, text, "bad_url", str(error)) from None


def _split(row: Row, column: str, schemes: tuple[str, ...]) -> Address:
    text = str(row[column])
    try:
        return split_address(text, schemes)
    except AddressError as error:
        raise RowError(column, text, *bad_address(text, error, schemes)) from None


def _login(row: Row, column: str, text: str, address: Address) -> None:
    """Moves the credentials of an address to their columns."""
    for name, value in (("username", address.username), ("password", address.password)):
        if value is None:
            continue
        try:
            secret(value)  # decoded: it may hold line breaks that would end a header
        except CellError as error:
            raise RowError(column, text, error.code, error.remedy) from None
        there = row.get(name)
        if there is not None and there != value:
            remedy = f"the address holds another {name} than its column; keep the right one"
            raise RowError(column, text, "credentials_conflict", remedy)
        row[name] = value
