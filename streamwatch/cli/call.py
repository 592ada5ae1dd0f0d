"""One command line, from its words to the exit status: what went wrong is a sentence on stderr that says what to do."""

from __future__ import annotations

import difflib
import errno
import itertools
import os
import sqlite3
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cyclopts import CycloptsError

import streamwatch
from streamwatch.cli.app import STDIN, app
from streamwatch.errors import ConfigError, Exit, HeldError, StreamwatchError, UsageError

INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it

_STATUS: Final = ((UsageError, Exit.USAGE), (ConfigError, Exit.CONFIG), (HeldError, Exit.HELD))
_DISK_FULL: Final = "make room on that disk"
_SYSTEM: Final = {  # what to do about an error of the operating system
    errno.ENOENT: "check the name",
    errno.ENOTDIR: "check the name: a part of it is a file",
    errno.EISDIR: "name a file in that folder",
    errno.EEXIST: "choose another name",
    errno.EACCES: "let this user read and write there, or choose another place",
    errno.EPERM: "let this user read and write there, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENOSPC: _DISK_FULL,
    errno.EDQUOT: _DISK_FULL,
    errno.EFBIG: _DISK_FULL,
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "allow more open files (fs.file-max)",
    errno.EADDRINUSE: "choose another port, or stop what listens there",
    errno.EADDRNOTAVAIL: "choose an address of this machine",
}
_DATABASE: Final = {  # what to do about an error of SQLite
    sqlite3.SQLITE_FULL: _DISK_FULL,
    sqlite3.SQLITE_IOERR: _DISK_FULL,
    sqlite3.SQLITE_CANTOPEN: "let this user read and write the data directory",
    sqlite3.SQLITE_READONLY: "let this user read and write the data directory",
    sqlite3.SQLITE_PERM: "let this user read and write the data directory",
    sqlite3.SQLITE_BUSY: "another process holds it; try again",
    sqlite3.SQLITE_LOCKED: "another process holds it; try again",
    sqlite3.SQLITE_CORRUPT: "put a backup in its place with: streamwatch db restore FILE",
    sqlite3.SQLITE_NOTADB: "put a backup in its place with: streamwatch db restore FILE",
}


def call(arguments: Sequence[str]) -> int:
    """Runs one command line; the status that the process exits with."""
    known = [name for name in app if not name.startswith("-")]
    if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
        near = difflib.get_close_matches(arguments[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
        return _complain(f"no command {arguments[0]!r}: {hint}", Exit.USAGE)
    words = [STDIN if word == "-" else word for word in arguments]  # the parser takes a lone hyphen for an option
    try:
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _complain(f"{error} See: {_help(words)}", Exit.USAGE)
    except StreamwatchError as error:
        return _complain(
            str(error), next((status for kind, status in _STATUS if isinstance(error, kind)), Exit.UNKNOWN)
        )
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: say no more
        return Exit.OK
    except OSError as error:
        return _system(error, arguments)
    except Exception as error:  # noqa: BLE001 - status 1 would say that a camera has a fault
        return _database(error, arguments) or _ours(error)
    return int(status or 0)


def _help(words: Sequence[str]) -> str:
    """Where a person reads what the call takes."""
    path: list[str] = []
    inner = app
    for word in words:
        if word.startswith("-") or word not in inner:
            break
        path.append(word)
        inner = inner[word]
    return " ".join(["streamwatch", *path, "--help"])


def _complain(words: str, status: Exit) -> Exit:
    print(f"streamwatch: {words}", file=sys.stderr)
    return status


def _system(error: OSError, arguments: Sequence[str]) -> Exit:
    """An error of the operating system: wrong usage where the call named the file, else our side."""
    names = [os.fspath(name) for name in (error.filename, error.filename2) if isinstance(name, str | os.PathLike)]
    place = f"{' -> '.join(names)}: " if names else ""
    remedy = _SYSTEM.get(error.errno or 0, "see what the system's log says of it")
    named = any(
        name == argument or name.startswith(argument.rstrip("/") + "/") for name in names for argument in arguments
    )
    return _complain(f"{place}{error.strerror or error}; {remedy}", Exit.USAGE if named else Exit.UNKNOWN)


def _database(error: Exception, arguments: Sequence[str]) -> Exit | None:
    """An error of the database; None where it is none."""
    if "sqlalchemy" not in sys.modules:
        return None
    from streamwatch.store.handles import StoreError

    if not isinstance(error, StoreError):
        return None
    origin = getattr(error, "orig", None) or error
    code = int(getattr(origin, "sqlite_errorcode", -1)) & 0xFF
    remedy = _DATABASE.get(code, "see what is wrong with it: streamwatch db check")
    return _complain(f"{_place(arguments)}: {origin}; {remedy}", Exit.UNKNOWN)


def _place(arguments: Sequence[str]) -> str:
    """The database that the call meant."""
    from streamwatch.settings import load
    from streamwatch.store.engine import database_path, default_url

    names = dict(itertools.pairwise(arguments))
    try:
        settings = load(Path(names["--config"]) if "--config" in names else None, os.environ)
        return str(database_path(settings.database_url or default_url(settings.data_dir)))
    except StreamwatchError:
        return "the database"


def _ours(error: Exception) -> Exit:
    traceback.print_exception(error)
    return _complain(
        f"this is a mistake of streamwatch {streamwatch.__version__}, not of yours; please report the lines above",
        Exit.UNKNOWN,
    )
