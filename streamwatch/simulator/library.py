"""The farm's clips: rendered once, kept on disk where asked, packetised once a framing habit, shared by all cameras."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from threading import Lock

import msgspec

from streamwatch.simulator.packets import Reel, packetise
from streamwatch.simulator.profile import ORDINARY, Profile
from streamwatch.simulator.render import RENDER_VERSION, Clip, Variant, render
from streamwatch.simulator.scenes import SCENES, Scene, paint_scene

Key = tuple[str, Variant, str]  # scene, variant, stream (`sub`, `main` or `full`)
ANY_SCENE = next(iter(SCENES))  # a blackout looks alike everywhere
RENDER_THREADS = 2  # numpy and libx264 let go of the GIL; more would starve the event loop of a two-core machine


class Library:
    """Clips on demand. All sub streams are made by `prepare`; the others at their first request."""

    def __init__(self, seed: int, cache_dir: Path | None, profile: Profile = ORDINARY) -> None:
        self._seed = seed
        self._profile = profile
        self._cache_dir = cache_dir
        self._pool = ThreadPoolExecutor(RENDER_THREADS, thread_name_prefix="render")
        self._reels: dict[tuple[Key, bool], Reel] = {}
        self._coming: dict[Key, asyncio.Future[Clip]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._scene = lru_cache(maxsize=RENDER_THREADS)(self._paint)
        self._painting = Lock()

    async def prepare(self, scenes: set[str]) -> None:
        """Renders or loads the sub streams of `scenes`: all variants, of a lengthy profile the healthy one."""
        variants = [Variant.HEALTHY] if self._profile.lengthy else list(Variant)
        keys = {self.key(scene, variant, "sub") for scene in scenes for variant in variants}
        await asyncio.gather(*(self._load(key) for key in sorted(keys)))

    @staticmethod
    def key(scene: str, variant: Variant, stream: str) -> Key:
        """Where that clip is kept."""
        return (ANY_SCENE if variant is Variant.BLACKOUT else scene, variant, stream)

    def ready(self, scene: str, variant: Variant, stream: str, *, stap: bool) -> Reel | None:
        """The reel, or None while nobody has asked `get` for it or it is still being rendered."""
        return self._reels.get((self.key(scene, variant, stream), stap))

    async def get(self, scene: str, variant: Variant, stream: str, *, stap: bool) -> Reel:
        """The reel, rendered in a thread where it has to be."""
        key = self.key(scene, variant, stream)
        await self._load(key)
        return self._reels[key, stap]

    async def clip(self, scene: str, variant: Variant, stream: str) -> Clip:
        """The same in the ordinary profile, before it is packetised, for who does that himself; it is not kept here."""
        key = self.key(scene, variant, stream)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._make, key, ORDINARY)

    def request(self, scene: str, variant: Variant, stream: str) -> None:
        """Starts rendering without waiting for it."""
        task = asyncio.get_running_loop().create_task(self._load(self.key(scene, variant, stream)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _load(self, key: Key) -> None:
        if (key, True) in self._reels:
            return
        coming = self._coming.get(key)
        if coming is None:
            coming = asyncio.get_running_loop().run_in_executor(self._pool, self._make, key, self._profile)
            self._coming[key] = coming
        try:
            clip = await asyncio.shield(coming)
        finally:
            if coming.done():
                self._coming.pop(key, None)
            if not self._coming:
                self._scene.cache_clear()  # a painted scene is 15 MB, and most farms never need it again
        for stap in (True, False):
            self._reels.setdefault((key, stap), packetise(clip, stap=stap))

    def _paint(self, name: str) -> Scene:
        return paint_scene(name, self._seed)

    def _make(self, key: Key, profile: Profile) -> Clip:
        name, variant, stream = key
        path = None
        if self._cache_dir is not None:
            file = f"{name}-{variant}-{stream}-v{RENDER_VERSION}-s{self._seed}{profile.tag}.msgpack"
            path = self._cache_dir / file
            with contextlib.suppress(OSError, msgspec.DecodeError):
                return msgspec.msgpack.decode(path.read_bytes(), type=Clip)
        with self._painting:  # so that the variants of one scene paint it once
            scene = self._scene(name)
        clip = render(scene, variant, stream, self._seed, profile)
        if path is not None:
            _replace(path, msgspec.msgpack.encode(clip))
        return clip

    async def aclose(self) -> None:
        """Gives up what is not rendered yet."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _replace(path: Path, content: bytes) -> None:
    """Writes the file whole or not at all; a cache that cannot be written is no cache, and no error."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
