"""Logs: structlog over the standard library, one line an event, JSON or console, and no secret in any of them.

Whatever comes (our events, uvicorn's records, exceptions) passes `hide` right before it is written: by type (`Secret`),
by pattern and by value (redaction.py). Everything unknown becomes text there, so no renderer can call a repr later.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from streamwatch.model.inventory import Secret
from streamwatch.redaction import MASK, Redactor
from streamwatch.settings.model import Settings

MAX_DEPTH: Final = 6  # of nested values in one event
MAX_ITEMS: Final = 100  # of one list or mapping in one event
QUIET: Final = (  # their debug lines hold rows and requests, their own news is not an operator's
    "aiosqlite",
    "alembic",
    "asyncio",
    "sqlalchemy",
    "uvicorn.access",
    "uvicorn.error",
)

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # a camera's Server header may steer a terminal
_STRUCTLOG: Final = ("_record", "_from_structlog")

REDACTOR: Final = Redactor()  # one a process: a secret is hidden wherever it turns up


_OWN_WAYS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access")


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Sends all logs of this process to `stream` (stderr). Calling it again replaces what was."""
    out = sys.stderr if stream is None else stream
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    for name in _OWN_WAYS:  # uvicorn logs by handlers of its own where it was started without our configuration
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[hide, _json if as_json else _console(out)]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)  # noqa: FBT003
    sys.excepthook = _log_uncaught


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a unit: `get_logger(__name__).info("round.begun", village=code)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind_camera(code: str) -> AbstractContextManager[None]:
    """Within the block every event of this task names the camera."""
    return structlog.contextvars.bound_contextvars(camera=code)


def hide_secrets(secrets: Iterable[Secret | str]) -> None:
    """From now on these never appear in a log of this process, in whatever spelling."""
    REDACTOR.learn(item.reveal() if isinstance(item, Secret) else item for item in secrets)


def hide(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """The event with every value turned into harmless text, number, list or mapping."""
    return {
        (key if key in _STRUCTLOG else _text(key)): (
            value if key in _STRUCTLOG else _harmless(value, multiline=key in ("exception", "stack"))
        )
        for key, value in event.items()
    }


def _harmless(value: Any, *, depth: int = 0, multiline: bool = False) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return (
            value.real if isinstance(value, int) and not isinstance(value, bool) else value
        )  # an IntEnum's repr is long
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, str):
        return _text(value, multiline=multiline)
    if isinstance(value, bytes | bytearray | memoryview):
        return _text(bytes(value).decode("utf-8", "backslashreplace"))
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return {_text(str(key)): _harmless(item, depth=depth + 1) for key, item in _some(value.items())}
    if depth < MAX_DEPTH and isinstance(value, Sequence | set | frozenset):
        return [_harmless(item, depth=depth + 1) for item in _some(value)]
    try:
        return _text(str(value) if isinstance(value, BaseException) else repr(value))
    except Exception as error:  # noqa: BLE001  a broken repr must not break the log line that reports it
        return f"<{type(value).__name__} whose repr fails: {type(error).__name__}>"


def _some(items: Iterable[Any]) -> Iterable[Any]:
    return (item for item, _ in zip(items, range(MAX_ITEMS), strict=False))


def _text(text: str, *, multiline: bool = False) -> str:
    hidden = REDACTOR.redact(str(text))
    if not multiline:
        hidden = hidden.replace("\n", "\\n")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", hidden)


def _json(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    for key in _STRUCTLOG:
        event.pop(key, None)
    return json.dumps(event, ensure_ascii=False)


def _console(out: TextIO) -> Processor:
    render = structlog.dev.ConsoleRenderer(
        colors=out.isatty(), timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
    )

    def console(logger: WrappedLogger, name: str, event: EventDict) -> str:
        for key in _STRUCTLOG:
            event.pop(key, None)
        return str(render(logger, name, event))

    return console


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    get_logger("streamwatch").critical("uncaught", exc_info=(kind, error, trace))
