"""`streamwatch COMMAND`: the table of commands. Each body is imported only when its command is called."""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import App, Parameter

import streamwatch
from streamwatch.errors import Exit, UsageError

STDIN = "stdin:"
SHORTEST_S = 5  # schedule.interval_s
T = TypeVar("T")

app = App(
    name="streamwatch",
    help="Watches surveillance cameras, village by village, and says truthfully how long they were up.",
    version_flags=[],
    default_parameter=Parameter(negative=""),
)

Json = Annotated[bool, Parameter(name="--json", help="Print JSON and nothing else on stdout.")]
Config = Annotated[Path | None, Parameter(name="--config", help="Settings as TOML; the environment wins over it.")]


@app.default
def version(*, version: bool = False, json: Json = False) -> int:
    """Shows the help, or with --version what runs here."""
    if not version:
        app.help_print([])
        return Exit.OK
    from streamwatch.decoders.codec import versions

    facts = {
        "streamwatch": streamwatch.__version__,
        "python": platform.python_version(),
        **versions(),
        "sqlite": sqlite3.sqlite_version,
    }
    if json:
        import msgspec

        print(msgspec.json.encode(facts).decode())
    else:
        print(", ".join(f"{name} {number}" for name, number in facts.items()))
    return Exit.OK


@app.command
def run(
    *,
    config: Config = None,
    in_one_process: bool = False,
    ready_fd: int | None = None,
    cameras: Path | None = None,
    villages: Path | None = None,
    lines: Path | None = None,
    recorders: Path | None = None,
    points: Path | None = None,
    facilities: Path | None = None,
) -> int:
    """The service: planner, lookers, decoders, store, API, page, metrics.

    Parameters
    ----------
    in_one_process
        Service, looker and web on one loop, for tests and tiny sites; decoders stay jailed processes.
    ready_fd
        Number of an open descriptor; one byte is written to it once /readyz is 200.
    cameras
        Import this list (CSV, XLSX or JSON lines) first. Bad lines are named and left out. Villages that it names are
        made where they are not known, unless --villages is given.
    villages, lines, recorders, points, facilities
        Import these lists too, each before what names it. Where no line of a list can be taken, nothing is started
        (exit 1).
    """
    from streamwatch.cli.run import run as body

    _require_open(ready_fd)
    lists = {
        "villages": villages,
        "lines": lines,
        "recorders": recorders,
        "cameras": cameras,
        "points": points,
        "facilities": facilities,
    }
    return await_(body(config, in_one_process=in_one_process, ready_fd=ready_fd, lists=lists))


@app.command
def demo(
    *,
    villages: int = 8,
    cameras: int = 240,
    keep: bool = False,
    interval: int = 20,
    seed: int = 1,
    churn: float = 0.0,
    ready_fd: int | None = None,
) -> int:
    """`run` on a simulated farm, with 7 days of made-up history that is marked as such.

    Parameters
    ----------
    villages, cameras
        How large the farm is.
    keep
        Keep what an earlier demo left; otherwise its folder is emptied first.
    interval
        Seconds between two looks at a camera.
    seed
        The same seed gives the same villages, pictures and history.
    churn
        Share of the cameras that are faulty at any moment, by themselves.
    ready_fd
        Number of an open descriptor; one byte is written to it once /readyz is 200.
    """
    from streamwatch.cli.demo import demo as body
    from streamwatch.simulator.plan import FarmPlan, checked

    _require_open(ready_fd)
    checked(FarmPlan(villages=villages, cameras=cameras, seed=seed, fault_rate=churn))
    if interval < SHORTEST_S:
        raise UsageError(f"--interval {interval}: at least {SHORTEST_S} seconds")
    return await_(body(villages, cameras, keep=keep, interval_s=interval, seed=seed, churn=churn, ready_fd=ready_fd))


