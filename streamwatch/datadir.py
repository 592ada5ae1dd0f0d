"""The folder of everything that is kept: its files, the lock of the one that writes, and where its socket can be."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from streamwatch.clock import rfc3339
from streamwatch.errors import ConfigError, HeldError

MAX_SOCKET_PATH: Final = 107  # bytes; struct sockaddr_un of Linux has 108 with the closing zero
SESSION_KEY_BYTES: Final = 32
MAX_NOTE_BYTES: Final = 4_096  # the holder's note in the lock file


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a data directory. `since` is RFC 3339."""

    pid: int
    command: str
    since: str


class Lock:
    """The right to write. Given up by `release`, by leaving the `with` block, or when the process ends, however."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        _held.add(self)

    def release(self) -> None:
        """Gives the lock up; a second call does nothing."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            self.forget()

    def forget(self) -> None:
        """Closes this process's handle only: a forked child must not keep the lock of a parent that dies."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.forget()


os.register_at_fork(after_in_child=_forget_in_child)  # flock belongs to the open file, which fork shares


class DataDir:
    """One data directory, made (0700) where it is missing. Raises ConfigError where that cannot be."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.path}: the data directory cannot be made: {error.strerror}; "
                "let this user write there, or set STREAMWATCH_DATA_DIR to another place"
            ) from None
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise ConfigError(
                f"{self.path}: this user may not write in the data directory; "
                "change its owner, or set STREAMWATCH_DATA_DIR to another place"
            )

    @property
    def db(self) -> Path:
        """The SQLite database."""
        return self.path / "streamwatch.db"

    @property
    def endpoint(self) -> Path:
        """Where the running service answers: {"url", "pid", "version"}."""
        return self.path / "endpoint.json"

    @property
    def admin_key(self) -> Path:
        """The first API key."""
        return self.path / "admin.key"

    @property
    def secret_key(self) -> Path:
        """What seals camera passwords."""
        return self.path / "secret.key"

    def session_key(self) -> bytes:
        """What signs login cookies: 32 random bytes of this directory, made at first use."""
        path = self.path / "session.key"
        if not path.exists():
            self.write_private(path, os.urandom(SESSION_KEY_BYTES))
        return path.read_bytes()

    @property
    def lock_file(self) -> Path:
        """Held by the one that writes."""
        return self.path / "lock"

    def live_sock(self) -> Path:
        """The control socket. Where the path is too long for a socket, a short 0700 folder takes its place, and
        `live.path` says which. Raises ConfigError where there is no such place."""
        here = self.path / "live.sock"
        if _fits(here):
            return here
        note = self.path / "live.path"
        try:
            noted = Path(note.read_text())
        except OSError:
            noted = None
        if noted is not None and _is_ours(noted.parent) and _fits(noted):
            return noted
        for folder in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp", "/run"):  # noqa: S108
            if not folder or not _fits(Path(folder) / "streamwatch-00000000/live.sock"):
                continue
            try:
                chosen = Path(tempfile.mkdtemp(prefix="streamwatch-", dir=folder)) / "live.sock"  # 0700
            except OSError:
                continue
            self.write_private(note, str(chosen).encode())
            return chosen
        raise ConfigError(
            f"{here}: {len(os.fsencode(here))} bytes are too long for a socket (at most {MAX_SOCKET_PATH}), and no "
            "short folder can be made in /tmp or /run; set STREAMWATCH_DATA_DIR to a shorter path"
        )

    def write_private(self, path: Path, content: bytes) -> None:
        """Writes a file of this directory for its owner only (0600), whole or not at all."""
        handle, draft = tempfile.mkstemp(prefix=path.name + ".", dir=self.path)  # 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    def lock(self, command: str, now_us: int) -> Lock:
        """The right to write, at once or never. `command` and the time are noted for who comes later.

        Raises HeldError naming the holder.
        """
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise HeldError(self._held_by()) from None
        except OSError as error:
            os.close(descriptor)
            raise ConfigError(f"{self.lock_file}: {error.strerror}; put the data directory on a local disk") from None
        note = {"pid": os.getpid(), "command": command, "since": rfc3339(now_us)}
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(note).encode())
        return Lock(descriptor)

    def holder(self) -> Holder | None:
        """Who holds the directory now, or None. pid 0 where the holder has not signed yet."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _signature(os.read(descriptor, MAX_NOTE_BYTES))
        finally:
            os.close(descriptor)
        return None

    def _held_by(self) -> str:
        holder = _signature(_head(self.lock_file))
        if holder.pid == 0:
            return f"{self.path}: another process holds the data directory; wait for it, or stop it"
        return (
            f"{self.path}: held by process {holder.pid} ({holder.command}) since {holder.since}; "
            "wait for it, stop it, or use another STREAMWATCH_DATA_DIR"
        )


def command_line() -> str:
    """How this process was called, short and without values that may be secret: program and command only."""
    words = [Path(sys.argv[0]).name, *[word for word in sys.argv[1:2] if not word.startswith("-")]]
    return " ".join(words)[:80]


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_NOTE_BYTES)
    except OSError:
        return b""


def _signature(note: bytes) -> Holder:
    try:
        found = json.loads(note)
        return Holder(int(found["pid"]), str(found["command"])[:80], str(found["since"])[:40])
    except (ValueError, KeyError, TypeError):
        return Holder(0, "", "")


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= MAX_SOCKET_PATH


def _is_ours(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and found.st_mode & 0o170777 == 0o040700
