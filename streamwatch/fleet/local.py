"""The boundary on one machine: a queue in the same process, or a socket pair to a process beside it.

The same encoded bytes cross both, so that what works in one process works across many.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final, Protocol

from streamwatch.frames import FrameError, FrameReader, frame
from streamwatch.model.report import MAX_FRAME_BYTES

READ_BYTES: Final = 256 * 1024
QUEUE_FRAMES: Final = 1024  # rounds under way to one looker; the planner waits past that, it never drops


class Channel(Protocol):
    """One end of the boundary."""

    async def send(self, *data: bytes) -> None:
        """Hands over encoded values; waits while the other end is behind. Raises ConnectionError once it is gone."""
        ...

    async def receive(self) -> bytes | None:
        """The next encoded value, or None when the other end is gone."""
        ...

    async def aclose(self) -> None:
        """Ends this end; the other sees None."""
        ...


class QueueChannel:
    """Both ends in one process."""

    def __init__(self, outgoing: asyncio.Queue[bytes | None], incoming: asyncio.Queue[bytes | None]) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._closed = False

    async def send(self, *data: bytes) -> None:
        """Hands over encoded values."""
        if self._closed:
            raise ConnectionError("this channel was closed")
        for value in data:
            await self._outgoing.put(value)

    async def receive(self) -> bytes | None:
        """The next encoded value, or None when the other end is gone."""
        data = await self._incoming.get()
        if data is None:
            self._closed = True
        return data

    async def aclose(self) -> None:
        """Ends both directions."""
        self._closed = True
        for queue in (self._outgoing, self._incoming):
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)


def queue_pair() -> tuple[QueueChannel, QueueChannel]:
    """The service's end and the looker's end."""
    there: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_FRAMES)
    back: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_FRAMES)
    return QueueChannel(there, back), QueueChannel(back, there)


class SocketChannel:
    """One end over a stream socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader(MAX_FRAME_BYTES)
        self._ready: list[bytes] = []

    @classmethod
    async def over(cls, end: socket.socket) -> SocketChannel:
        """A channel over one end of a connected socket pair."""
        end.setblocking(False)  # noqa: FBT003 - the socket's own interface
        reader, writer = await asyncio.open_unix_connection(sock=end)
        return cls(reader, writer)

    async def send(self, *data: bytes) -> None:
        """Hands over encoded values in one write; waits while the other end is behind."""
        try:
            self._writer.write(b"".join([frame(value) for value in data]))
        except RuntimeError as error:  # uvloop's word for a transport that an earlier write found broken
            raise ConnectionResetError("the other end is gone") from error
        await self._writer.drain()

    async def receive(self) -> bytes | None:
        """The next encoded value, or None when the other end is gone or speaks nonsense."""
        while not self._ready:
            try:
                data = await self._reader.read(READ_BYTES)
                if not data:
                    return None
                self._ready = [*self._frames.feed(data)][::-1]
            except (OSError, FrameError):
                return None
        return self._ready.pop()

    async def aclose(self) -> None:
        """Closes the socket."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
