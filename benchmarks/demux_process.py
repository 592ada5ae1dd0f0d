"""PyAV as many thin readers: a thread a stream takes packets from libavformat and drops them.

`python -m benchmarks.demux_process`; the first line in is `[["rtsp://…", "user", "password"], …]`, each later one asks
how many packets all of them have taken so far, which is the line out. It ends with its stdin.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading

import av

from benchmarks.rival_process import LOOK_S, joined

TUNED = {"rtsp_transport": "tcp", "analyzeduration": "0", "probesize": "32"}


def main() -> int:
    """Reads until stdin ends."""
    taken = itertools.count()  # next() is one step of the interpreter: threads may share it

    def read(url: str, username: str, password: str) -> None:
        with av.open(joined(url, username, password), options=TUNED, timeout=LOOK_S) as container:
            for _ in container.demux(video=0):
                next(taken)

    for camera in json.loads(sys.stdin.readline()):
        threading.Thread(target=read, args=camera, daemon=True).start()
    for asked, _ in enumerate(sys.stdin):
        print(next(taken) - asked, flush=True)
    os._exit(0)  # readers sit in C, and nobody waits for them


if __name__ == "__main__":
    sys.exit(main())
