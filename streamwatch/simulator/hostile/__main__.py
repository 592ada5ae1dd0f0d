"""`python -m streamwatch.simulator.hostile`: hostile cameras alone, one a hostility, or as many as are asked for."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import signal
import sys
from pathlib import Path

import msgspec

from streamwatch.errors import Exit, UsageError
from streamwatch.simulator.command import serve
from streamwatch.simulator.hostile.corpus import CORPUS
from streamwatch.simulator.hostile.props import fetch
from streamwatch.simulator.hostile.server import HostileServer, write_inventory
from streamwatch.simulator.hostile.stage import Hostility
from streamwatch.simulator.machine import raise_file_limit

BIND = "127.66.0.0/16"  # beside the farm's own


def main() -> int:
    """Reads the arguments and serves until SIGTERM. Exit 0, 64 for wrong usage, 78 where the machine cannot."""
    parser = argparse.ArgumentParser(prog="python -m streamwatch.simulator.hostile", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name every hostility and what a look at it deserves")
    parser.add_argument("--cameras", type=int, metavar="N", help="so many, by rotation (default: one each)")
    parser.add_argument("--only", action="append", metavar="NAME", help="this one; may be given several times")
    parser.add_argument("--bind", default=BIND, metavar="CIDR", help="a camera an address (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, metavar="P", help="the same on all; 0 picks one")
    parser.add_argument("--inventory", type=Path, metavar="DIR", help="write cameras.csv there")
    parser.add_argument("--shuffle", type=int, metavar="N", help="in another order, which N decides")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep rendered clips there")
    given = parser.parse_args()
    if given.list:
        for one in CORPUS.values():
            sys.stdout.write(f"{one.name:32} {deserts(one):40} {one.does}\n")
        return Exit.OK
    return serve(lambda: _serve(given))


def deserts(one: Hostility) -> str:
    """What a look at it ends with, for a person."""
    return " or ".join(sorted(reason.value if reason is not None else "a picture" for reason in one.deserves))


def chosen(names: list[str] | None, count: int | None, shuffle: int | None = None) -> list[Hostility]:
    """The hostilities of these names, or all, `count` of them by rotation. Raises UsageError."""
    for name in names or ():
        if name not in CORPUS:
            raise UsageError(f"no hostility {name!r}: --list names them")
    among = [CORPUS[name] for name in names] if names else list(CORPUS.values())
    if shuffle is not None:
        random.Random(shuffle).shuffle(among)
    if count is not None and count < 1:
        raise UsageError(f"cameras is {count}: give 1 or more")
    return list(itertools.islice(itertools.cycle(among), count if count is not None else len(among)))


async def _serve(given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    whats = chosen(given.only, given.cameras, given.shuffle)
    raise_file_limit(len(whats), 0, 0, wide=False)
    server = HostileServer(whats, await fetch(given.seed, given.cache), bind=given.bind, port=given.port)
    await server.start()
    try:
        if given.inventory is not None:
            write_inventory(server, given.inventory / "cameras.csv")
        ready = {
            "port": server.cameras[0].port,
            "cameras": [{"name": camera.what.name, "url": camera.url} for camera in server.cameras],
            "username": server.account.username,
            "password": server.account.password,
        }
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await server.aclose()


if __name__ == "__main__":
    sys.exit(main())
