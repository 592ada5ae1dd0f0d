"""The page over the API's test world."""

from __future__ import annotations

import pytest

from streamwatch.access.accounts import hash_password
from streamwatch.store.access import change_account
from streamwatch.web.pages import install_pages
from tests.api.conftest import template, world
from tests.api.world import World

__all__ = ["template", "world"]

PASSWORD = "打开 sesame"


@pytest.fixture
async def site(world: World) -> World:
    """The application with its page; the administrator of everything signs in with PASSWORD."""
    install_pages(world.app)
    async with world.writer.begin() as conn:
        await change_account(conn, "administrator.all", password_hash=hash_password(PASSWORD))
    return world
