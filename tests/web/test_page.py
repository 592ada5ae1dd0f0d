"""The page in a real browser: what a person sees and can do, in both languages, narrow and wide."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import uvicorn
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from streamwatch.clock import US
from streamwatch.errors import Blame
from streamwatch.model.look import State
from streamwatch.model.standing import STREAM
from streamwatch.store.tables import segment
from tests.api.world import EVIL, NOW, STOOD, VILLAGE_A, World, live, stand
from tests.web.conftest import PASSWORD

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


@dataclass
class Desk:
    """One browser window on the running application, and what it complained about."""

    site: World
    url: str
    browser: Browser
    complaints: list[str] = field(default_factory=list)

    async def open(self, lang: str = "en", width: int = 1440) -> Page:
        """The page before signing in."""
        context = await self.browser.new_context(viewport={"width": width, "height": 900})
        page = await context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        page.on("console", self._said)
        await page.goto(f"{self.url}/?lang={lang}")
        return page

    def _said(self, message: ConsoleMessage) -> None:
        # The browser also reports every status 401 and 404, which are meant here.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    async def enter(self, lang: str = "en", width: int = 1440) -> Page:
        """The first view, signed in."""
        page = await self.open(lang, width)
        await page.fill("#login-name", "administrator.all")
        await page.fill("#login-password", PASSWORD)
        await page.press("#login-password", "Enter")
        await expect(page.locator(".villages tbody tr")).to_have_count(2)
        return page


@pytest.fixture
async def desk(site: World) -> AsyncIterator[Desk]:
    """The application under uvicorn on a free port, and a browser."""
    config = uvicorn.Config(site.app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        found = Desk(site, f"http://127.0.0.1:{port}", browser)
        yield found
        await browser.close()
    server.should_exit = True
    await serving
    assert found.complaints == []


async def test_person_signs_in_looks_around_and_leaves(desk: Desk) -> None:
    """A wrong password is told, the right one opens the villages, signing out closes them."""
    page = await desk.open()
    await page.fill("#login-name", "administrator.all")
    await page.fill("#login-password", "wrong")
    await page.click("button[type=submit]")
    await expect(page.locator(".problem")).to_have_text("The name or the password is wrong.")

    await page.fill("#login-password", PASSWORD)
    await page.click("button[type=submit]")
    await expect(page.locator(".tile strong")).to_have_text(["2", "3", "1", "2", "1"])

    await page.click("text=Sign out")
    await expect(page.locator("#login-name")).to_be_visible()
    await page.reload()
    await expect(page.locator("#login-name")).to_be_visible()


async def test_village_row_has_counts_rates_and_a_bar(desk: Desk) -> None:
    """Counts by state in words, 24-hour uptime with its coverage, and a bar of 24 hours; markup in names is text."""
    page = await desk.enter()
    row = page.locator(".villages tbody tr").first

    await expect(row.locator("th a")).to_have_text(EVIL)
    await expect(row.locator(".counts")).to_have_text("up 2down 1unknown 1")
    await expect(row.locator("td.number").first).to_have_text("98.90 %")
    await expect(row.locator("td.number").last).to_have_text("96.80 %")
    await expect(row.locator("svg.hours > g")).to_have_count(24)
    assert await page.evaluate("document.querySelectorAll('main img, main script').length") == 0


async def test_worst_cameras_say_why_and_since_when(desk: Desk) -> None:
    """Down first with reason and blame in words, then the defective one with its fault, then unknown."""
    page = await desk.enter()
    rows = page.locator("main section").first.locator("tbody tr")

    await expect(rows).to_have_count(4)
    await expect(rows.nth(0)).to_contain_text("connection refused")
    await expect(rows.nth(0)).to_contain_text("13:00")  # an hour before 14:00 in Asia/Shanghai
    await expect(rows.nth(1).locator(".chip-fault")).to_have_text("blur")
    await expect(rows.nth(3)).to_contain_text("unknown")


async def test_change_appears_without_reload_or_flicker(desk: Desk) -> None:
    """A camera that goes down shows within some seconds; the other rows keep their elements."""
    page = await desk.enter()
    await page.evaluate("document.querySelector('.villages tbody tr').id = 'kept'")

    changed = stand(1, STREAM, State.DOWN, NOW - 30 * US, NOW - 10 * US, "net.reset", Blame.LINE)
    desk.site.tell(*live(*(one for one in STOOD if one.camera != 1), changed))

    await expect(page.locator(".tile-down strong")).to_have_text("2", timeout=15_000)
    await expect(page.locator("main section").first).to_contain_text("connection cut by the other side")
    await expect(page.locator("#kept .counts")).to_have_text("up 1down 2unknown 1")


async def test_made_up_history_is_always_shown_as_such(desk: Desk) -> None:
    """The demonstration's banner stands over every view in which something made up takes part, and only there."""
    page = await desk.enter()
    await expect(page.locator("#updated")).not_to_be_empty()
    await expect(page.locator(".banner-demo")).to_have_count(0)

    async with desk.site.writer.begin() as conn:
        await conn.execute(segment.update().values(origin="made_up"))
    desk.site.clock.seconds += 60
    await page.evaluate(f"location.hash = '#/villages/{VILLAGE_A}'")
    await expect(page.locator(".banner-demo")).to_contain_text("made up")
    await page.evaluate("location.hash = '#/cameras/c2'")
    await expect(page.locator(".banner-demo")).to_contain_text("made up")
    await page.evaluate("location.hash = '#/cameras/c5'")
    await expect(page.locator(".banner-demo")).to_have_count(0)


