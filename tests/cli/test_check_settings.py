"""`check-settings`: what `run` would say of the configuration, without running."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamwatch.cli.check_settings import check_settings
from streamwatch.errors import Exit

BAD = Path(__file__).resolve().parents[1] / "data/settings/bad_too_small.toml"


def test_good_settings_are_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, and where data and API are."""
    assert check_settings(None, environ={"STREAMWATCH_DATA_DIR": str(tmp_path)}) == Exit.OK
    assert capsys.readouterr().out == f"settings are well: data in {tmp_path}, API on 127.0.0.1:8080\n"


def test_problems_are_named_and_the_status_is_78(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr for people, as an object for programs."""
    environ = {"STREAMWATCH_LISTN": "x"}

    assert check_settings(BAD, environ=environ) == Exit.CONFIG
    err = capsys.readouterr().err
    assert "STREAMWATCH_LISTN: unknown variable" in err
    assert f"{BAD}:2: schedule.interval_s" in err
    assert check_settings(BAD, environ=environ, as_json=True) == Exit.CONFIG
    assert json.loads(capsys.readouterr().out) == {"ok": False, "problems": err.splitlines()}


def test_every_key_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Key, default, meaning and what it takes."""
    assert check_settings(None, list_keys=True, environ={}) == Exit.OK
    assert "limits.per_host = 4\n    Sessions at the same time to one address. Takes" in capsys.readouterr().out
    assert check_settings(None, list_keys=True, as_json=True, environ={}) == Exit.OK
    rows = json.loads(capsys.readouterr().out)
    assert {"key", "env", "takes", "default", "description"} == set(rows[0])
