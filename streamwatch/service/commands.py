"""What the web and the command line may ask of the running service; each answers after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from streamwatch.access.changes import carry_out
from streamwatch.clock import US
from streamwatch.errors import UsageError
from streamwatch.findings import finding, thresholds
from streamwatch.inventory.apply import run_import
from streamwatch.inventory.editing import edit, remove
from streamwatch.inventory.parsed import ImportResult, ParsedFile
from streamwatch.logs import hide_secrets
from streamwatch.model.inventory import Camera
from streamwatch.model.look import Depth, Look, StreamKind
from streamwatch.model.scope import EVERYTHING, Scope
from streamwatch.model.standing import FAULT_PREFIX
from streamwatch.secrets import Sealer
from streamwatch.service.core import Service
from streamwatch.store.handles import Writer
from streamwatch.store.inventory import load_inventory
from streamwatch.store.stays import past_stays
from streamwatch.store.timeline import add_maintenance, maintenance_for
from streamwatch.uptime import merged

Args = dict[str, Any]

RECENT_US: Final = 7 * 86_400 * US  # maintenance that ended longer ago has no unbooked time left in it
FOREVER_US: Final = 2**62

log = structlog.get_logger(__name__)


class Commands:
    """The table of operations, and what they need."""

    def __init__(self, service: Service, writer: Writer, sealer: Sealer, default_interval_s: int) -> None:
        self._service = service
        self._writer = writer
        self._sealer = sealer
        self._default_interval_s = default_interval_s
        self._table: Final[dict[str, Callable[[Args], Awaitable[Any]]]] = {
            "probe": self._probe,
            "scrape": self._scrape,
            "explain": self._explain,
            "import": self._import,
            "edit": self._edit,
            "remove": self._remove,
            "maintenance": self._maintenance,
            "access": self._access,
        }

    async def __call__(self, op: str, args: Args) -> Any:
        """Carries one command out. Raises StreamwatchError for what the caller can mend."""
        operation = self._table.get(op)
        if operation is None:
            raise UsageError(f"the service knows no {op!r}: it knows {', '.join(sorted(self._table))}")
        return await operation(args)

    async def load(self, default_interval_s: int | None = None) -> None:
        """Reads the inventory and hands it to the service; `default_interval_s` is remembered from now on."""
        interval_s = default_interval_s or self._default_interval_s
        async with self._writer.connect() as conn:
            version = self._service.inventory.version + 1
            inventory = await load_inventory(conn, self._sealer, interval_s, version=version)
            now_us = self._service.clock.utc_us()
            planned = await maintenance_for(conn, EVERYTHING, inventory.cameras, now_us - RECENT_US, FOREVER_US)
            self._service.stays = await past_stays(conn)
        self._service.maintenance = {camera: merged(found) for camera, found in planned.items()}
        hide_secrets(camera.password for camera in inventory.cameras.values() if camera.password)
        self._default_interval_s = interval_s
        self._service.load(inventory)

    async def _probe(self, args: Args) -> Any:
        camera = self._service.camera(int(args["camera"]))
        look = await self._service.visit(camera, Depth(args.get("depth", Depth.PICTURE)))
        return finding(look, _url(camera, look), self._service.policy)

    async def _scrape(self, args: Args) -> Any:
        """A look for `/probe`, which ends within `timeout_s`; `void` says why it proves nothing, where it does not."""
        camera = self._service.camera(int(args["camera"]))
        look = await self._service.scrape(camera, Depth(args["depth"]), float(args["timeout_s"]))
        judged = self._service.latest.get(camera.id)
        void = judged.verdict.void if judged is not None and judged.attributed.look == look else None
        return {
            "look": finding(look, _url(camera, look), self._service.policy),
            "void": void,
            "thresholds": thresholds(self._service.policy),
        }

    async def _explain(self, args: Args) -> Any:
        """The last look, what it measured beside the thresholds, what was said of it, and where everything stands."""
        camera = self._service.camera(int(args["camera"]))
        live = self._service.live[camera.id]
        judged = self._service.latest.get(camera.id)
        answer: Args = {
            "camera": camera.code,
            "interval_s": camera.interval_s,
            "grace_s": self._service.grace_us(camera.id) / 1e6,
            "standings": [msgspec.to_builtins(standing) for standing in live.standings],
            "void": live.void,
            "look": None,
            "verdict": None,
            "thresholds": thresholds(self._service.policy),
        }
        if judged is not None:
            look = judged.attributed.look
            answer["look"] = finding(look, _url(camera, look), self._service.policy)
            answer["verdict"] = {
                "void": judged.verdict.void,
                "blame": judged.attributed.blame,
                "attempt": judged.attempt,
                "pending": judged.pending,
                "opinions": [
                    {
                        "dimension": opinion.dimension,
                        "fault": opinion.dimension.startswith(FAULT_PREFIX),
                        "state": opinion.state.value,
                        "reason": opinion.reason,
                        "confirmations": opinion.confirmations,
                    }
                    for opinion in judged.verdict.opinions
                ],
            }
        return answer

    async def _import(self, args: Args) -> Any:
        file = await asyncio.to_thread(ParsedFile.from_bytes, args["file"])  # a city's list takes 0.4 s
        dry_run = bool(args.get("dry_run"))
        async with self._writer.begin() as conn:
            result = await run_import(
                conn,
                self._sealer,
                str(args["kind"]),
                file,
                now_us=self._service.clock.utc_us(),
                dry_run=dry_run,
                on_error="stop" if args.get("on_error") == "stop" else "skip",
                create_only=bool(args.get("create_only")),
                scope=Scope(args.get("region")),
            )
        if not dry_run:
            await self.load()
        return result.to_json()

    async def _edit(self, args: Args) -> Any:
        """One thing made or changed by a person; the answer is an import's."""
        async with self._writer.begin() as conn:
            result = await edit(
                conn,
                self._sealer,
                str(args["kind"]),
                str(args["code"]),
                args["values"],
                create=bool(args["create"]),
                now_us=self._service.clock.utc_us(),
                scope=Scope(args.get("region")),
            )
        return await self._edited("inventory.edited", args, result)

    async def _remove(self, args: Args) -> Any:
        """One thing of any kind taken out of service from now on; the answer is an import's."""
        async with self._writer.begin() as conn:
            now_us = self._service.clock.utc_us()
            result = await remove(conn, str(args["kind"]), str(args["code"]), now_us, Scope(args.get("region")))
        return await self._edited("inventory.removed", args, result)

    async def _edited(self, event: str, args: Args, result: ImportResult) -> Any:
        if result.created or result.changed:
            fields = [field for change in result.changes for field in change.fields]
            log.info(event, kind=args["kind"], code=args["code"], author=args.get("author"), fields=fields)
            await self.load()
        return result.to_json()

    async def _maintenance(self, args: Args) -> Any:
        async with self._writer.begin() as conn:
            number = await add_maintenance(conn, **args, created_us=self._service.clock.utc_us())
        await self.load()
        return number

    async def _access(self, args: Args) -> Any:
        """A change of accounts or keys. The web reads both at each request: it counts at once."""
        return await carry_out(self._writer, args, self._service.clock.utc_us())


def _url(camera: Camera, look: Look) -> str:
    """The address that was looked at; the store's addresses hold no credentials."""
    return camera.sub_url if look.stream is StreamKind.SUB and camera.sub_url else camera.url
