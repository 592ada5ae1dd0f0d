"""The web process passes the settings on: what an operator decides is what a browser sees."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import httpx

from streamwatch.access.accounts import ensure_administrator
from streamwatch.clock import SystemClock
from streamwatch.datadir import DataDir
from streamwatch.service.web_process import serve
from streamwatch.settings import load
from streamwatch.store.engine import default_url, open_writer
from streamwatch.store.migrate import upgrade


async def test_a_login_lasts_as_long_as_the_setting_says(tmp_path: Path) -> None:
    """web.session_h reaches the cookie of a real login over a real socket."""
    settings = load(None, {"STREAMWATCH_DATA_DIR": str(tmp_path), "STREAMWATCH_WEB__SESSION_H": "1.5"})
    url = default_url(DataDir(settings.data_dir).path)
    await upgrade(url)
    writer = open_writer(url)
    async with writer.begin() as conn:
        first = await ensure_administrator(conn, SystemClock().utc_us())
    await writer.dispose()
    assert first is not None
    stop = asyncio.Event()
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        host, port = listener.getsockname()
        serving = asyncio.create_task(serve(settings, listener, SystemClock(), stop))
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=30) as client:
            answer = await client.post("/api/v1/login", json={"name": first[0], "password": first[1]})
        stop.set()
        await serving

    assert answer.status_code == 200
    assert "; max-age=5400;" in answer.headers["set-cookie"].lower()
