"""The application: routes, guards and errors around what the composition root passes in."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter, FastAPI

from streamwatch import __version__
from streamwatch.access.backoff import Backoff
from streamwatch.access.session import DEFAULT_LIFETIME_S, Sessions
from streamwatch.api import (
    blackbox,
    cameras,
    changes,
    edits,
    equipment,
    imports,
    machine,
    maintenance,
    overview,
    problems,
    regions,
    sessions,
    villages,
)
from streamwatch.api.census import CensusKeeper
from streamwatch.api.context import Context
from streamwatch.api.guard import BodyLimit, CarefulHeaders
from streamwatch.api.kept import Kept
from streamwatch.api.recent import RecentFaults
from streamwatch.api.schemas import ProblemOut
from streamwatch.clock import Clock
from streamwatch.live.view import Caller, View
from streamwatch.model.inventory import DEFAULT_INTERVAL_S
from streamwatch.store.handles import Reader

PREFIX: Final = "/api/v1"
RESOURCES: Final = (sessions, overview, regions, villages, cameras, changes, equipment, edits, imports, maintenance)
DAYS_KEPT_S: Final = 30.0  # the figure of a day moves by less than a thousandth in this time
MAX_DAYS_KEPT: Final = 5_000  # villages x about 5 KiB = 25 MB
PASSWORDS_AT_ONCE: Final = 2  # x 64 MiB of argon2 = 128 MiB; further logins wait


def create_app(
    *,
    reader: Reader,
    view: View,
    caller: Caller,
    clock: Clock,
    session_key: bytes,
    session_s: int = DEFAULT_LIFETIME_S,
    default_interval_s: int = DEFAULT_INTERVAL_S,
) -> FastAPI:
    """The API over a read-only database and the live view.

    `session_key`: 32 bytes or more, of the data directory. `session_s`: seconds until a login ends, at least 1.
    """
    app = FastAPI(
        title="streamwatch",
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # they would load scripts from somebody else's servers
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = Context(
        reader=reader,
        view=view,
        caller=caller,
        clock=clock,
        sessions=Sessions(session_key, lifetime_s=session_s),
        backoff=Backoff(),
        passwords=asyncio.Semaphore(PASSWORDS_AT_ONCE),
        keeper=CensusKeeper(reader, view),
        faults=RecentFaults(),
        days=Kept(DAYS_KEPT_S, MAX_DAYS_KEPT),
        default_interval_s=default_interval_s,
    )
    api = APIRouter(prefix=PREFIX, responses={"4XX": {"model": ProblemOut}, "5XX": {"model": ProblemOut}})
    for resource in RESOURCES:
        api.include_router(resource.router)
    app.include_router(api)
    app.include_router(machine.router)
    app.include_router(blackbox.router)
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(CarefulHeaders)
    return app
