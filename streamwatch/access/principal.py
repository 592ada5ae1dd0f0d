"""Who is asking: what they may do, and which part of the tree they may see."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streamwatch.model.scope import Scope


class Permission(StrEnum):
    """What an API key's scopes grant; a role is a set of them."""

    READ = "read"
    WRITE = "write"
    PROBE = "probe"
    METRICS = "metrics"


class Role(StrEnum):
    """What a person is."""

    ADMINISTRATOR = "administrator"
    EDITOR = "editor"
    VIEWER = "viewer"


ROLE_PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.ADMINISTRATOR: frozenset(Permission),
    Role.EDITOR: frozenset({Permission.READ, Permission.WRITE, Permission.PROBE}),
    Role.VIEWER: frozenset({Permission.READ}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose key or session was found good. `csrf` is what a session must send with unsafe methods."""

    name: str
    permissions: frozenset[Permission]
    scope: Scope
    role: Role | None = None  # None: an API key
    session: str | None = None  # the session's id
    csrf: str | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the caller has that permission."""
        return permission in self.permissions


def role_permissions(role: str) -> frozenset[Permission]:
    """The permissions of a stored role; none for a role that this version does not know."""
    try:
        return ROLE_PERMISSIONS[Role(role)]
    except ValueError:
        return frozenset()


def parse_permissions(text: str) -> frozenset[Permission]:
    """A key's stored scopes, separated by spaces; what this version does not know grants nothing."""
    known = {str(permission) for permission in Permission}
    return frozenset(Permission(word) for word in text.split() if word in known)
