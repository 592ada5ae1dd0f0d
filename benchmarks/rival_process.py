"""A rival in a process of its own: takes cameras as JSON lines, looks at them in threads, says how long each took.

`python -m benchmarks.rival_process NAME`, by whichever interpreter has the rival's library. A line in is
`{"threads": 16, "looks": [["rtsp://…", "user", "password"], …]}`, a line out `{"took_ms": […], "failed": [[0, "…"]]}`.
The first line out is `{"version": "…"}`, or the process ends with what is missing on stderr. It imports nothing but the
rival's library and, where that gives us the picture, our measures: what a program that uses the library costs.

- Tuned: no time and no bytes for probing, one decoding thread, key frames only, as an expert would.
- Default: what the library's first page shows.
- Unprobed: what no manual says. libavformat decodes the key frame once to probe, however little it is given for that; a
  list of allowed decoders that names none keeps it from it, and the decoder that the user opens does not obey the list.
- Traps that are kept out of: `skip_frame` while libavformat still probes (it then waits for pictures that it skips,
  until 5 s are over), and `fflags=nobuffer` with a tiny probe (the first key frame is thrown away: wait for the next).
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

LOOK_S = 30.0  # a rival that needs longer for one camera has failed
NS = 1_000_000_000  # GStreamer's unit
UNPROBED = {"codec_whitelist": "none"}  # no decoder may be opened while libavformat probes; who decodes opens his own

Act = Callable[[str, str, str], None]  # url, user name, password; raises where no picture came


def joined(url: str, username: str, password: str) -> str:
    """The address with the login in it."""
    return url.replace("rtsp://", f"rtsp://{quote(username, safe='')}:{quote(password, safe='')}@", 1)


def scorer() -> Callable[[Any], None]:
    """Our measures of a luma plane: who has a picture in Python does the same work with it as we do."""
    score = importlib.import_module("streamwatch.quality").score
    return lambda luma: score(luma, None, 0)


def pyav(*, tuned: bool, unprobed: bool = False) -> tuple[Act, str]:
    """`av.open`, and the first picture of its video stream."""
    av, np, score = importlib.import_module("av"), importlib.import_module("numpy"), scorer()
    options = {"rtsp_transport": "tcp"}
    if tuned:
        options |= {"analyzeduration": "0", "probesize": "32"}
    if unprobed:
        options |= UNPROBED
        av.logging.set_level(av.logging.PANIC)  # it complains of that at every look

    def look(url: str, username: str, password: str) -> None:
        with av.open(joined(url, username, password), options=options, timeout=LOOK_S) as container:
            if tuned:
                context = container.streams.video[0].codec_context
                context.thread_count, context.thread_type, context.skip_frame = 1, "NONE", "NONKEY"
            frame = next(container.decode(video=0))
            plane = frame.planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            score(rows[: frame.height, : frame.width])

    return look, f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"


def opencv(*, tuned: bool, unprobed: bool = False) -> tuple[Act, str]:
    """`cv2.VideoCapture`, and the first picture that it reads."""
    cv2, score = importlib.import_module("cv2"), scorer()
    os.environ.pop("OPENCV_FFMPEG_CAPTURE_OPTIONS", None)
    if tuned:
        options = {"rtsp_transport": "tcp", "analyzeduration": "0", "probesize": "32"} | (UNPROBED if unprobed else {})
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "|".join(f"{name};{value}" for name, value in options.items())
        cv2.setNumThreads(1)

    def look(url: str, username: str, password: str) -> None:
        address = joined(url, username, password)
        capture = (
            cv2.VideoCapture(address, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
            if tuned
            else cv2.VideoCapture(address)
        )
        try:
            got, picture = capture.read()
        finally:
            capture.release()
        if not got:
            raise RuntimeError("opencv gave no picture")
        score(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))

    return look, f"OpenCV {cv2.__version__}"


PIPELINE = (
    "rtspsrc name=source protocols=tcp latency=0 buffer-mode=none do-rtcp=false teardown-timeout=0 ! rtph264depay ! "
    "avdec_h264 max-threads=1 ! appsink name=sink sync=false max-buffers=1 enable-last-sample=false"
)  # alignment and stream format are agreed between depayloader and decoder: no parser is needed


def gstreamer() -> tuple[Act, str]:
    """A pipeline a look, all in this process; the picture is decoded and dropped."""
    gi = importlib.import_module("gi")
    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    gst = importlib.import_module("gi.repository.Gst")
    importlib.import_module("gi.repository.GstApp")
    gst.init(None)

    def look(url: str, username: str, password: str) -> None:
        pipeline = gst.parse_launch(PIPELINE)
        source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
        source.set_property("location", url)
        source.set_property("user-id", username)
        source.set_property("user-pw", password)
        try:
            pipeline.set_state(gst.State.PLAYING)
            sample = sink.try_pull_sample(int(LOOK_S * NS))
            if sample is None:
                raise RuntimeError(said(pipeline) or f"gstreamer gave no picture within {LOOK_S:g} s")
        finally:
            pipeline.set_state(gst.State.NULL)

    def said(pipeline: Any) -> str:
        message = pipeline.get_bus().pop_filtered(gst.MessageType.ERROR)
        return "" if message is None else str(message.parse_error()[1] or message.parse_error()[0])

    return look, str(gst.version_string())


RIVALS: dict[str, Callable[[], tuple[Act, str]]] = {
    "pyav": lambda: pyav(tuned=True),
    "pyav_unprobed": lambda: pyav(tuned=True, unprobed=True),
    "pyav_default": lambda: pyav(tuned=False),
    "opencv": lambda: opencv(tuned=True),
    "opencv_unprobed": lambda: opencv(tuned=True, unprobed=True),
    "opencv_default": lambda: opencv(tuned=False),
    "gstreamer": gstreamer,
}


def serve(act: Act, order: dict[str, Any]) -> dict[str, Any]:
    """One sample: every look of the order, so many threads at once."""
    failed: list[tuple[int, str]] = []

    def look(index: int) -> float:
        begun = time.perf_counter()
        try:
            act(*order["looks"][index])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the rival's
            failed.append((index, " ".join(f"{type(error).__name__}: {error}".split())))
        return (time.perf_counter() - begun) * 1000

    with ThreadPoolExecutor(order["threads"]) as pool:
        took_ms = list(pool.map(look, range(len(order["looks"]))))
    return {"took_ms": took_ms, "failed": failed}


def main() -> int:
    """Serves one rival until stdin ends. Exit 1 where its library is not here."""
    try:
        act, version = RIVALS[sys.argv[1]]()
    except (ImportError, ValueError, KeyError) as error:  # gi raises ValueError for a namespace that is missing
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"version": version}), flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(act, json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
