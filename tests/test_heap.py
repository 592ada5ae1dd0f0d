"""What malloc does with keyframes that come and go."""

from __future__ import annotations

import platform
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import gc, resource, sys
    from streamwatch import heap
    if sys.argv[1] == "told":
        heap.prepare_for_looks()
        assert gc.get_threshold()[0] == heap.LOOK_OBJECTS and gc.get_freeze_count() > 1000
    def look(size):
        pieces = [bytes(1400) for _ in range(size // 1400)]
        return len(b"".join(pieces))
    for size in (60_000, 250_000):
        look(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        look(60_000), look(250_000)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_keyframes_come_and_go_without_page_faults() -> None:
    """A hundred looks of 60 and of 250 KB: malloc that was told keeps their memory; by itself it gives it back."""
    assert _faults("told") < 100 < _faults("by itself")
