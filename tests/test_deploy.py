"""deploy/, the Dockerfile and the issue forms: their promises, as far as they can be read without running them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from streamwatch.errors import Exit
from streamwatch.settings import describe, load

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "streamwatch.service").read_text(encoding="utf-8")
COMPOSE = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def service() -> dict[str, list[str]]:
    """The [Service] section; a key may stand there several times."""
    found: dict[str, list[str]] = {}
    for line in UNIT.partition("[Service]")[2].partition("\n[")[0].splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def stages() -> list[str]:
    return re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]


def test_the_unit_takes_away_every_right_that_is_not_needed() -> None:
    """Its own user, no capability, a read-only system with one writable place."""
    unit = service()

    assert unit["User"] == ["streamwatch"]
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"] == [""]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["StateDirectory"] == ["streamwatch"]
    assert "ReadWritePaths" not in unit
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictNamespaces"):
        assert unit[name] == ["yes"], name


def test_the_unit_leaves_what_the_decoders_and_cameras_need() -> None:
    """The jail's calls, the network, /proc/net for the gateway."""
    unit = service()

    assert unit["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert {"AF_INET", "AF_INET6", "AF_UNIX"} <= set(unit["RestrictAddressFamilies"][0].split())
    assert not {"ProcSubset", "PrivateNetwork", "IPAddressDeny"} & unit.keys()


def test_the_unit_knows_how_the_service_starts_and_ends() -> None:
    """It says when it is ready and alive, is stopped through its main process, and not started again in vain."""
    unit = service()

    assert unit["Type"] == ["notify"]
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit["KillMode"] == ["mixed"]
    assert unit["RestartPreventExitStatus"] == [f"{int(Exit.USAGE)} {int(Exit.HELD)} {int(Exit.CONFIG)}"]
    assert unit["StandardOutput"] == ["null"]  # the first password is printed there


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """systemd-analyze verify, with a program that is there in place of the one that is not installed here."""
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed here: apt-get install systemd")
    path = tmp_path / "streamwatch.service"
    path.write_text(UNIT.replace("/opt/streamwatch/bin/streamwatch", "/bin/true"))
    done = subprocess.run([verify, "verify", str(path)], capture_output=True, text=True, check=False)

    assert (done.returncode, [line for line in done.stderr.splitlines() if "streamwatch.service" in line]) == (0, [])


def test_the_example_of_the_settings_is_well() -> None:
    """It is read as `run` would, and the unit's directory is its data directory."""
    settings = load(DEPLOY / "streamwatch.toml", {})

    assert settings.data_dir == Path("/var/lib/streamwatch")
    assert "--config /etc/streamwatch/streamwatch.toml" in service()["ExecStart"][0]


def test_every_setting_that_deploy_names_exists() -> None:
    """A variable that nobody reads would be refused at the start."""
    known = {row.env for row in describe()}
    named = set(re.findall(r"STREAMWATCH_[A-Z_]+(?<!_)", COMPOSE + DOCKERFILE))

    assert named
    assert named <= known


def test_the_kernel_may_give_what_a_look_asks_for() -> None:
    """Linux doubles what a program asks for, and caps it at rmem_max: 2 MiB asked, 4 MiB allowed."""
    text = (DEPLOY / "sysctl.d" / "60-streamwatch.conf").read_text(encoding="utf-8")
    (value,) = re.findall(r"^net\.core\.rmem_max = (\d+)$", text, re.MULTILINE)

    assert int(value) >= 2 * 2**20


def test_the_image_runs_as_nobody_in_particular_and_takes_nothing_from_the_network_by_url() -> None:
    """Two stages, a numeric user other than root in the last one, hashed packages, a health check, no ADD."""
    build, final = stages()

    assert re.search(r"^USER (?!0)\d+:(?!0)\d+$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*/healthz", final, re.MULTILINE)
    assert re.search(r'^VOLUME \["/var/lib/streamwatch"\]$', final, re.MULTILINE)
    assert "RUN" not in [line.split()[0] for line in final.splitlines()[1:] if line[:1].isalpha()]
    assert not re.search(r"^ADD ", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes" in build


def test_compose_says_what_the_documentation_says_of_a_container() -> None:
    """Read-only root, no capabilities, no new privileges, memory for /tmp, a volume, health, restart."""
    lines = {line.split("#")[0].strip() for line in COMPOSE.splitlines()}

    assert {
        "read_only: true", "cap_drop: [ALL]", "- no-new-privileges:true", "init: true", "restart: unless-stopped",
        "- data:/var/lib/streamwatch", "healthcheck:",
    } <= lines  # fmt: skip
    assert any(line.startswith("- /tmp:") for line in lines)
    assert '- "127.0.0.1:8080:8080"' in lines
    assert "privileged: true" not in lines


def test_compose_has_the_shape_that_compose_takes() -> None:
    """Block by block, as the Compose specification names them: two spaces a level, no tab, no key twice."""
    seen: set[tuple[str, ...]] = set()
    path: list[str] = []
    for number, line in enumerate(COMPOSE.splitlines(), 1):
        text = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if not text:
            continue
        assert "\t" not in text, number
        depth = len(text) - len(text.lstrip())
        assert depth % 2 == 0, number
        found = re.match(r"\s*([a-z_]+):(?: (.*))?$", text)
        if found is None:
            assert text.lstrip().startswith(("- ", "required:")), number
            continue
        path = [*path[: depth // 2], found[1]]
        assert tuple(path) not in seen, number
        seen.add(tuple(path))
    top = {one[0] for one in seen}
    keys = {one[2] for one in seen if len(one) == 3 and one[:2] == ("services", "streamwatch")}

    assert top == {"services", "volumes"}
    assert keys == {
        "image", "build", "init", "restart", "stop_grace_period", "read_only", "tmpfs", "cap_drop", "security_opt",
        "ports", "volumes", "env_file", "healthcheck", "ulimits",
    }  # fmt: skip


def test_the_camera_form_asks_for_a_recording_and_says_what_is_masked() -> None:
    """The command, what is masked and what not, and that it was read before it is posted."""
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / "camera.yml").read_text(encoding="utf-8")

    for word in ("probe --record", "probe --replay", "**Masked in it:**", "**Not masked:**", "--with-picture"):
        assert word in text
    assert "required: true" in text.partition("id: checked")[2]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_forms_lead_to_pages_that_exist(path: Path) -> None:
    """Links into our own documentation name files and headings of this tree."""
    for place, anchor in re.findall(r"blob/main/([\w./-]+)#([\w-]+)", path.read_text(encoding="utf-8")):
        headings = re.findall(r"^#+ +(.+)$", (ROOT / place).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, anchor


def test_scrape_jobs_are_those_of_the_documentation() -> None:
    """/metrics and /probe, relabelled as blackbox_exporter's documentation does."""
    text = (DEPLOY / "prometheus" / "scrape.yml").read_text(encoding="utf-8")

    for word in ("metrics_path: /probe", "module: [picture]", "target_label: __param_target", "scrape_timeout: 25s"):
        assert word in text
    assert "target_label: instance" in text


def test_the_parser_of_units_agrees() -> None:
    """Three sections, no other: a misspelt heading would be skipped silently."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT)

    assert parser.sections() == ["Unit", "Service", "Install"]
