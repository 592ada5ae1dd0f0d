"""Environment over TOML over defaults -> Settings, or one ConfigError that names every problem with its place."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from streamwatch.errors import ConfigError
from streamwatch.settings.describe import PREFIX, env_name, fields, is_list, takes
from streamwatch.settings.model import WITHOUT_EFFECT, Settings, sections
from streamwatch.settings.toml_lines import key_lines, line_of

MAX_FILE_BYTES: Final = 1_048_576  # a full settings file is about 4 KiB, one with 1,000 networks 30 KiB
SHOWN: Final = 60  # characters of a wrong value in a message
HIDDEN: Final = frozenset({"database_url", "nats_url"})  # may hold a password: never shown in a message
FILE_SUFFIX: Final = "_FILE"

NOT_OURS: Final = frozenset({"STREAMWATCH_SHARED", "STREAMWATCH_GOAL_SCALE"})  # of the test suite
# Kubernetes puts these into every pod that runs beside a Service called "streamwatch".
_KUBERNETES = re.compile(r"STREAMWATCH_(SERVICE_(HOST|PORT(_.*)?)|PORT(_[0-9]+_(TCP|UDP)(_.*)?)?)")


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as somebody wrote it. `text`: it came from a variable and is not typed yet."""

    place: str
    value: Any
    text: bool


def load(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings: variables of `environ` over the TOML file `config` over the defaults.

    Raises ConfigError with all problems, one a line as `place: key: what is wrong; remedy`.
    """
    problems: list[str] = []
    given: dict[str, _Given] = {}
    if config is not None:
        given.update(_from_toml(config, problems))
    given.update(_from_environ(environ, problems))  # precedence: written later, wins
    known = dict(fields())
    values: dict[str, Any] = {"data_dir": default_data_dir(environ)}
    for key, found in given.items():
        if key in WITHOUT_EFFECT:  # whoever gives it counts on it
            problems.append(f"{found.place}: {key}: has no effect in this version; remove it")
            continue
        try:
            values[key] = _typed(key, known[key], found)
        except ValidationError as error:
            problems.append(f"{found.place}: {key}: {_wrong(key, known[key], found, error)}")
    if not problems:
        settings = _assemble(values)
        problems.extend(_contradictions(settings, given))
        if not problems:
            return settings
    raise ConfigError("\n".join(problems))


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where data goes when nobody says: the system's place for root, else the user's state folder (XDG)."""
    if os.geteuid() == 0:
        return Path("/var/lib/streamwatch")
    state = environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):  # XDG Base Directory: a relative path is to be ignored
        return Path(state) / "streamwatch"
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".local/state/streamwatch"


def _from_toml(config: Path, problems: list[str]) -> Iterator[tuple[str, _Given]]:
    try:
        raw = config.read_bytes()
        if len(raw) > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
        text = raw.decode("utf-8-sig")
        tree = tomllib.loads(text)
    except OSError as error:
        problems.append(f"{config}: cannot be read: {error.strerror}; name a file that this user may read")
        return
    except UnicodeDecodeError as error:
        problems.append(f"{config}: byte {error.start} is not UTF-8; save the file as UTF-8")
        return
    except ValueError as error:  # tomllib's error is one, with line and column
        problems.append(f"{config}: not TOML: {error}; see toml.io, or check-settings after each change")
        return
    lines = key_lines(text)
    known = dict(fields())
    inner = sections()
    for name, value in tree.items():
        place = f"{config}:{line_of(lines, (name,))}"
        if name in inner and isinstance(value, dict):
            for key, item in value.items():
                full, place = f"{name}.{key}", f"{config}:{line_of(lines, (name, key))}"
                if full in known:
                    yield full, _Given(place, item, text=False)
                else:
                    problems.append(f"{place}: {full}: unknown key; {_nearest(full, known)}")
        elif name in inner:
            problems.append(f"{place}: {name}: is a section; write [{name}] and its keys below")
        elif name in known:
            item = config.parent / value if name == "data_dir" and isinstance(value, str) else value
            yield name, _Given(place, item, text=False)
        else:
            problems.append(f"{place}: {name}: unknown key; {_nearest(name, [*known, *inner])}")