@app.command
def probe(
    *urls: str,
    depth: Literal["reach", "stream", "picture"] = "picture",
    transport: Literal["auto", "tcp", "udp", "http"] = "auto",
    timeout: float = 20.0,
    concurrency: int = 16,
    explain: bool = False,
    record: Path | None = None,
    with_picture: bool = False,
    snapshot: Path | None = None,
    replay: Path | None = None,
    allow_basic: bool = False,
    json: Json = False,
) -> int:
    """Looks at cameras now, without a configuration or a database. Exit: 0 up, 1 up with a fault, 2 down, 3 unknown.

    Parameters
    ----------
    urls
        rtsp[s]://[USER:PASSWORD@]HOST[:PORT]/PATH. "-" reads one a line from stdin, where no process list shows them.
    depth
        reach: it answers RTSP. stream: a keyframe arrives. picture: decoded and scored.
    transport
        How the media is asked for. auto: over TCP, and where a camera refuses that, over UDP (rtsps: over TCP only).
        http: over TCP in an HTTP tunnel, only where it is asked for.
    timeout
        Seconds for one look, over all its steps.
    concurrency
        Looks at the same time.
    explain
        Print the conversation (secrets masked), the measurements beside their thresholds, and the verdict.
    record
        Write the conversation to this file (secrets, serials and MACs masked; pictures reduced to sizes).
    with_picture
        Keep the picture in the recording.
    snapshot
        Write the picture itself to this file, as a JPEG of at most 640 pixels. Nothing in it is masked.
    replay
        Run the same code on such a file, without a network.
    allow_basic
        Send the password in the clear where a camera asks for Basic.
    """
    from streamwatch.cli.probe import probe as body

    return await_(
        body(
            urls,
            depth=depth,
            transport=transport,
            timeout_s=timeout,
            concurrency=concurrency,
            explain=explain,
            record=record,
            with_picture=with_picture,
            snapshot=snapshot,
            replay=replay,
            allow_basic=allow_basic,
            as_json=json,
        )
    )


@app.command
def score(
    *files: str,
    list: bool = False,  # noqa: A002 - the option's name
    sheet: Path | None = None,
    every: int = 1,
    timeout: float = 60.0,
    json: Json = False,
) -> int:
    """Scores pictures and clips on disk as a probe would. Exit: 0 no fault, 1 faults, 3 a file could not be read.

    Parameters
    ----------
    files
        JPEG, PNG, WebP, BMP, GIF, TIFF; MP4, MKV, AVI, TS, PS, FLV, raw H.264 and H.265. "-" reads names from stdin.
    list
        Name the measures with unit, range and meaning, and score nothing.
    sheet
        Write the pictures with their faults and measures side by side into this PNG.
    every
        Of a clip score only each Nth keyframe. A clip of more than 1,000 is thinned evenly by itself.
    timeout
        Seconds for one file.
    """
    from streamwatch.cli import score as body

    if list:
        return body.list_measures(as_json=json)
    return await_(body.score(files, sheet=sheet, every=every, timeout_s=timeout, as_json=json))


@app.command(name="import")
def import_(
    kind: Literal["villages", "lines", "recorders", "cameras", "points", "facilities"],
    file: Path,
    *,
    config: Config = None,
    dry_run: bool = False,
    on_error: Literal["stop", "skip"] = "skip",
    json: Json = False,
) -> int:
    """Takes an inventory file in; the same file twice changes nothing. Exit 1 where lines were rejected.

    Lists may come in any order: what names something that is not there yet is taken and remarked.

    Parameters
    ----------
    file
        CSV (UTF-8 or GB18030), XLSX or JSON lines; headings as documented, or those of 一机一档.
    dry_run
        Show the difference and change nothing.
    on_error
        stop: one bad line and nothing is taken in. skip: the good lines are.
    """
    from streamwatch.cli.import_ import import_file as body

    return await_(body(kind, file, config=config, dry_run=dry_run, on_error=on_error, as_json=json))


