"""Every target over its seeds and its stored corpus: laws, every split, and what 64 KiB of hostile bytes may cost."""

from __future__ import annotations

import ast
import re
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from streamwatch.errors import LookError
from streamwatch.model.look import Depth
from streamwatch.wire import rtsp
from streamwatch.wire.conversation import Ask, Conversation
from tests.fuzz.look_targets import outcome
from tests.fuzz.stream_targets import GOOD
from tests.fuzz.target import CORPUS, CPU_S, SIZE, Target, records
from tests.fuzz.targets import TARGETS
from tests.fuzz.text_targets import CREDENTIALS, events, rtsp_seeds
from tests.wire import camera

ALL = sorted(TARGETS)
RUNS = 5  # of which the fastest counts: others need the machine, too
TRAPS = [(name, trap) for name in ALL for trap in TARGETS[name].hostile()]


@pytest.mark.parametrize("name", ALL)
def test_r14_stored_inputs_hold_every_law(name: str) -> None:
    """Setup: a parser's good inputs, and all that ever broke it. Fault: none. Bound: only declared errors, all laws."""
    target = TARGETS[name]
    seeds = target.seeds()
    assert seeds
    for data in [b"", *seeds]:
        target.accepts(data)
    for path in target.stored():
        try:
            target.accepts(path.read_bytes())
        except BaseException as error:
            raise AssertionError(f"again: python -m tests.fuzz {name} {path.relative_to(Path.cwd())}") from error


def test_every_stored_input_belongs_to_a_target() -> None:
    """Else it would be run by nobody."""
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


@pytest.mark.parametrize("name", [name for name in ALL if TARGETS[name].gortsplib])
def test_r14_the_corpus_of_gortsplib_holds_every_law(name: str, shared_data: Path) -> None:
    """Setup: what fuzzing found for another library. Fault: its crashes. Bound: only declared errors, all laws."""
    target = TARGETS[name]
    files = sorted((shared_data / "rtsp" / "gortsplib-fuzz").glob("*"))
    chosen = [path for path in files if path.name.startswith(target.gortsplib)]
    assert chosen
    for path in chosen:
        for data in literals(path.read_text("utf-8")):
            target.accepts(data)
            target.accepts(records([(0x80, data)]))
            if target.name in {"h264", "mjpeg"}:
                target.accepts(b"".join(records([(part[0] & 0xE0, part[1:])]) for part in data.split(b"\x00") if part))


def literals(text: str) -> list[bytes]:
    """The values of a file of Go's fuzzing."""
    found = re.findall(r'^(?:\[\]byte|string)\((".*")\)$', text, re.MULTILINE)
    return [ast.literal_eval(literal).encode("latin-1", "replace") for literal in found]


def test_r14_every_split_of_a_message_gives_the_same_events() -> None:
    """Setup: replies of real devices. Fault: cut in two at every byte. Bound: the same events."""
    for seed in rtsp_seeds():
        whole = events([seed])
        for cut in range(1, len(seed)):
            assert events([seed[:cut], seed[cut:]]) == whole, f"cut at {cut}: {seed!r}"


def test_r14_every_split_of_a_conversation_leads_to_the_same_look() -> None:
    """Setup: a good look, from OPTIONS to its keyframe. Fault: cut in two at every byte. Bound: the same outcome."""
    whole = outcome(_after(GOOD.whole))
    assert whole[1] is not None, "no keyframe"
    for cut in range(1, len(GOOD.whole)):
        assert outcome(_after(GOOD.whole[:cut], GOOD.whole[cut:])) == whole, f"cut at {cut}"


def _after(*parts: bytes) -> Conversation:
    talked = Conversation(Ask(camera.URL, Depth.STREAM, CREDENTIALS), lambda: "c")
    talked.start(0.0)
    for part in parts:
        talked.receive(part, 2.0)
    return talked


@pytest.mark.parametrize(("name", "trap"), TRAPS)
def test_r14_hostile_bytes_cost_little(name: str, trap: str) -> None:
    """Setup: 64 KiB made to be slow. Fault: so bad. Bound: 100 ms of CPU; 4 x input + 1 MiB."""
    target = TARGETS[name]
    data = target.hostile()[trap]
    assert len(data) <= SIZE
    tracemalloc.start()
    try:
        _parse(target, data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= target.room, f"{peak} bytes for {len(data)}"
    fastest = CPU_S + 1
    for _ in range(RUNS):
        begun = time.process_time()
        _parse(target, data)
        fastest = min(fastest, time.process_time() - begun)
        if fastest <= CPU_S / 2:
            break
    assert fastest <= CPU_S, f"{fastest * 1000:.0f} ms for {len(data)} bytes"


def _parse(target: Target, data: bytes) -> None:
    with suppress(LookError, *target.declared):
        target.parse(data)


def test_a_parser_that_raises_something_else_is_seen() -> None:
    """The laws can fail: a target whose parser is broken does."""
    broken = Target("x", rtsp.RtspParser().receive, lambda data: [][len(data)], lambda: [b"x"], dict)
    with pytest.raises(IndexError):
        broken.accepts(b"x")
