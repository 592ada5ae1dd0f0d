"""Runs targets by libFuzzer: python -m tests.fuzz TARGET[,TARGET …] [--seconds N] [--seed S] [INPUT …].

With inputs (files) it runs those once each, without libFuzzer: so a crash is seen again. Without, it looks for new
ones for so many seconds, from the target's seeds and its stored corpus, with the coverage of streamwatch.wire as its
guide. What breaks a law is stored in the corpus, and how to run it again is printed; the status is then not 0.
Several targets run one after the other, and give a JSON line each: {"target", "status", "output"}.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

GUIDES = ["streamwatch.wire", "streamwatch.decoders.recognise", "streamwatch.inventory"]
MOST_S = 10  # seconds of one input: it hangs
MOST_MIB = 1024  # of the whole process
MOST_STORED = 512  # bytes: a corpus is read by people too


def main() -> None:
    """See above."""
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz")
    arguments.add_argument("target")
    arguments.add_argument("inputs", nargs="*", type=Path)
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--grow", action="store_true", help="keep new inputs that reach new code")
    given = arguments.parse_args()
    if given.inputs:
        from tests.fuzz.targets import TARGETS

        for path in given.inputs:
            accepted = TARGETS[given.target].accepts(path.read_bytes())
            print(f"{path}: {'accepted' if accepted else 'refused'}, as it should be")
        return
    if importlib.util.find_spec("atheris") is None:
        sys.exit(
            "atheris is not here: it has wheels for Linux on x86-64 up to Python 3.13; give inputs, or see make test"
        )
    import atheris

    with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=GUIDES):
        import tests.fuzz.targets  # noqa: F401 - once for all targets: it takes longer than some of them run
    names = given.target.split(",")
    if len(names) == 1:
        sys.exit(_run(given.target, given))
    statuses = []
    for name in names:
        with tempfile.TemporaryFile() as output:
            statuses.append(_run(name, given, output.fileno()))
            output.seek(0)
            told = output.read().decode("utf-8", "replace")
        print(json.dumps({"target": name, "status": statuses[-1], "output": told}), flush=True)
    sys.exit(max(map(abs, statuses)))


def _run(name: str, given: argparse.Namespace, output: int | None = None) -> int:
    """The status of one target; what it prints goes to the file `output`."""
    scratch = Path(tempfile.mkdtemp())
    sys.stdout.flush()
    child = os.fork()  # libFuzzer ends its process itself
    if child == 0:
        if output is not None:
            os.dup2(output, 1)
            os.dup2(output, 2)
        _fuzz(name, scratch, given.seconds, given.seed)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    told = _keep(name, scratch, grow=given.grow)
    if output is None:
        print(told, end="", flush=True)
    else:
        os.write(output, told.encode())
    shutil.rmtree(scratch)
    return status


def _fuzz(name: str, scratch: Path, seconds: int, seed: int) -> None:
    """Never returns."""
    import atheris

    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]

    def once(data: bytes) -> None:
        try:
            target.accepts(data)
        except BaseException:
            (scratch / "crash-law").write_bytes(data)
            raise

    (scratch / "found").mkdir()
    (scratch / "seeds").mkdir()
    for number, data in enumerate([*target.seeds(), *(path.read_bytes() for path in target.stored())]):
        (scratch / "seeds" / str(number)).write_bytes(data)
    words = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    (scratch / "words").write_text("".join(f'"{word}"\n' for word in words))
    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        "-max_len=8192",
        f"-timeout={MOST_S}",
        f"-rss_limit_mb={MOST_MIB}",
        f"-artifact_prefix={scratch}/",
        *([f"-dict={scratch / 'words'}"] if target.words else []),
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    print(f"fuzz {name}: {seconds} s, seed {seed}", flush=True)
    atheris.Setup([sys.argv[0], *options, str(scratch / "found"), str(scratch / "seeds")], once)
    atheris.Fuzz()


def _keep(name: str, scratch: Path, *, grow: bool) -> str:
    """Stores what broke it, also what took too long or too much, and with `grow` what reached new code; says how to
    see it again."""
    broken = [*scratch.glob("crash-*"), *scratch.glob("timeout-*"), *scratch.glob("oom-*")]
    if not broken and not grow:
        return ""
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    told = ""
    for path in broken:
        kept = target.keep(path.read_bytes())
        told += f"Broken ({path.name.partition('-')[0]}). Again: {sys.executable} -m tests.fuzz {name} {kept}\n"
    if grow:
        for path in (scratch / "found").iterdir():
            if path.stat().st_size <= MOST_STORED:
                target.keep(path.read_bytes())
    return told


if __name__ == "__main__":
    main()
