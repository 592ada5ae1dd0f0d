"""The peers: what each does for one picture look, as a function of a URL, or why it is not here.

A peer that lives in this process also scores its picture by our own measures, so that it did the same work; one that is
a program of its own decodes and drops it, which flatters it by the cost of a score.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import av
import numpy as np

from benchmarks.measure import BenchmarkError
from streamwatch.model.report import Credentials
from streamwatch.quality import score

LOOK_S = 30.0  # a peer that needs longer for one camera has failed

Act = Callable[[str, Credentials], None]  # one look at a URL without credentials; raises where no picture came


@dataclass(frozen=True, slots=True)
class Peer:
    """`name` as in the figures; `act` is called from so many threads at once; None: as many as our looks."""

    name: str
    act: Act
    threads: int | None = None


def present() -> tuple[list[Peer], list[str]]:
    """The peers that can run here, and a note for each that cannot."""
    peers = [Peer("pyav", _pyav_tuned), Peer("pyav_c1", _pyav_tuned, 1), Peer("pyav_default", _pyav_default)]
    notes = [
        "pyav, opencv and ffmpeg are told not to probe (analyzeduration 0, probesize 32) and to use one thread, as an "
        "expert would; pyav_default is av.open(url) with rtsp_transport=tcp and nothing else.",
        "pyav_c1 is pyav with one look at a time, without what many threads in one interpreter cost each other.",
    ]
    try:
        cv2 = importlib.import_module("cv2")
        peers.append(Peer("opencv", _opencv(cv2)))
        notes.append(f"version: opencv {cv2.__version__}")
    except ImportError:
        notes.append("opencv: not installed (pip install opencv-python-headless); it is no dependency of streamwatch.")
    for program, arguments in _PROGRAMS:
        name, path = _NAMES.get(program, program), shutil.which(program)
        if path is None:
            notes.append(f"{name}: there is no {program} on PATH; not measured.")
        else:
            peers.append(Peer(name, _program(path, arguments.split())))
            notes.append(f"version: {_version(path)}")
    return peers, notes


def _pyav_default(url: str, login: Credentials) -> None:
    with av.open(_joined(url, login), options={"rtsp_transport": "tcp"}, timeout=LOOK_S) as container:
        _scored(next(container.decode(video=0)))


def _pyav_tuned(url: str, login: Credentials) -> None:
    options = {"rtsp_transport": "tcp", "analyzeduration": "0", "probesize": "32"}
    with av.open(_joined(url, login), options=options, timeout=LOOK_S) as container:
        context = container.streams.video[0].codec_context
        context.thread_count, context.thread_type, context.skip_frame = 1, "NONE", "NONKEY"
        _scored(next(container.decode(video=0)))


def _joined(url: str, login: Credentials) -> str:
    return url.replace("rtsp://", f"rtsp://{quote(login.username, safe='')}:{quote(login.password, safe='')}@", 1)


def _scored(frame: av.VideoFrame) -> None:
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
    score(rows[: frame.height, : frame.width], None, 0)


def _opencv(cv2: Any) -> Act:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp|analyzeduration;0|probesize;32"
    os.environ["OPENCV_FFMPEG_THREADS"] = "1"

    def look(url: str, login: Credentials) -> None:
        capture = cv2.VideoCapture(_joined(url, login), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        try:
            got, picture = capture.read()
        finally:
            capture.release()
        if not got:
            raise BenchmarkError("opencv gave no picture")
        score(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), None, 0)

    return look


_PROGRAMS = (
    (
        "ffmpeg",
        "-nostdin -v error -rtsp_transport tcp -analyzeduration 0 -probesize 32 -threads 1 -i {joined} -map 0:v "
        "-frames:v 1 -threads 1 -f null -",
    ),
    ("ffprobe", "-v error -rtsp_transport tcp -show_streams {joined}"),
    (
        "gst-launch-1.0",  # the identity lets one buffer through and ends the stream at the second
        "-q rtspsrc location={url} user-id={user} user-pw={password} protocols=tcp latency=0 ! rtph264depay ! "
        "h264parse ! avdec_h264 max-threads=1 ! identity eos-after=2 ! fakesink",
    ),
)  # each a process a look
_NAMES = {"gst-launch-1.0": "gstreamer"}


def _version(path: str) -> str:
    """What a program calls itself; the ones here know -version or --version."""
    for option in ("-version", "--version"):
        said = subprocess.run([path, option], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LOOK_S)
        if said.returncode == 0 and said.stdout:
            return said.stdout.splitlines()[0].partition(" Copyright")[0]
    return "of an unknown version"


def _program(path: str, arguments: list[str]) -> Act:
    starting = threading.Lock()  # fork in many threads at once is slow on both sides

    def look(url: str, login: Credentials) -> None:
        known = {"url": url, "joined": _joined(url, login), "user": login.username, "password": login.password}
        command = [path, *(part.format_map(known) for part in arguments)]
        with starting:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
        try:
            _, said = process.communicate(timeout=LOOK_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise BenchmarkError(f"{path} gave no picture within {LOOK_S:g} s") from None
        if process.returncode != 0:
            raise BenchmarkError(f"{path} ended with {process.returncode}: {said.strip()[-200:]}")

    return look
