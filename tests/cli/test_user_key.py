"""`user` and `key`: alone, beside a running service, in words and as JSON; secrets are shown once, or never."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from streamwatch.cli import through
from streamwatch.datadir import DataDir
from tests.cli.conftest import Shell


def told(text: str) -> Any:
    """The JSON of one command, which is all that it printed."""
    (line,) = text.splitlines()
    return json.loads(line)


def login(shell: Shell, name: str, password: str) -> httpx.Client | None:
    """A session of the running service; None where it is refused."""
    assert shell.running is not None
    client = httpx.Client(base_url=shell.running.api.base_url, trust_env=False)
    answer = client.post("/api/v1/login", json={"name": name, "password": password})
    return client if answer.status_code == 200 else None


def test_a_user_lives_without_a_service(alone: Shell) -> None:
    """Added, listed, disabled, enabled: each in words, and nobody holds the data directory afterwards."""
    added = alone("user", "add", "王芳", "--role", "viewer", "--password-stdin", stdin="long enough\n")
    assert (added.status, added.out) == (0, "王芳 is a viewer of everything now\n")
    assert '"by": ' in added.err
    assert "long enough" not in added.err
    listed = alone("user", "list")
    assert listed.out.splitlines()[0].split() == ["name", "role", "region", "region's", "name", "state", "created"]
    assert "in force" in listed.out
    assert alone("user", "disable", "王芳").out.startswith("王芳 is disabled since 2")
    assert "disabled 2" in alone("user", "list").out
    again = alone("user", "enable", "王芳", "--generate")
    assert again.out.splitlines()[0] == "王芳 is in force again, with a new password"
    assert again.out.splitlines()[1].startswith("password, shown once: ")
    assert DataDir(alone.data_dir).holder() is None


def test_a_key_lives_without_a_service(alone: Shell) -> None:
    """Printed once when it is made; the list has its id and what it may do."""
    made = alone("key", "add", "grafana", "--scopes", "read,metrics").out.splitlines()
    assert made[1].startswith("sw_")
    key_id = made[1].split("_")[1]
    assert made[0] == f"key {key_id} for grafana (metrics read), shown once:"
    assert alone("key", "list").out.splitlines()[1].split()[:4] == [key_id, "grafana", "metrics", "read"]
    assert alone("key", "revoke", key_id).out == f"key {key_id} (grafana) opens nothing any more\n"
    assert "revoked 2" in alone("key", "list").out


def test_json_of_users_and_keys(alone: Shell) -> None:
    """One value a command; a password that was made up is in it, one that was given is not."""
    user = told(alone("user", "add", "ann", "--role", "editor", "--generate", "--json").out)
    assert set(user) == {"name", "role", "region", "created_at", "disabled_at", "password"}
    given = told(alone("user", "password", "ann", "--password-stdin", "--json", stdin="long enough").out)
    assert given == {name: value for name, value in user.items() if name != "password"}
    assert told(alone("user", "list", "--json").out) == [given]
    assert told(alone("user", "disable", "ann", "--json").out)["disabled_at"] is not None
    assert told(alone("user", "enable", "ann", "--generate", "--json").out)["disabled_at"] is None
    key = told(alone("key", "add", "g", "--scopes", "metrics", "--json").out)
    assert set(key) == {"id", "name", "scopes", "region", "created_at", "revoked_at", "key"}
    assert told(alone("key", "list", "--json").out) == [{name: key[name] for name in key if name != "key"}]
    assert told(alone("key", "revoke", key["id"], "--json").out)["revoked_at"] is not None


def test_an_account_counts_at_once_in_a_running_service(beside: Shell) -> None:
    """It signs in after `add`; `disable` ends the session that it has; `enable` brings no old session back."""
    region = told(beside("key", "list", "--json").out)[0]["region"]
    assert region is None
    added = told(beside("user", "add", "live", "--role", "viewer", "--generate", "--json").out)
    client = login(beside, "live", added["password"])
    assert client is not None
    assert client.get("/api/v1/villages").status_code == 200

    assert beside("user", "disable", "live").status == 0
    assert client.get("/api/v1/villages").status_code == 401
    assert login(beside, "live", added["password"]) is None

    again = told(beside("user", "enable", "live", "--generate", "--json").out)
    assert client.get("/api/v1/villages").status_code == 401
    assert login(beside, "live", again["password"]) is not None


def test_a_key_counts_at_once_in_a_running_service(beside: Shell) -> None:
    """It opens after `add`, what its scopes say and no more, and nothing after `revoke`."""
    assert beside.running is not None
    key = told(beside("key", "add", "live", "--scopes", "read", "--json").out)
    asked = httpx.Client(
        base_url=beside.running.api.base_url, headers={"Authorization": f"Bearer {key['key']}"}, trust_env=False
    )
    assert asked.get("/api/v1/villages").status_code == 200

    assert beside("key", "revoke", key["id"]).status == 0
    assert asked.get("/api/v1/villages").status_code == 401


def test_the_service_logs_who_changed_what(beside: Shell) -> None:
    """In its own log, by the user of the operating system; no secret is in it."""
    assert beside.running is not None
    key = told(beside("key", "add", "logged", "--scopes", "read", "--json").out)
    events = [json.loads(line) for line in beside.running.tail(200).splitlines() if '"access.changed"' in line]
    (event,) = [one for one in events if one["who"] == "logged"]

    assert (event["change"], event["by"], event["scopes"]) == ("key.add", through.asker(), "read")
    assert key["key"] not in beside.running.log.read_text()


def test_refusals_of_a_running_service_are_64_as_when_alone(beside: Shell) -> None:
    """The message is the service's own; the first administrator is the last."""
    last = beside("user", "disable", "admin")
    assert (last.status, "last administrator" in last.err) == (64, True)
    wrong = beside("user", "add", "x", "--role", "viewer", "--generate", "--region", "nowhere")
    assert (wrong.status, "青河县" in wrong.err, wrong.out) == (64, True, "")


