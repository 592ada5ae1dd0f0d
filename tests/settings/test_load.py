"""Environment over TOML over defaults, and what is refused with which words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamwatch.errors import ConfigError
from streamwatch.model.look import Depth, StreamKind
from streamwatch.settings import Settings, describe, load
from streamwatch.settings.load import default_data_dir
from streamwatch.settings.model import WITHOUT_EFFECT
from streamwatch.settings.toml_lines import key_lines, line_of
from tests.certificates import certificate

DATA = Path(__file__).resolve().parents[1] / "data/settings"

REFUSED = {
    "after_multiline_text": "FILE:6: web.session_h: 0 does not fit; give a number above 0 to 720",
    "blur_without_hysteresis": "FILE:3: quality.blur_clear: below quality.blur_raise; make it equal or larger",
    "boolean_for_number": "FILE:2: limits.per_host: True does not fit; give a whole number from 1 to 1000",
    "canary": "FILE:2: canaries.targets: 'ping://10.0.0.1' does not fit; "
    "give a list of at most 16, each gateway or tcp://HOST:PORT",
    "canary_port": "FILE:2: canaries.targets: 'tcp://10.0.0.1:0' does not fit; "
    "give a list of at most 16, each gateway or tcp://HOST:PORT",
    "confirmations_not_as_many": "FILE:3: schedule.confirm_after_s: not as many as schedule.confirm_looks; "
    "give one number a confirming look",
    "confirmations_not_ascending": "FILE:2: schedule.confirm_after_s: not ascending; put the earlier look first",
    "ca_file_missing": "FILE:3: tls.ca_file: '/nowhere/authorities.pem' does not fit; "
    "give the absolute path of a file with certificates in PEM (-----BEGIN CERTIFICATE-----)",
    "ca_file_relative": "FILE:2: tls.ca_file: 'authorities.pem' does not fit; "
    "give the absolute path of a file with certificates in PEM (-----BEGIN CERTIFICATE-----)",
    "database": "FILE:1: database_url: the value does not fit; "
    "give sqlite+aiosqlite:////absolute/path/streamwatch.db, the only database of this version",
    "date_for_number": "FILE:2: schedule.interval_s: 2026-01-01 does not fit; give a whole number from 5 to 86400",
    "deadline_below_connect": "FILE:3: look.deadline_s: shorter than look.connect_s; "
    "make the whole look longer than its first step",
    "dotted_key": "FILE:2: limits.per_host: 0 does not fit; give a whole number from 1 to 1000",
    "fraction_for_whole": "FILE:2: schedule.interval_s: 60.5 does not fit; give a whole number from 5 to 86400",
    "infinite": "FILE:2: look.deadline_s: inf does not fit; give a number above 0 to 60",
    "key_in_wrong_section": "FILE:1: interval_s: unknown key; did you mean schedule.interval_s?",
    "listen": "FILE:1: listen: '8080' does not fit; "
    "give host:port such as 127.0.0.1:8080 or [::1]:8080; port 0 picks a free one",
    "listen_port": "FILE:1: listen: '127.0.0.1:70000' does not fit; "
    "give host:port such as 127.0.0.1:8080 or [::1]:8080; port 0 picks a free one",
    "nats": "FILE:1: nats_url: lookers on other machines are not in this version; remove it",
    "no_effect_access_grace": "FILE:2: booking.access_grace_h: has no effect in this version; remove it",
    "no_effect_per_camera": "FILE:2: metrics.per_camera: has no effect in this version; remove it",
    "network_host_bits": "FILE:2: look.allow_networks: '192.168.1.1/24' does not fit; "
    "give a list of at most 1000, each a network such as 10.0.0.0/8",
    "not_a_choice": "FILE:2: decoders.jail: 'off' does not fit; give one of required, best_effort",
    "not_toml": "FILE: not TOML: Expected newline or end of document after a statement (at line 1, column 15); "
    "see toml.io, or check-settings after each change",
    "not_utf8": "FILE: byte 2 is not UTF-8; save the file as UTF-8",
    "record_depth": "FILE:2: schedule.depth: 'record' does not fit; give one of reach, stream, picture",
    "section_is_value": "FILE:1: limits: is a section; write [limits] and its keys below",
    "tls_verify": "FILE:2: tls.verify: 'maybe' does not fit; give one of strict, warn, off",
    "too_large": "FILE:2: look.deadline_s: 61 does not fit; give a number above 0 to 60",
    "too_many_confirmations": "FILE:2: schedule.confirm_looks: 5 does not fit; give a whole number from 0 to 4",
    "too_small": "FILE:2: schedule.interval_s: 4 does not fit; give a whole number from 5 to 86400",
    "unknown_key": "FILE:2: limits.per_hosts: unknown key; did you mean limits.per_host?",
    "unknown_key_far": "FILE:2: web.zzz: unknown key; the documentation lists all keys",
    "unknown_section": "FILE:3: limit: unknown key; did you mean limits?",
    "user_agent": "FILE:2: look.user_agent: 'a\\r\\nAuthorization: b' does not fit; "
    "give 1 to 64 printable ASCII characters",
    "wrong_type": "FILE:2: limits.per_host: '4' does not fit; give a whole number from 1 to 1000",
}


def problems(config: Path | None, environ: dict[str, str]) -> list[str]:
    """The lines of the refusal."""
    with pytest.raises(ConfigError) as caught:
        load(config, environ)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("rule", sorted(REFUSED))
def test_a_bad_file_is_refused_with_place_key_and_remedy(rule: str) -> None:
    """One file a rule; the message is part of the interface and says where, what and how to mend it."""
    file = DATA / f"bad_{rule}.toml"

    assert [REFUSED[rule].replace("FILE", str(file))] == problems(file, {})


def test_every_bad_file_has_its_row() -> None:
    """No bad file lies there unasserted."""
    assert {f"bad_{rule}.toml" for rule in REFUSED} == {file.name for file in DATA.glob("bad_*.toml")}


def test_a_file_with_every_key_is_taken() -> None:
    """Each key of the model that has an effect can be set from TOML and arrives in its type."""
    settings = load(DATA / "good_everything.toml", {})

    assert settings.bind() == ("::1", 0)
    assert settings.data_dir == DATA / "here"  # relative to the file, not to where the command was typed
    assert settings.schedule.depth is Depth.STREAM
    assert settings.schedule.stream is StreamKind.MAIN
    assert settings.look.allow_networks == ("10.0.0.0/8", "fd00::/8")
    given = {row.key for row in describe()} - WITHOUT_EFFECT - {"nats_url", "tls.ca_file"}  # that one: see below
    defaults = load(None, {})
    for key in given:
        assert value(settings, key) != value(defaults, key), key


def value(settings: Settings, key: str) -> object:
    """The value of a described key."""
    found: object = settings
    for name in key.split("."):
        found = getattr(found, name)
    return found


def test_a_variable_beats_the_file_and_the_file_beats_the_default() -> None:
    """Environment > TOML > defaults, key by key."""
    settings = load(DATA / "good_everything.toml", {"STREAMWATCH_LIMITS__PER_HOST": "9"})

    assert settings.limits.per_host == 9
    assert settings.limits.per_recorder == 3
    assert load(None, {}).limits.per_recorder == 8


def test_a_right_variable_heals_a_wrong_file() -> None:
    """Only the value that counts is judged."""
    assert load(DATA / "bad_too_small.toml", {"STREAMWATCH_SCHEDULE__INTERVAL_S": "60"}).schedule.interval_s == 60


def test_every_key_has_a_variable() -> None:
    """Texts of variables are read as numbers, choices and comma-separated lists."""
    settings = load(
        None,
        {
            "STREAMWATCH_LISTEN": "0.0.0.0:0",
            "STREAMWATCH_LOOK__DEADLINE_S": "7.5",
            "STREAMWATCH_LOOK__ALLOW_NETWORKS": "10.0.0.0/8, 192.168.0.0/16",
            "STREAMWATCH_SCHEDULE__CONFIRM_AFTER_S": "1,2",
            "STREAMWATCH_SCHEDULE__DEPTH": "reach",
            "STREAMWATCH_CANARIES__TARGETS": "[]",
            "STREAMWATCH_DATA_DIR": "somewhere",
        },
    )

    assert settings.bind() == ("0.0.0.0", 0)
    assert settings.look.deadline_s == 7.5
    assert settings.look.allow_networks == ("10.0.0.0/8", "192.168.0.0/16")
    assert settings.schedule.confirm_after_s == (1.0, 2.0)
    assert settings.schedule.depth is Depth.REACH
    assert settings.canaries.targets == ()
    assert settings.data_dir == Path.cwd() / "somewhere"


def test_a_variable_can_name_a_file_with_the_value(tmp_path: Path) -> None:
    """..._FILE takes the content, without the newline that editors add: how secrets reach containers."""
    file = tmp_path / "url"
    file.write_text("sqlite+aiosqlite:////srv/hunter2.db\n")

    settings = load(None, {"STREAMWATCH_DATABASE_URL_FILE": str(file)})

    assert settings.database_url == "sqlite+aiosqlite:////srv/hunter2.db"
    assert "hunter2" not in repr(settings)


def test_all_problems_come_at_once() -> None:
    """File and variables are both read to the end, and nothing that may be a password is shown."""
    assert [
        "STREAMWATCH_DATABASE_URL_FILE: database_url: STREAMWATCH_DATABASE_URL is set too; keep one of the two",
        "STREAMWATCH_LIMIT__PER_HOST: unknown variable; did you mean STREAMWATCH_LIMITS__PER_HOST?",
        "STREAMWATCH_NATS_URL_FILE: nats_url: /nonexistent: No such file or directory; "
        "name a readable text file with the value",
        f"{DATA / 'bad_too_small.toml'}:2: schedule.interval_s: 4 does not fit; give a whole number from 5 to 86400",
        "STREAMWATCH_CANARIES__TARGETS: canaries.targets: 'tcp://1.2.3.4' does not fit; "
        "give a list of at most 16, each gateway or tcp://HOST:PORT",
        "STREAMWATCH_DATABASE_URL: database_url: the value does not fit; "
        "give sqlite+aiosqlite:////absolute/path/streamwatch.db, the only database of this version",
    ] == problems(
        DATA / "bad_too_small.toml",
        {
            "STREAMWATCH_LIMIT__PER_HOST": "4",
            "STREAMWATCH_NATS_URL_FILE": "/nonexistent",
            "STREAMWATCH_DATABASE_URL": "mysql://root:hunter2@db",
            "STREAMWATCH_DATABASE_URL_FILE": "/nonexistent",
            "STREAMWATCH_CANARIES__TARGETS": "gateway, tcp://1.2.3.4",
        },
    )


def test_a_contradiction_names_the_variable_that_made_it() -> None:
    """The place of a rule over several keys is where its key was given."""
    assert problems(None, {"STREAMWATCH_LOOK__DEADLINE_S": "1"}) == [
        "STREAMWATCH_LOOK__DEADLINE_S: look.deadline_s: shorter than look.connect_s; "
        "make the whole look longer than its first step"
    ]


@pytest.mark.parametrize("key", sorted(WITHOUT_EFFECT))
def test_a_key_without_effect_is_refused_from_variables_too(key: str, tmp_path: Path) -> None:
    """Named by the variable that gave it; that its value would fit (or not) changes nothing."""
    name = f"STREAMWATCH_{key.replace('.', '__').upper()}"
    file = tmp_path / "value"
    file.write_text("1")

    wrong = f"{key}: has no effect in this version; remove it"
    assert problems(None, {name: "1"}) == [f"{name}: {wrong}"]
    assert problems(None, {name: "none"}) == [f"{name}: {wrong}"]
    assert problems(None, {f"{name}_FILE": str(file)}) == [f"{name}_FILE={file}: {wrong}"]


def test_variables_of_others_are_let_be() -> None:
    """Kubernetes names a Service's address after it, the test suite has two of its own, empty ones count as not set."""
    load(
        None,
        {
            "STREAMWATCH_PORT": "tcp://10.0.0.1:8080",
            "STREAMWATCH_PORT_8080_TCP_ADDR": "10.0.0.1",
            "STREAMWATCH_SERVICE_HOST": "10.0.0.1",
            "STREAMWATCH_SERVICE_PORT_HTTP": "8080",
            "STREAMWATCH_SHARED": "/x",
            "STREAMWATCH_GOAL_SCALE": "20",
            "STREAMWATCH_LIMITS__PER_LINE_KBPS": "",
            "HOME": "/home/someone",
        },
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is a refusal, never the defaults."""
    file = tmp_path / "no.toml"

    assert [f"{file}: cannot be read: No such file or directory; name a file that this user may read"] == problems(
        file, {}
    )


def test_where_data_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's place for root; a user's state folder otherwise; a relative XDG_STATE_HOME is ignored."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/var/lib/streamwatch")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_data_dir({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/streamwatch")
    assert default_data_dir({"XDG_STATE_HOME": "s", "HOME": "/h"}) == Path("/h/.local/state/streamwatch")
    assert default_data_dir({"HOME": "/h"}) == Path("/h/.local/state/streamwatch")


def test_settings_are_frozen() -> None:
    """Nobody changes a setting under another's feet."""
    settings = load(None, {})

    with pytest.raises(ValueError, match="frozen"):
        settings.limits.per_host = 5  # type: ignore[misc]


def test_logins_last_whole_seconds() -> None:
    """Hours become what cookies count in; the shortest is one second, because 0 would delete the cookie."""
    web = load(None, {}).web

    assert web.session_s() == 43_200
    assert load(None, {"STREAMWATCH_WEB__SESSION_H": "1.1"}).web.session_s() == 3_960
    assert load(None, {"STREAMWATCH_WEB__SESSION_H": "0.00001"}).web.session_s() == 1


def test_authorities_are_read_at_the_start(tmp_path: Path) -> None:
    """A file without a certificate is told before any look needs it; one with some is taken."""
    file = tmp_path / "authorities.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n")
    assert "tls.ca_file" in problems(None, {"STREAMWATCH_TLS__CA_FILE": str(file)})[0]

    file.write_text(certificate(authority=True).certificate_pem)
    assert load(None, {"STREAMWATCH_TLS__CA_FILE": str(file)}).tls.ca_file == file


