"""The service's control socket (0600): snapshots and numbered changes out, commands in, answered after the commit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from streamwatch.errors import StreamwatchError
from streamwatch.frames import FrameError, FrameReader, frame
from streamwatch.model.live import Answer, CameraLive, Changes, Command, Pulse, Resend, ServiceStatus, Snapshot

READ_BYTES: Final = 256 * 1024
MAX_BACKLOG_BYTES: Final = (
    128 * 2**20
)  # two snapshots of a city; a follower that is further behind is cut and comes back
MAX_COMMANDS: Final = 64  # under way at once from one peer

log = structlog.get_logger(__name__)
_decoder = msgspec.msgpack.Decoder(Command | Resend)
_encoder = msgspec.msgpack.Encoder()

Handler = Callable[[str, dict[str, Any]], Awaitable[Any]]


class LiveServer:
    """Owns the present's numbers and the peers that follow it."""

    def __init__(self, path: Path, handler: Handler, status: Callable[[], ServiceStatus]) -> None:
        self._path = path
        self._handler = handler
        self._status = status
        self._cameras: dict[int, CameraLive] = {}
        self._seq = 0
        self._followers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, cameras: tuple[CameraLive, ...]) -> None:
        """Listens from now on, beginning with `cameras`."""
        self._cameras = {live.camera: live for live in cameras}
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path=str(self._path))
        self._path.chmod(0o600)

    async def aclose(self) -> None:
        """Stops listening and cuts every peer."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._followers):
            writer.close()
        for task in tuple(self._tasks):
            task.cancel()
        self._path.unlink(missing_ok=True)

    def publish(self, cameras: tuple[CameraLive, ...]) -> None:
        """Tells every follower what one commit changed."""
        if not cameras:
            return
        self._seq += 1
        self._cameras.update((live.camera, live) for live in cameras)
        self._broadcast(Changes(seq=self._seq, cameras=cameras))

    def pulse(self) -> None:
        """Tells every follower how the service is."""
        self._broadcast(Pulse(status=self._status()))

    def forget(self, cameras: set[int]) -> None:
        """Drops cameras that left the inventory; followers get a new snapshot."""
        for camera in cameras:
            self._cameras.pop(camera, None)
        self._seq += 1
        self._broadcast(self._snapshot())

    def _snapshot(self) -> Snapshot:
        return Snapshot(seq=self._seq, status=self._status(), cameras=tuple(self._cameras.values()))

    def _broadcast(self, message: Changes | Pulse | Snapshot) -> None:
        if not self._followers:
            return
        data = frame(_encoder.encode(message))
        for writer in tuple(self._followers):
            if writer.transport.get_write_buffer_size() > MAX_BACKLOG_BYTES:
                log.warning("live.follower_too_slow", backlog_bytes=writer.transport.get_write_buffer_size())
                self._followers.discard(writer)
                writer.transport.abort()
            else:
                writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        commands: set[asyncio.Task[None]] = set()
        try:
            while data := await reader.read(READ_BYTES):
                for body in frames.feed(data):
                    message = _decoder.decode(body)
                    if isinstance(message, Resend):
                        self._followers.add(writer)
                        writer.write(frame(_encoder.encode(self._snapshot())))
                    elif len(commands) >= MAX_COMMANDS:
                        self._answer(
                            writer, Answer(id=message.id, error={"code": "busy", "detail": "too many commands"})
                        )
                    else:
                        task = asyncio.create_task(self._run(message, writer))
                        for group in (commands, self._tasks):
                            group.add(task)
                            task.add_done_callback(group.discard)
        except (OSError, FrameError, msgspec.MsgspecError) as error:
            log.warning("live.peer_cut", error=str(error))
        finally:
            self._followers.discard(writer)
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    async def _run(self, command: Command, writer: asyncio.StreamWriter) -> None:
        try:
            answer = Answer(id=command.id, value=await self._handler(command.op, command.args))
        except StreamwatchError as error:
            code = getattr(error, "code", "refused")
            answer = Answer(id=command.id, error={"code": str(code), "detail": str(error)})
        except Exception:
            log.exception("live.command_failed", op=command.op)
            answer = Answer(
                id=command.id, error={"code": "failed", "detail": f"{command.op} failed inside the service"}
            )
        self._answer(writer, answer)

    def _answer(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        if not writer.is_closing():
            writer.write(frame(_encoder.encode(answer)))
