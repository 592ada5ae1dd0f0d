"""Stage 3: the two connections of RTSP through HTTP (`wire.tunnel`), opened one after the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, cast

from streamwatch.errors import LookError, Reason, Step
from streamwatch.ingest.connection import Connection
from streamwatch.ingest.dialling import Dialler
from streamwatch.wire.conversation import Conversation
from streamwatch.wire.tunnel import GET, POST, Answer, AnswerHead, Tunnel, encoded

MAX_DIALS: Final = 4  # of one of the two: without an answer, with one, and once more where the nonce was too old
MAX_KEPT: Final = 32_767  # bytes that are sent again in a new POST: what its Content-Length says there will be


class _Download(asyncio.Protocol):
    """The connection of GET until the head of its answer is whole; then nothing more is read, until it is handed on."""

    def __init__(self) -> None:
        self.head = AnswerHead()
        self.lost = False
        self.transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            answer = self.head.receive(data)
        except LookError as error:
            self._settle(error)
            return
        if answer is not None:
            if self.transport is not None:
                self.transport.pause_reading()
            self._settle(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface of asyncio
        self.lost = True
        detail = "the device closed the connection of the tunnel's GET"
        self._settle(LookError(Reason.NET_RESET, detail, step=Step.CONNECT))

    def _settle(self, error: LookError | None) -> None:
        if self._answered.done():
            return
        if error is not None:
            self._answered.set_exception(error)
            self._answered.exception()  # it was seen, also where nobody waits any more
        else:
            self._answered.set_result(None)

    async def answered(self, timeout_s: float) -> None:
        """Until the head is there. Raises LookError."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._answered
        except TimeoutError:
            detail = f"no answer to the tunnel's GET within {timeout_s:.1f} s"
            raise LookError(Reason.RTSP_TRANSPORT, detail, step=Step.CONNECT) from None


class _Answers(asyncio.Protocol):
    """What comes in the connection of POST: nothing, or a refusal."""

    def __init__(self, upload: TunnelUpload) -> None:
        self.transport: asyncio.Transport | None = None
        self._upload = upload
        self._head = AnswerHead()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._head.answer is not None:
            return  # the rest of an answer that nobody needs
        try:
            answer = self._head.receive(data)
            if answer is not None:
                self._upload.answered(self.transport, answer)
        except LookError as error:
            self._upload.failed(self.transport, error)

    def eof_received(self) -> bool:
        """It has nothing to say there, and may well shut that direction; TLS has no directions."""
        return self.transport is not None and self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface of asyncio
        detail = "the device closed the connection of the tunnel's POST"
        self._upload.failed(self.transport, LookError(Reason.NET_RESET, detail))


class TunnelUpload:
    """Our bytes into the connection of POST; a `connection.Upload`."""

    def __init__(self, tunnel: Tunnel, dialler: Dialler, url: str) -> None:
        self.refused = False
        self.connection: Connection | None = None
        self._tunnel = tunnel
        self._dialler = dialler
        self._url = url
        self._transport: asyncio.Transport | None = None
        self._sent = bytearray()  # all of it, for a new POST
        self._dials = 0

    async def open(self, until: float) -> None:
        """Dials and sends the head, and whatever went into an earlier connection. Raises LookError."""
        self._dials += 1
        answers = await self._dialler.dial(self._url, lambda: _Answers(self), until)
        self._transport = answers.transport
        if self._transport is not None:
            self._transport.write(self._tunnel.head(POST) + bytes(self._sent))

    async def reopen(self) -> None:
        """The device wanted to be told who we are: the same again, with that. Raises LookError."""
        self.refused = False
        if self._dials >= MAX_DIALS:
            raise LookError(Reason.RTSP_AUTH, "the tunnel's POST is refused again and again", step=Step.CONNECT)
        await self.open(self._dialler.within())

    def send(self, data: bytes) -> None:
        """Bytes for the device."""
        words = encoded(data)
        if len(self._sent) + len(words) <= MAX_KEPT:
            self._sent += words
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(words)

    def close(self) -> None:
        """Sends what waits, and closes."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def answered(self, transport: asyncio.Transport | None, answer: Answer) -> None:
        """The device answered POST, which few do. Raises LookError where that is no tunnel."""
        if transport is None or transport is not self._transport or self._tunnel.opened_by(POST, answer):
            return
        self.refused = True
        self.close()
        if self.connection is not None:
            self.connection.wake()

    def failed(self, transport: asyncio.Transport | None, error: LookError) -> None:
        """It went wrong; of a connection that was given up that is nothing new."""
        if transport is None or transport is not self._transport:
            return
        self.close()
        if self.connection is not None:
            self.connection.fail(error)


async def dial_tunnel(
    conversation: Conversation, dialler: Dialler, made: Callable[[], Connection], cookie: str, user_agent: str
) -> Connection:
    """A connection whose bytes cross a tunnel to where the conversation wants to go. Raises LookError, step connect."""
    until = dialler.within()
    url = conversation.url
    tunnel = Tunnel(url, conversation.auth, cookie, user_agent)
    async with contextlib.AsyncExitStack() as undo:
        download = await _downloading(tunnel, dialler, url, until, undo)
        upload = TunnelUpload(tunnel, dialler, url)
        undo.callback(upload.close)
        await upload.open(until)
        transport = download.transport
        if download.lost or transport is None:
            raise LookError(Reason.NET_RESET, "the device closed the connection of the tunnel's GET", step=Step.CONNECT)
        connection = upload.connection = made()
        connection.take_over(transport, upload, download.head.take_rest())
        undo.pop_all()
    return connection


async def _downloading(
    tunnel: Tunnel, dialler: Dialler, url: str, until: float, undo: contextlib.AsyncExitStack
) -> _Download:
    """The GET that was answered with 200."""
    for _ in range(MAX_DIALS):
        download = await dialler.dial(url, _Download, until)
        transport = download.transport
        assert transport is not None
        with contextlib.ExitStack() as refused:
            refused.callback(transport.close)
            transport.write(tunnel.head(GET))
            await download.answered(dialler.left(until))
            assert download.head.answer is not None
            if tunnel.opened_by(GET, download.head.answer):
                refused.pop_all()
                undo.callback(transport.close)
                return download
    raise LookError(Reason.RTSP_AUTH, "the tunnel's GET is refused again and again", step=Step.CONNECT)