def test_counts_follow_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not set means what this machine (or container) has; set means set."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    one = load(None, {})
    assert (one.lookers.processes(), one.limits.decodes()) == (1, 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert (one.lookers.processes(), one.limits.decodes()) == (7, 8)
    given = load(DATA / "good_everything.toml", {})
    assert (given.lookers.processes(), given.limits.decodes()) == (3, 5)


def test_every_key_is_described() -> None:
    """No key without a meaning, a default in words and a variable."""
    rows = describe()

    assert all(row.description.endswith(".") and row.takes and row.default for row in rows)
    assert {"listen", "limits.per_host", "look.allow_networks", "web.session_h"} <= {row.key for row in rows}
    assert next(row for row in rows if row.key == "limits.per_host").env == "STREAMWATCH_LIMITS__PER_HOST"


def test_lines_of_keys_are_found_in_every_spelling() -> None:
    """Tables, dotted and quoted keys, comments and multi-line texts do not lose the place."""
    lines = key_lines(
        '# a = 1\n[limits] # here\n per_host=1\n"per_line" = 2\n[x]\ny = """\nz = 1\n[q]\n"""\nv = 2\na.b = 3\n',
    )

    assert lines == {
        ("limits",): 2,
        ("limits", "per_host"): 3,
        ("limits", "per_line"): 4,
        ("x",): 5,
        ("x", "y"): 6,
        ("x", "v"): 10,
        ("x", "a"): 11,
        ("x", "a", "b"): 11,
    }
    assert line_of(lines, ("limits", "other")) == 2
    assert line_of(lines, ("other",)) == 1
