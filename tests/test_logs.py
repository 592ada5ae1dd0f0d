"""What reaches the log, in which form, and that no secret does."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import structlog
import uvicorn.config

from streamwatch import logs
from streamwatch.errors import Exit
from streamwatch.model.inventory import Secret
from streamwatch.settings import load

CANARY = "K7-c4n4ry/ü"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """A place for logs; the process's own logging is put back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook
    yield io.StringIO()
    root.handlers[:], sys.excepthook = before[0], before[2]
    root.setLevel(before[1])
    logging.captureWarnings(False)
    structlog.reset_defaults()
    logs.REDACTOR.forget()


def configure(out: io.StringIO, **environ: str) -> None:
    """Logs as the product sets them up."""
    logs.configure(load(None, {f"STREAMWATCH_{key}": value for key, value in environ.items()}), stream=out)


def lines(out: io.StringIO) -> list[dict[str, object]]:
    """What was written, as JSON lines."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_one_json_line_an_event(out: io.StringIO) -> None:
    """Time in UTC, level, logger, event and its fields; the camera is bound for a block."""
    configure(out)
    with logs.bind_camera("C-1"):
        logs.get_logger("streamwatch.looker").info("look.done", ms=3.5, reason=None, ok=True, exit=Exit.DOWN)
    logs.get_logger("x").debug("not shown")
    logs.get_logger("x").warning("二 %s", 2)

    first, second = lines(out)
    assert first.pop("at", "").endswith("Z")
    assert first == {
        "event": "look.done",
        "level": "info",
        "logger": "streamwatch.looker",
        "camera": "C-1",
        "ms": 3.5,
        "reason": None,
        "ok": True,
        "exit": 2,
    }
    assert second["event"] == "二 2"
    assert "camera" not in second


def test_records_of_other_libraries_look_the_same(out: io.StringIO) -> None:
    """uvicorn and asyncio log through the standard library: same line, same redaction; also after it set up its own."""
    logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
    configure(out)
    logs.hide_secrets([Secret(CANARY)])
    logging.getLogger("uvicorn.error").error("cannot open %s", f"x {CANARY} y")

    (line,) = lines(out)
    assert line["event"] == "cannot open x *** y"
    assert line["logger"] == "uvicorn.error"


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_comes_through_by_any_way(out: io.StringIO, form: str) -> None:
    """By type, by value in nested values, keys, bytes, objects, exceptions with their causes, and by pattern."""
    configure(out, LOG_FORMAT=form)
    logs.hide_secrets([Secret(CANARY)])

    class Odd:
        def __repr__(self) -> str:
            return f"<Odd {CANARY}>"

    log = logs.get_logger("x")
    log.info(
        " ".join(["raw", CANARY]), secret=Secret("unregistered"), nested={"a": [CANARY, {CANARY: 1}], "b": (Odd(),)}
    )
    log.info("bytes", raw=CANARY.encode(), url=f"rtsp://a:{quote(CANARY)}@h/", unknown="rtsp://a:stranger@h/")
    log.info("json", body=json.dumps({"p": CANARY}))
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as error:
            raise RuntimeError(f"while opening rtsp://u:{CANARY}@h") from error
    except RuntimeError as error:
        log.exception("failed", error=error)

    written = out.getvalue()
    for part in (CANARY, "c4n4ry", "unregistered", "stranger"):
        assert part not in written
    assert "Traceback" in written
    assert "RuntimeError" in written


def test_a_camera_cannot_steer_the_terminal_or_forge_a_line(out: io.StringIO) -> None:
    """Control characters of a device's answer are shown as text."""
    configure(out, LOG_FORMAT="console")
    logging.getLogger("x").error("\x1b[31mred\x9b")
    logs.get_logger("x").info("server", server="\x1b[2J evil\n2026-01-01 [info] all well\r\u2028")

    assert "\x1b" not in out.getvalue()
    assert "\x9b" not in out.getvalue()
    assert out.getvalue().count("\n") == 2


def test_a_broken_repr_does_not_break_the_line(out: io.StringIO) -> None:
    """A value that cannot be shown is named by its type."""
    configure(out)

    class Broken:
        def __repr__(self) -> str:
            raise OSError("no")

    logs.get_logger("x").info("event", value=Broken())

    assert lines(out)[0]["value"] == "<Broken whose repr fails: OSError>"


def test_the_level_is_the_least_that_is_logged(out: io.StringIO) -> None:
    """log_level=error leaves out warnings; the database driver's rows never appear, whatever the level."""
    configure(out, LOG_LEVEL="error")
    logs.get_logger("x").warning("no")
    configure(out, LOG_LEVEL="debug")
    logging.getLogger("aiosqlite").debug("executing INSERT … [values]")
    logs.get_logger("x").debug("yes")

    assert [line["event"] for line in lines(out)] == ["yes"]


def test_an_uncaught_error_is_logged_without_secrets(out: io.StringIO) -> None:
    """The interpreter's own traceback would pass by the redaction."""
    configure(out)
    logs.hide_secrets([CANARY])
    error = RuntimeError(f"boom {CANARY}")
    sys.excepthook(RuntimeError, error, None)

    assert lines(out)[0]["event"] == "uncaught"
    assert "boom ***" in out.getvalue()
