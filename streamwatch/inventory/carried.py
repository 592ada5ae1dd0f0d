"""Stage 1: a camera behind a recorder, whose list gives no address -> the recorder's addresses of its channel. Pure."""

from __future__ import annotations

from typing import Any

from streamwatch.inventory.addresses import ALL_SCHEMES, split_address
from streamwatch.inventory.parsed import Rejection
from streamwatch.inventory.vendors import VENDOR_OF_RECORDER, VendorError, stream_addresses
from streamwatch.store.inventory_changes import Named

_COLUMNS = {"vendor": "vendor", "channel": "recorder_channel", "host": "recorder", "port": "recorder"}


def is_carried(values: dict[str, Any]) -> bool:
    """Whether a line gives a recorder and a channel, and no address of its own."""
    return values.get("url") is None and values.get("recorder") is not None and bool(values.get("recorder_channel"))


def give_address(line: int, values: dict[str, Any], recorder: Named | None) -> Rejection | None:
    """Puts the addresses into a line that `is_carried`, or says why there are none.

    The recorder's kind tells the maker, else the line's vendor does. RTSP is at its usual port, unless the recorder's
    own address is an RTSP one.
    """
    code, channel = values["recorder"], values["recorder_channel"]
    if recorder is None or recorder.url is None:
        remedy = "no recorder has this code; import recorders first, or give url"
        return Rejection(line, "recorder", code, "unknown_recorder", remedy)
    maker = VENDOR_OF_RECORDER.get(recorder.kind or "") or values.get("vendor")
    if maker is None:
        remedy = f"where a recorder of kind {recorder.kind} has its streams is not known; give url, or vendor"
        return Rejection(line, "recorder", code, "no_template", remedy)
    at = split_address(recorder.url, ALL_SCHEMES)
    try:
        found = stream_addresses(maker, at.host, at.port if at.url.startswith("rtsp:") else None, channel)
    except VendorError as error:
        column = _COLUMNS.get(error.column, "recorder")
        return Rejection(line, column, str(values.get(column) or ""), error.code, error.remedy)
    values["url"] = found.main
    if values.get("sub_url") is None:
        values["sub_url"] = found.sub
    return None
