"""`completion`: real shells complete our commands with what it prints."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.servers import require

LINES = [
    ("streamwatch pro", {"probe"}),
    ("streamwatch user add ann --ro", {"--role"}),
    ("streamwatch db re", {"restore"}),
    ("streamwatch import ca", {"cameras"}),
]
TRY = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
$(complete -p streamwatch | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(alone: Shell, shell: str, folder: Path) -> Path:
    """What an operator puts into a file. Skips where there is no such shell."""
    require(shutil.which(shell) is not None, shell, f"apt-get install {shell}")
    printed = alone("completion", shell)
    assert (printed.status, printed.err) == (0, "")
    path = folder / "_streamwatch"
    path.write_text(printed.out)
    return path


@pytest.mark.parametrize(("line", "wanted"), LINES)
def test_bash_completes(alone: Shell, tmp_path: Path, line: str, wanted: set[str]) -> None:
    """By the function that the script registers, as bash calls it at TAB."""
    path = script(alone, "bash", tmp_path)
    done = subprocess.run(
        ["bash", "-c", TRY, "bash", path, *line.split(" ")], capture_output=True, text=True, check=True
    )
    assert wanted <= set(done.stdout.split())
    assert done.stderr == ""


@pytest.mark.parametrize(("line", "wanted"), LINES[:3])
def test_fish_completes(alone: Shell, tmp_path: Path, line: str, wanted: set[str]) -> None:
    """By fish's own `complete -C`."""
    path = script(alone, "fish", tmp_path)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {path}; complete -C '{line}'"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert wanted <= {found.split("\t")[0] for found in done.stdout.splitlines()}


@pytest.mark.parametrize("how", ["fpath=({folder} $fpath); {init}", "{init}; source {folder}/_streamwatch"])
def test_zsh_completes(alone: Shell, tmp_path: Path, how: str) -> None:
    """On a terminal, with TAB: from a folder of $fpath, and sourced."""
    path = script(alone, "zsh", tmp_path)
    ours, theirs = pty.openpty()
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb", "PS1": "> "}
    shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    shown = ""

    def until(words: str) -> None:
        nonlocal shown
        ends = time.monotonic() + 20
        while words not in shown:
            assert time.monotonic() < ends, shown
            if select.select([ours], [], [], 1)[0]:
                shown += os.read(ours, 4_096).decode()
        shown = shown[shown.index(words) + len(words) :]

    try:
        begin = how.format(folder=path.parent, init="autoload -Uz compinit; compinit -D")
        os.write(ours, f"{begin}; print rea''dy\n".encode())
        until("ready")
        os.write(ours, b"streamwatch pro\t")
        until("streamwatch probe")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def test_another_shell_is_refused_with_those_there_are(alone: Shell) -> None:
    """64."""
    refused = alone("completion", "tcsh")
    assert refused.status == 64
    assert '"bash", "zsh", "fish"' in refused.err