@app.command
def simulate(
    *,
    cameras: int = 240,
    villages: int = 8,
    bind: str = "127.1.0.0/16",
    port: int = 0,
    inventory: Path | None = None,
    log: Path | None = None,
    control: str = "127.0.0.1:0",
    cache: Path | None = None,
    seed: int = 1,
    churn: float = 0.0,
    udp: float = 0.05,
    both: float = 0.15,
    smart: float = 0.0,
    hostile: float = 0.0,
    sizes: str = "360p,720p",
    fps: int = 5,
    gop: int = 10,
    qp: int = 29,
    kbps: int | None = None,
    paced: Annotated[bool, Parameter(negative="--no-paced")] = True,
    random_start: bool = False,
    latency: float = 0.0,
    loss: float = 0.0,
    wide: Annotated[bool | None, Parameter(negative="--no-wide")] = None,
) -> int:
    """The farm of simulated cameras alone, each at its own loopback address.

    Faults that can be switched: dead, refused, silent, auth, not_found, busy, no_data, no_keyframe, loss (packets of
    every keyframe are lost), udp_lost (datagrams are, as by a firewall; for cameras that serve UDP), tcp_refused (from
    now on UDP only; for cameras that serve both), blackout, blur, frozen. A camera can also be far away, latency:MS
    (1 to 10000), or badly connected, loss:PERCENT of its packets (0.01 to 99.99), or
    hostile:NAME, with a name that `python -m streamwatch.simulator.hostile --list` gives.

    Parameters
    ----------
    bind
        The network that the cameras take their addresses from.
    port
        The same for all of them; 0 picks a free one.
    inventory
        Folder for the lists that `import` takes: villages, lines, recorders, cameras, points and facilities.
    log
        File for one JSON line a change of a fault.
    control
        Where `POST /faults` takes `{"camera": CODE, "fault": NAME}`; with null for NAME the camera is well again.
    cache
        Folder that keeps the rendered pictures, so that the next start is immediate.
    churn
        Share of the cameras that are faulty at any moment, by themselves.
    udp
        Share of the cameras that serve their media by UDP only, and refuse TCP.
    both
        Share of the cameras that serve either.
    smart
        Share of the cameras whose smart codec sends a keyframe only every 10 to 40 s.
    hostile
        Share of the cameras that are hostile from the start, each in another way.
    sizes
        The streams of every camera: 360p (sub) and 720p (main), and 1080p besides, whose addresses streams.csv has.
    fps, gop
        Pictures a second, and a keyframe every so many of them.
    qp
        The quantiser, 10 to 51: less makes larger pictures. 25 gives keyframes of 60 to 200 KB at 720p.
    kbps
        A bit rate instead, that of 720p; 360p has a quarter of it, 1080p twice as much.
    paced
        Each packet leaves by a write of its own, as from a camera; without it each frame does, which costs less.
    random_start
        Who begins to watch comes at any picture, as with most cameras, and waits for the next keyframe.
    latency
        Each camera answers later by a time of its own, up to so many seconds.
    loss
        Share of all media packets that never arrive, within RTSP connections too.
    wide
        All cameras share one listener; none of them can be `refused` then. Without it a farm does so by itself once
        listeners of their own would take half of the files that it may open.
    """
    from streamwatch.cli.simulate import simulate as body
    from streamwatch.simulator.plan import FarmPlan
    from streamwatch.simulator.plan import sizes as listed
    from streamwatch.simulator.profile import Profile

    plan = FarmPlan(
        villages=villages,
        cameras=cameras,
        seed=seed,
        bind=bind,
        port=port,
        control=control,
        cache_dir=cache,
        log=log,
        fault_rate=churn,
        udp=udp,
        both=both,
        smart=smart,
        hostile=hostile,
        sizes=listed(sizes),
        profile=Profile(fps, gop, qp, kbps),
        paced=paced,
        random_start=random_start,
        latency_s=latency,
        loss=loss,
        wide=wide,
    )
    return await_(body(plan, inventory))


@app.command(name="check-settings")
def check_settings(
    *,
    config: Config = None,
    list_keys: bool = False,
    json: Json = False,
) -> int:
    """Reads the configuration and names what is wrong with it. Exit 78 where something is.

    Parameters
    ----------
    list_keys
        Explain every key instead: its default, what it means and takes.
    """
    from streamwatch.cli.check_settings import check_settings as body

    return body(config, as_json=json, list_keys=list_keys)


# Families of commands: a module each, imported when one of them is called.
app.command("streamwatch.cli.db:app", name="db")
app.command("streamwatch.cli.user:app", name="user")
app.command("streamwatch.cli.key:app", name="key")
app.command("streamwatch.cli.completion:completion", name="completion")


def _require_open(descriptor: int | None) -> None:
    """Raises UsageError where whoever waits for our byte would wait for ever."""
    if descriptor is not None:
        try:
            os.fstat(descriptor)
        except OSError:
            raise UsageError(f"--ready-fd {descriptor}: no such descriptor is open; e.g. --ready-fd 3 3>FILE") from None


def await_(body: Coroutine[Any, Any, T]) -> T:
    """Runs the body of a command on a loop of its own."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(body)
