"""The command line itself: statuses and words for calls that cannot be meant."""

from __future__ import annotations

import json

import pytest

from streamwatch.cli.call import call


def test_a_word_that_is_no_command_is_64_and_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing mistake is answered with what was probably meant, anything else with what there is."""
    assert call(["prob"]) == 64
    assert "did you mean probe?" in capsys.readouterr().err
    assert call(["xyzzy"]) == 64
    assert "check-settings" in capsys.readouterr().err


def test_version_as_json_names_what_runs_here(capsys: pytest.CaptureFixture[str]) -> None:
    """streamwatch, Python, av, FFmpeg, SQLite."""
    assert call(["--version", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"streamwatch", "python", "av", "ffmpeg", "sqlite"}


def test_an_unknown_option_is_64(capsys: pytest.CaptureFixture[str]) -> None:
    """The option is named."""
    assert call(["probe", "rtsp://127.0.0.1/x", "--deep"]) == 64
    assert "--deep" in "".join(capsys.readouterr())


def test_a_wrong_configuration_is_78_and_names_the_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is touched."""
    monkeypatch.setenv("STREAMWATCH_LIMITS__PER_HOST", "0")

    assert call(["check-settings"]) == 78
    assert call(["run"]) == 78
    assert "limits.per_host" in capsys.readouterr().err
