"""The other end of RTSP through HTTP, before any server of plain RTSP; it misbehaves as told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.ingest.tls_camera import reset

OK = b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n"
DIGEST = b'HTTP/1.0 401 No\r\nWWW-Authenticate: Digest realm="cam", nonce="n"\r\nContent-Length: 4\r\n\r\nNo\r\n'


@dataclass
class Front:
    """What it does, and what it saw."""

    inside: int  # port of the plain RTSP server
    get: bytes = OK
    post: bytes = b""  # nothing, as is the custom
    asks_get: bool = False  # for Digest
    asks_post: bool = False
    sliced: bool = False  # one byte a time to the client
    shuts_post: bool = False  # its own direction of that connection
    drops_post: bool = False  # after the first request
    drops_get: bool = False  # in the first answer
    only_get: bool = False  # it takes no second connection
    port: int = 0
    heads: list[str] = field(default_factory=list)
    downloads: dict[str, asyncio.StreamWriter] = field(default_factory=dict)
    listener: asyncio.Server | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            method = head.partition(" ")[0]
            cookie = head.lower().partition("x-sessioncookie: ")[2].partition("\r\n")[0]
            wanted = self.asks_get if method == "GET" else self.asks_post
            if wanted and "Authorization: Digest" not in head:
                writer.write(DIGEST)
                await writer.drain()
            elif method == "GET":
                if self.only_get and self.listener is not None:
                    self.listener.close()
                await self._write(writer, self.get)
                self.downloads[cookie] = writer
                await reader.read()
            else:
                await self._post(cookie, reader, writer)
        writer.close()

    async def _post(self, cookie: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.post)
        if self.shuts_post:
            writer.write_eof()
        download = self.downloads[cookie]
        there, back = await asyncio.open_connection("127.0.0.1", self.inside)
        answers = asyncio.create_task(self._answers(there, download))
        try:
            kept = b""
            while words := await reader.read(65_536):
                kept += words
                whole = len(kept) - len(kept) % 4
                back.write(base64.b64decode(kept[:whole], validate=True))
                kept = kept[whole:]
                if self.drops_post:
                    reset(writer)
                    await asyncio.sleep(0.2)
                    return
        finally:
            answers.cancel()
            back.close()
            download.close()

    async def _answers(self, there: asyncio.StreamReader, download: asyncio.StreamWriter) -> None:
        while data := await there.read(65_536):
            await self._write(download, data[: len(data) // 2] if self.drops_get else data)
            if self.drops_get:
                await asyncio.sleep(0.05)
                reset(download)
                return
        download.close()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for at in range(0, len(data), 1 if self.sliced else len(data) or 1):
            writer.write(data[at : at + 1] if self.sliced else data)
            if self.sliced:
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def fronted(front: Front, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Its address; by TLS with a context."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # of its own handshakes that fail

    async def peer_serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await front.serve(reader, writer)

    server = await asyncio.start_server(peer_serve, "127.0.0.1", 0, ssl=context)
    front.listener = server
    front.port = server.sockets[0].getsockname()[1]
    try:
        yield f"rtsp{'s' if context else ''}://127.0.0.1:{front.port}/live"
    finally:
        server.close()
