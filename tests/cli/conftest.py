"""A running service that several tests of commands share, and the commands beside it."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
import structlog

from streamwatch.cli.call import call
from tests.running import Service, service


@dataclass
class Ran:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str


@dataclass
class Shell:
    """Where an operator types commands: a data directory, and perhaps a service on it."""

    data_dir: Path
    running: Service | None = None

    def environ(self, **settings: str) -> dict[str, str]:
        """The environment of a command; `settings` are names without STREAMWATCH_."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STREAMWATCH_")}
        given = {"DATA_DIR": str(self.data_dir)} | settings
        return kept | {f"STREAMWATCH_{name}": value for name, value in given.items()}

    def __call__(self, *words: str, stdin: str = "", **settings: str) -> Ran:
        """One command, without a terminal, in this process: a process of its own takes a second to begin."""
        out, err = io.StringIO(), io.StringIO()
        root, hook = logging.getLogger(), sys.excepthook
        handlers, level = root.handlers[:], root.level
        with (
            mock.patch.dict(os.environ, self.environ(**settings), clear=True),
            mock.patch.object(sys, "stdin", io.StringIO(stdin)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                status = call(words)
            finally:
                root.handlers[:], sys.excepthook = handlers, hook
                root.setLevel(level)
                structlog.reset_defaults()
        return Ran(status, out.getvalue(), err.getvalue())

    def process(self, *words: str, **settings: str) -> subprocess.Popen[bytes]:
        """One command as a process of its own, for tests that end it before it ends."""
        command = [sys.executable, "-m", "streamwatch", *words]
        return subprocess.Popen(command, env=self.environ(**settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="session")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Commands beside a running service that watches nothing."""
    folder = tmp_path_factory.mktemp("beside")
    lists = folder / "villages.csv"
    lists.write_text("code,name,region\nV1,青石村,青河县/双河镇\n", encoding="utf-8")
    with service(folder / "data", "--in-one-process") as running:
        shell = Shell(folder / "data", running)
        assert shell("import", "villages", str(lists)).status == 0
        yield shell


@pytest.fixture
def alone(tmp_path: Path) -> Shell:
    """Commands on a data directory that nobody else uses, and that does not exist yet."""
    return Shell(tmp_path / "data")
