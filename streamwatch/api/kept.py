"""Answers kept for some seconds, because every open page asks for them again and again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """A bounded memory: what is older than `seconds` is not given, past `limit` what was put first goes first."""

    def __init__(self, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K, now_s: float) -> V | None:
        """What was put under `key` at most `seconds` ago, on the monotonic clock."""
        found = self._kept.get(key)
        return found[1] if found is not None and now_s - found[0] < self._seconds else None

    def put(self, key: K, value: V, now_s: float) -> None:
        """Keeps `value` under `key` from `now_s` on."""
        self._kept.pop(key, None)
        self._kept[key] = (now_s, value)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)