def test_another_command_that_holds_the_directory_is_named(alone: Shell) -> None:
    """75, with its process, and nothing was written."""
    with DataDir(alone.data_dir).lock("import", 0):
        refused = alone("user", "add", "x", "--role", "viewer", "--generate")
    assert refused.status == 75
    assert f"process {os.getpid()} (import)" in refused.err


def test_a_user_of_a_sudo_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """root alone says nothing of who it was."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    plain = through.asker()
    monkeypatch.setenv("SUDO_USER", "ann")
    assert through.asker() == f"{plain} (sudo: ann)"


class Terminal:
    """A command on a terminal of its own: what it shows, and what a person types."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        environ = shell.environ()
        command = [sys.executable, "-m", "streamwatch", *words]
        # A session of its own with that terminal, so that getpass finds it as /dev/tty.
        starter = (
            f"import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv({command[0]!r}, {command!r})"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", starter],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def until(self, words: str) -> None:
        """Reads until it shows that."""
        ends = time.monotonic() + 30
        while words not in self.shown:
            assert time.monotonic() < ends, self.shown
            if select.select([self._ours], [], [], 1)[0]:
                self.shown += os.read(self._ours, 4_096).decode()

    def types(self, words: str) -> None:
        """A line, and what was shown so far is done with."""
        self.shown = ""
        os.write(self._ours, f"{words}\n".encode())

    def end(self) -> int:
        """Its status, after the rest was read."""
        try:
            while part := os.read(self._ours, 4_096):
                self.shown += part.decode()
        except OSError:
            pass  # EIO: the command has closed its end
        os.close(self._ours)
        return self.process.wait(30)


def test_a_password_is_asked_twice_and_never_shown(alone: Shell) -> None:
    """Without echo; two that differ are asked for again."""
    terminal = Terminal(alone, "user", "add", "ann", "--role", "viewer")
    seen = ""
    for prompt, typed in (
        ("password for ann: ", "one-of-these"), ("again: ", "not-of-these"),
        ("password for ann: ", "one-of-these"), ("again: ", "one-of-these"),
    ):  # fmt: skip
        terminal.until(prompt)
        seen += terminal.shown
        terminal.types(typed)
    assert terminal.end() == 0
    seen += terminal.shown

    assert "differ" in seen
    assert "ann is a viewer" in seen
    assert "of-these" not in seen
