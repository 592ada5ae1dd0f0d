"""`python -m benchmarks NAME`: runs one and prints a table, or one JSON object, or a block for the documentation."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from benchmarks.measure import BenchmarkError, machine
from benchmarks.show import markdown, renew, table
from streamwatch.errors import Exit, StreamwatchError, UsageError

BENCHMARKS = {
    "probe": "what one look costs, by depth, size and looks at once",
    "peers": "a picture look of ours beside PyAV, OpenCV, ffmpeg, GStreamer and bare decoding",
    "hold": "asking anew or on connections that stay, beside a bare protocol and asyncio's streams",
    "continuous": "a stream watched all the time beside read-and-drop, ffmpeg -c copy and PyAV threads",
    "floor": "decoding alone, and what our measures cost on top: what no look can cost less than",
    "patrol": "the whole service on 8,400 cameras at 20 s, a city's looks at five minutes: rhythm, cores, truth",
    "truth": "the same on 2,000 cameras for ten minutes, pictures and datagrams included",
    "hostile": "healthy cameras' looks with and without a quarter of hostile ones beside them",
    "inventory": "126,000 cameras imported, and imported again",
    "quality": "how well faults of a picture are told, beside the rules in use today, and what that costs",
}  # a module each


def main() -> int:
    """Exit 0 with a result, 1 where a run could not measure what it says, 64 for wrong usage."""
    listed = "\n".join(f"  {name:10} {question}" for name, question in BENCHMARKS.items())
    parser = _Parser(
        prog="python -m benchmarks", description=f"Benchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("name", choices=BENCHMARKS, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="fewer samples: an answer in under 50 s")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object")
    form.add_argument(
        "--markdown",
        nargs="?",
        const="-",
        metavar="FILE",
        help="a Markdown block; with FILE it replaces its block there",
    )
    parser.add_argument("--cache", type=Path, default=_cache(), metavar="DIR", help="rendered clips (%(default)s)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="quality: natural pictures, media/ and images/ in it")
    given = parser.parse_args()
    facts = machine()
    module = importlib.import_module(f"benchmarks.{given.name}")
    plan = module.QUICK if given.quick else module.FULL
    if given.data is not None:
        if not hasattr(plan, "data"):
            parser.error(f"{given.name} takes no --data: only quality does")
        plan = replace(plan, data=given.data)
    try:
        result = module.run(plan, given.cache).to_json(facts)
        if given.json:
            print(json.dumps(result, ensure_ascii=False))
        elif given.markdown is None:
            print(table(result))
        else:
            command = f"python -m benchmarks {given.name}" + (" --quick" if given.quick else "")
            block = getattr(module, "markdown", markdown)(result, command)
            if given.markdown == "-":
                print(block)
            else:
                renew(Path(given.markdown), given.name, block)
    except UsageError as error:
        print(error, file=sys.stderr)
        return Exit.USAGE
    except (BenchmarkError, StreamwatchError) as error:
        print(f"{given.name}: {error}", file=sys.stderr)
        return 1
    return Exit.OK


class _Parser(argparse.ArgumentParser):
    """Ends with our exit status for wrong usage instead of 2."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def _cache() -> Path:
    """Kept between runs: rendering takes longer than measuring."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "streamwatch" / "benchmarks"


if __name__ == "__main__":
    sys.exit(main())