async def test_lost_service_is_told(desk: Desk) -> None:
    """When the service is gone the page says so instead of showing old states as if they were new."""
    page = await desk.enter()

    desk.site.view.lost()

    await expect(page.locator(".banner-service")).to_have_text("Not connected to the service.", timeout=15_000)


async def test_camera_shows_its_day_and_looks_now(desk: Desk) -> None:
    """Village, then camera: strips of stream and picture, the explanation, and a look now with its result."""
    desk.site.service.answers["probe"] = {
        "state": "down",
        "faults": [],
        "blame": "camera",
        "step": "connect",
        "reason": "net.refused",
        "codec": None,
        "width": None,
        "height": None,
        "transport": None,
        "server": None,
        "detail": "nobody listens <b>there</b>",
    }
    desk.site.service.answers["explain"] = {
        "look": {**desk.site.service.answers["probe"], "timings_ms": {"connect": 1.25}, "measures": {}},
        "thresholds": {"blackout_luma": 16.0},
    }
    page = await desk.enter()
    await page.click(".villages tbody tr:first-child a")
    await expect(page.locator(".cards tbody tr")).to_have_count(4)
    await page.locator(".cards tbody tr").nth(1).locator("a").click()

    await expect(page.locator("svg.strip")).to_have_count(2)
    await expect(page.locator("svg.strip").first.locator("rect.t-down")).to_have_count(1)
    await expect(page.locator("main")).to_contain_text("blackout_luma")
    await expect(page.locator("main")).to_contain_text("1.3 ms")
    await page.click("text=Look now")
    await expect(page.locator(".result")).to_contain_text("nobody listens <b>there</b>")
    assert ("probe", {"camera": 2, "depth": "picture"}) in desk.site.service.asked


async def test_unknown_camera_is_said_to_be_none(desk: Desk) -> None:
    """An address that names nothing of the reader's leads back, not nowhere."""
    page = await desk.enter()
    await page.goto(f"{desk.url}/?lang=en#/cameras/nothing")
    await expect(page.locator("main")).to_contain_text("Not found, or not in your regions.")


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
@pytest.mark.parametrize("width", [390, 1440])
async def test_nothing_is_cut_off(desk: Desk, lang: str, width: int) -> None:
    """No view is wider than the window, and no text is clipped in its box."""
    page = await desk.enter(lang, width)
    for address in ("", f"villages/{VILLAGE_A}", "cameras/c2"):
        await page.evaluate(f"location.hash = '#/{address}'")
        await expect(page.locator(".villages, .wide-bar .bar, .strip").first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        clipped = await page.evaluate(
            """[...document.querySelectorAll('main *, header *')].filter((one) => one.children.length === 0
               && one.textContent && !one.closest('svg, .hidden-text, thead')
               && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline')
               .map((one) => one.outerHTML)"""
        )
        assert clipped == []
