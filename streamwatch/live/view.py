"""The present as the web process knows it: a snapshot, then numbered changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from streamwatch.model.live import CameraLive, Changes, Pulse, ServiceStatus, Snapshot


class Caller(Protocol):
    """Hands a command to the service and waits for its answer."""

    async def call(self, op: str, args: dict[str, Any], timeout_s: float = 30) -> Any:
        """The answer's value. Raises CallError with the service's code, or where the service does not answer."""
        ...


class View:
    """What every camera is like now. One owner applies messages; everybody else only reads."""

    def __init__(self) -> None:
        self.cameras: dict[int, CameraLive] = {}
        self.status: ServiceStatus | None = None
        self.seq = -1
        self.connected = False
        self._listeners: set[Callable[[tuple[CameraLive, ...]], None]] = set()

    def apply(self, message: Snapshot | Changes | Pulse) -> bool:
        """Takes in one message. False: a number was missed, and only a new snapshot helps."""
        match message:
            case Snapshot():
                self.cameras = {live.camera: live for live in message.cameras}
                self.status = message.status
                self.seq = message.seq
                self.connected = True
                self._tell(message.cameras)
            case Pulse():
                self.status = message.status
            case Changes():
                if message.seq <= self.seq:
                    return True  # already in the snapshot
                if message.seq != self.seq + 1:
                    return False
                self.cameras.update((live.camera, live) for live in message.cameras)
                self.seq = message.seq
                self._tell(message.cameras)
        return True

    def lost(self) -> None:
        """The service is gone: what is shown is old."""
        self.connected = False

    def subscribe(self, listener: Callable[[tuple[CameraLive, ...]], None]) -> Callable[[], None]:
        """Calls `listener` with every change from now on; the returned function ends it. It must not block or raise."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _tell(self, cameras: tuple[CameraLive, ...]) -> None:
        for listener in tuple(self._listeners):
            listener(cameras)