def _from_environ(environ: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, _Given]]:
    keys = {env_name(key): key for key, _ in fields()}
    for name in sorted(environ):
        value = environ[name]
        if not name.startswith(PREFIX) or name in NOT_OURS or _KUBERNETES.fullmatch(name) or value == "":
            continue  # compose files pass variables that nobody set as empty ones
        base = name.removesuffix(FILE_SUFFIX)
        if name in keys:
            yield keys[name], _Given(name, value, text=True)
        elif base in keys and environ.get(base):
            problems.append(f"{name}: {keys[base]}: {base} is set too; keep one of the two")
        elif base in keys:
            try:
                content = _small_file(Path(value))
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                problems.append(f"{name}: {keys[base]}: {value}: {why}; name a readable text file with the value")
                continue
            yield keys[base], _Given(f"{name}={value}", content, text=True)
        else:
            problems.append(f"{name}: unknown variable; {_nearest(name, keys)}")


def _small_file(path: Path) -> str:
    with path.open("rb") as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    return raw.decode().strip()


def _typed(key: str, info: FieldInfo, found: _Given) -> Any:
    """The value in its type. Files are typed by TOML, so "4" is no number there; variables are always texts."""
    annotation: Any = Annotated[info.annotation, key, *info.metadata]  # the key is only a label there
    adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))
    if key == "data_dir":
        path = adapter.validate_python(found.value)
        return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  resolve() would follow links that may move
    if not found.text:
        return adapter.validate_json(json.dumps(found.value, default=str), strict=True)
    text = found.value.strip()
    if is_list(info):  # "[]" is how a variable says empty: an empty variable counts as not set
        return adapter.validate_python([item.strip() for item in text.split(",") if item.strip() not in ("", "[]")])
    return adapter.validate_python(text)


def _assemble(values: Mapping[str, Any]) -> Settings:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = value
    return Settings(**tree)


def _wrong(key: str, info: FieldInfo, found: _Given, error: ValidationError) -> str:
    if key == "nats_url":
        return "lookers on other machines are not in this version; remove it"
    first = error.errors()[0]
    if first["loc"][:1] and isinstance(first["loc"][0], int):  # an item of a list: it alone is shown
        return f"{_short(first['input'])} does not fit; give {takes(info)}"
    shown = "the value" if key in HIDDEN else _short(found.value)
    return f"{shown} does not fit; give {takes(info)}"


def _short(value: Any) -> str:
    text = str(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _nearest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if not near:  # the right name in the wrong section
        near = [key for key in known if key.rpartition(".")[2] == name.rpartition(".")[2]][:1]
    return f"did you mean {near[0]}?" if near else "the documentation lists all keys"


def _contradictions(settings: Settings, given: Mapping[str, _Given]) -> Iterator[str]:
    for key, holds, wrong in _RULES:
        if not holds(settings):
            place = given[key].place if key in given else "default"
            yield f"{place}: {key}: {wrong}"


def _confirmations_fit(settings: Settings) -> bool:
    after = settings.schedule.confirm_after_s
    return after is None or len(after) == settings.schedule.confirm_looks


def _confirmations_ascend(settings: Settings) -> bool:
    after = settings.schedule.confirm_after_s or ()
    return all(first < second for first, second in pairwise(after))


def _blur_has_hysteresis(settings: Settings) -> bool:
    low, high = settings.quality.blur_raise, settings.quality.blur_clear
    return low is None or high is None or low <= high


# What no single key can see: (the key that the message is about, what must hold, what is wrong; remedy).
_RULES: Final[tuple[tuple[str, Callable[[Settings], bool], str], ...]] = (
    (
        "schedule.confirm_after_s",
        _confirmations_fit,
        "not as many as schedule.confirm_looks; give one number a confirming look",
    ),
    ("schedule.confirm_after_s", _confirmations_ascend, "not ascending; put the earlier look first"),
    (
        "look.deadline_s",
        lambda settings: settings.look.deadline_s >= settings.look.connect_s,
        "shorter than look.connect_s; make the whole look longer than its first step",
    ),
    ("quality.blur_clear", _blur_has_hysteresis, "below quality.blur_raise; make it equal or larger"),
)
