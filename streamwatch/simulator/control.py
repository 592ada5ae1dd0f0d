"""The farm's control port: HTTP on loopback to switch faults and to list cameras. No part of the product's API."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Annotated, Protocol

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamwatch.clock import parse_rfc3339
from streamwatch.errors import ConfigError, NotFoundError, UsageError
from streamwatch.simulator.camera import Camera
from streamwatch.simulator.faults import Change, Fault, Line
from streamwatch.simulator.hostile.stage import Hostility

MAX_BODY = 4 << 20  # bytes; an order of 100 bytes for each of 40,000 cameras


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /faults` takes, alone or in a list; `at` is what a log line has, and ignored."""

    camera: str
    fault: str | None
    until: str | None = None
    at: str | None = None


_ORDERS = msgspec.json.Decoder(Order | Annotated[list[Order], msgspec.Meta(min_length=1)])


class Ground(Protocol):
    """What the control port asks of the farm."""

    @property
    def cameras(self) -> Sequence[Camera]:
        """All cameras."""
        ...

    def standing(self) -> list[Change]:
        """The faults of now."""
        ...

    def check(self, code: str, fault: str | None) -> tuple[Camera, Fault | Hostility | Line | None]:
        """Whether they exist."""
        ...

    def set_fault(self, code: str, fault: str | None, until_us: int | None = None) -> Change:
        """Makes a camera faulty or healthy."""
        ...


class _Server(uvicorn.Server):
    """A server inside somebody else's loop: signals are the program's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ControlServer:
    """Serves the control port for one farm."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self, listen: str) -> None:
        """Listens on `HOST:PORT` (port 0: any). Raises UsageError for another form, ConfigError if it is taken."""
        host, colon, port = listen.rpartition(":")
        if not colon or not host or not port.isdigit() or int(port) > 0xFFFF:
            raise UsageError(f"--control {listen} is not HOST:PORT such as 127.0.0.1:0")
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, int(port)))
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"cannot listen on {listen} for --control ({error.strerror}): give another address or port 0"
            ) from error
        self.url = f"http://{host}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._application(), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise ConfigError(f"the control port {listen} ended at once: see the log")
            await asyncio.sleep(0.005)

    async def aclose(self) -> None:
        """Ends the port and its open answers."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/faults", self._set, methods=["POST"]),
                Route("/faults", self._standing, methods=["GET"]),
                Route("/cameras", self._cameras, methods=["GET"]),
                Route("/healthz", self._healthz, methods=["GET"]),
            ]
        )

    async def _set(self, request: Request) -> Response:
        """All orders are checked before the first one is carried out."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return _problem(413, f"more than {MAX_BODY} bytes: send the orders in several parts")
        try:
            given = _ORDERS.decode(body)
            orders = given if isinstance(given, list) else [given]
            wanted = [(order, parse_rfc3339(order.until) if order.until is not None else None) for order in orders]
            for order in orders:
                self._ground.check(order.camera, order.fault)
            done = [self._ground.set_fault(order.camera, order.fault, until_us) for order, until_us in wanted]
        except NotFoundError as error:
            return _problem(404, str(error))
        except (UsageError, ValueError) as error:  # msgspec's errors are ValueErrors too
            return _problem(400, str(error))
        except ConfigError as error:
            return _problem(503, str(error))
        return _json({"items": [change.as_json() for change in done]})

    async def _standing(self, _request: Request) -> Response:
        return _json({"items": [change.as_json() for change in self._ground.standing()]})

    async def _cameras(self, _request: Request) -> Response:
        return _json(
            {
                "items": [
                    {
                        "code": c.code,
                        "name": c.name,
                        "village": c.village,
                        "scene": c.scene,
                        "url": c.url,
                        "sub_url": c.sub_url,
                        "transport": c.carriage.serves,
                        "smart_s": c.smart_s,
                        "fault": c.fault_name,
                    }
                    for c in self._ground.cameras
                ]
            }
        )

    async def _healthz(self, _request: Request) -> Response:
        return _json({"cameras": len(self._ground.cameras), "faulty": len(self._ground.standing())})


def _json(content: object, status: int = 200, media_type: str = "application/json") -> Response:
    return Response(msgspec.json.encode(content), status, media_type=media_type)


def _problem(status: int, detail: str) -> Response:
    """RFC 9457; the known faults are always with it."""
    return _json(
        {"status": status, "detail": detail, "faults": [str(fault) for fault in Fault]},
        status,
        "application/problem+json",
    )
