"""The other end of the service's control socket: the web process follows it, a command line calls it once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path
from typing import Any, Final

import msgspec

from streamwatch.errors import StreamwatchError
from streamwatch.frames import FrameError, FrameReader, frame
from streamwatch.live.view import View
from streamwatch.model.live import Answer, Changes, Command, Pulse, Resend, Snapshot

READ_BYTES: Final = 256 * 1024
RECONNECT_S: Final = 0.5

_decoder = msgspec.msgpack.Decoder(Snapshot | Changes | Pulse | Answer)
_encoder = msgspec.msgpack.Encoder()


class CallError(StreamwatchError):
    """The service refused a command, or did not answer. `code` is stable, `str()` is for a person."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class LiveClient:
    """Keeps a View true over the control socket and carries commands; comes back by itself when the service does."""

    def __init__(self, path: Path, view: View) -> None:
        self._path = path
        self._view = view
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._writer: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Follows the service until cancelled."""
        while True:
            with contextlib.suppress(OSError, FrameError, msgspec.MsgspecError):
                await self._follow()
            self._view.lost()
            self._fail_all("unavailable", "the service is not running or has just been restarted")
            await asyncio.sleep(RECONNECT_S)

    async def call(self, op: str, args: dict[str, Any], timeout_s: float = 30) -> Any:
        """The answer to one command. Raises CallError."""
        writer = self._writer
        if writer is None:
            raise CallError("unavailable", "the service is not running or has just been restarted")
        number = next(self._ids)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            writer.write(frame(_encoder.encode(Command(id=number, op=op, args=args))))
            async with asyncio.timeout(timeout_s):  # not wait_for: 3.11's can swallow a cancellation
                answer = await future
        except TimeoutError:
            raise CallError("timeout", f"the service did not answer {op!r} within {timeout_s:g} s") from None
        finally:
            self._waiting.pop(number, None)
        return _value(answer)

    async def _follow(self) -> None:
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        self._writer = writer
        frames = FrameReader()
        try:
            writer.write(frame(_encoder.encode(Resend())))
            while data := await reader.read(READ_BYTES):
                for body in frames.feed(data):
                    self._take(body, writer)
        finally:
            self._writer = None
            writer.close()

    def _take(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        message = _decoder.decode(body)
        if isinstance(message, Answer):
            future = self._waiting.pop(message.id, None)
            if future is not None and not future.done():
                future.set_result(message)
        elif not self._view.apply(message):
            writer.write(frame(_encoder.encode(Resend())))

    def _fail_all(self, code: str, detail: str) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(CallError(code, detail))
        self._waiting.clear()


def _value(answer: Answer) -> Any:
    if answer.error is not None:
        raise CallError(answer.error.get("code", "failed"), answer.error.get("detail", "the service refused"))
    return answer.value


async def call(path: Path, op: str, args: dict[str, Any], timeout_s: float = 60) -> Any:
    """One command from a process that does not follow the live view. Raises CallError."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path))
    except OSError as error:
        raise CallError("unavailable", f"nobody answers at {path}: {error.strerror or error}") from None
    frames = FrameReader()
    try:
        writer.write(frame(_encoder.encode(Command(id=0, op=op, args=args))))
        async with asyncio.timeout(timeout_s):
            while data := await reader.read(READ_BYTES):
                for body in frames.feed(data):
                    message = _decoder.decode(body)
                    if isinstance(message, Answer) and message.id == 0:
                        return _value(message)
    except TimeoutError:
        raise CallError("timeout", f"the service did not answer {op!r} within {timeout_s:g} s") from None
    except OSError as error:
        raise CallError("unavailable", f"the service went away during {op!r}: {error}") from None
    finally:
        writer.close()
    raise CallError("unavailable", f"the service went away during {op!r}")
