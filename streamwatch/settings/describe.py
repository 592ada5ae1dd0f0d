"""The settings in words: what each key takes, its default and its meaning, for messages and for the documentation."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final

import annotated_types as at
from pydantic.fields import FieldInfo

from streamwatch.settings.kinds import Says
from streamwatch.settings.model import Settings, sections

PREFIX: Final = "STREAMWATCH_"
DATA_DIR_DEFAULT: Final = (
    "$XDG_STATE_HOME/streamwatch, ~/.local/state/streamwatch without it, /var/lib/streamwatch for root"
)


@dataclass(frozen=True, slots=True)
class Described:
    """One key: `key` as in the TOML file (section.key), `env` its variable (and `env`_FILE), the rest in words."""

    key: str
    env: str
    takes: str
    default: str
    description: str


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every key with its field, in the order of the model; sections' keys as section.key."""
    inner = sections()
    for name, info in Settings.model_fields.items():
        if name not in inner:
            yield name, info
    for section, model in inner.items():
        for name, info in model.model_fields.items():
            yield f"{section}.{name}", info


def env_name(key: str) -> str:
    """The environment variable of a key: limits.per_host is STREAMWATCH_LIMITS__PER_HOST."""
    return PREFIX + key.replace(".", "__").upper()


def describe() -> list[Described]:
    """A row for every key, in the order of the model."""
    return [
        Described(key, env_name(key), takes(info), _default(key, info), info.description or "")
        for key, info in fields()
    ]


def takes(info: FieldInfo) -> str:
    """What the key takes, as the end of the sentence "give …"."""
    return _words(info.annotation, info.metadata)


def is_list(info: FieldInfo) -> bool:
    """Whether the key holds a list: a variable then separates its items by commas."""
    return any(typing.get_origin(part) is tuple for part in _alternatives(info.annotation))


def _default(key: str, info: FieldInfo) -> str:
    if key == "data_dir":
        return DATA_DIR_DEFAULT
    value = info.default
    if value is None:
        return "not set"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "empty"
    return str(value.value if isinstance(value, Enum) else value)


def _alternatives(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return [part for part in typing.get_args(annotation) if part is not type(None)]
    return [annotation]


def _words(annotation: Any, metadata: Iterable[Any]) -> str:
    said = next((item.words for item in metadata if isinstance(item, Says)), None)
    if said is not None:
        return said
    if annotation is type(None):
        return "nothing: not in this version"
    (kind,) = _alternatives(annotation)  # no key takes one of several types
    origin = typing.get_origin(kind)
    if origin is Annotated:
        inner, *more = typing.get_args(kind)
        return _words(
            inner, [part for item in more for part in (item.metadata if isinstance(item, FieldInfo) else [item])]
        )
    if origin is typing.Literal:
        return "one of " + ", ".join(str(getattr(choice, "value", choice)) for choice in typing.get_args(kind))
    if origin is tuple:
        longest = next((item.max_length for item in metadata if isinstance(item, at.MaxLen)), None)
        return f"a list of at most {longest}, each {_words(typing.get_args(kind)[0], ())}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(choice.value for choice in kind)
    if kind is Path:
        return "a path"
    return _number(kind, metadata)


def _number(kind: Any, metadata: Iterable[Any]) -> str:
    noun = {int: "a whole number", float: "a number"}[kind]
    low = high = ""
    for item in metadata:
        if isinstance(item, at.Ge):
            low = f" from {item.ge}"
        if isinstance(item, at.Gt):
            low = f" above {item.gt}"
        if isinstance(item, at.Le):
            high = f" to {item.le}"
    return noun + low + high
