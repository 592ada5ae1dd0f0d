"""Passwords of cameras and recorders at rest: AES-256-GCM under a key file beside the database, bound to their owner.

A copy of the database alone gives no password; one that was moved to another camera or recorder does not open. The key
file `secret.key` (0600) is made at first use: one key a line, `ID BASE64`, the first seals and all open, for rotation.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from streamwatch.errors import ConfigError
from streamwatch.model.inventory import Secret

KEY_FILE: Final = "secret.key"
KEY_BYTES: Final = 32  # AES-256
VERSION: Final = 1
KEY_ID_BYTES: Final = 4  # SHA-256 of the key, shortened: names a key, tells nothing of it
NONCE_BYTES: Final = 12  # NIST SP 800-38D section 8.2: 96 random bits serve 2^32 seals of one key
TAG_BYTES: Final = 16
HEADER_BYTES: Final = 1 + KEY_ID_BYTES + NONCE_BYTES
MAX_SECRET_BYTES: Final = 1_024  # the import takes 256 characters, each at most 4 bytes
MAX_KEY_FILE_BYTES: Final = 65_536  # 1,000 keys: a rotation a month for 80 years

Owner = Literal["camera", "recorder"]


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is kept of a password: which key, which nonce, the ciphertext with its tag."""

    key_id: bytes
    nonce: bytes
    ciphertext: bytes

    def encode(self) -> bytes:
        """Version byte, key id, nonce, ciphertext."""
        return bytes([VERSION]) + self.key_id + self.nonce + self.ciphertext

    @classmethod
    def decode(cls, blob: bytes) -> Sealed:
        """The parts of a blob. Raises ConfigError where it is none of ours."""
        if len(blob) < HEADER_BYTES + TAG_BYTES or blob[0] != VERSION:
            raise ConfigError("a sealed password is damaged or of a newer version; import its owner again")
        return cls(blob[1 : 1 + KEY_ID_BYTES], blob[1 + KEY_ID_BYTES : HEADER_BYTES], blob[HEADER_BYTES:])


class Sealer:
    """Seals and opens passwords. Holds the keys in memory; its repr shows none."""

    __slots__ = ("_ciphers", "_current", "_place")

    def __init__(self, keys: Mapping[bytes, bytes], place: str = "these keys") -> None:
        """`keys` by key id, the first one seals; `place` is named in messages."""
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = next(iter(keys))
        self._place = place

    @classmethod
    def open(cls, data_dir: Path) -> Sealer:
        """The keys of that data directory, made where there are none. Raises ConfigError, naming file and remedy."""
        path = data_dir / KEY_FILE
        if not path.exists():
            _make(path)
        return cls(_read(path), str(path))

    def seal(self, code: str, secret: Secret, owner: Owner = "camera") -> bytes:
        """The blob that keeps `secret` for the camera or recorder of that code."""
        text = secret.reveal().encode()
        if len(text) > MAX_SECRET_BYTES:
            raise ConfigError(f"the password of {owner} {code} is longer than {MAX_SECRET_BYTES} bytes")
        nonce = os.urandom(NONCE_BYTES)
        return Sealed(
            self._current, nonce, self._ciphers[self._current].encrypt(nonce, text, _bound_to(owner, code))
        ).encode()

    def unseal(self, code: str, blob: bytes, owner: Owner = "camera") -> Secret:
        """The password in a blob. Raises ConfigError where the key is not here or the blob is not this owner's."""
        sealed = Sealed.decode(blob)
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise ConfigError(
                f"{self._place}: lacks key {sealed.key_id.hex()}, which sealed the password of {owner} {code}; "
                f"restore the key file that belongs to this database, or import the {owner}s again"
            )
        try:
            return Secret(cipher.decrypt(sealed.nonce, sealed.ciphertext, _bound_to(owner, code)).decode())
        except (InvalidTag, UnicodeDecodeError):
            raise ConfigError(
                f"the sealed password of {owner} {code} was changed or belongs to another {owner}; import it again"
            ) from None

    def __repr__(self) -> str:
        return f"Sealer({self._place}, {len(self._ciphers)} keys)"


def _bound_to(owner: Owner, code: str) -> bytes:
    return f"streamwatch {owner} password\0{code}".encode()


def key_id_of(key: bytes) -> bytes:
    """The id by which blobs name the key that sealed them."""
    return hashlib.sha256(b"streamwatch key id\0" + key).digest()[:KEY_ID_BYTES]


def _make(path: Path) -> None:
    """A new key file, complete or not at all; where another process made one meanwhile, that one stays."""
    key = secrets.token_bytes(KEY_BYTES)
    line = f"{key_id_of(key).hex()} {base64.b64encode(key).decode()}\n"
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename it never replaces a key that something is sealed with
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made: {error.strerror}; let this user write in {path.parent}") from None


def _read(path: Path) -> dict[bytes, bytes]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            raw = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; let this user read it, nobody else") from None
    if mode & 0o077:
        raise ConfigError(f"{path}: others may read it (mode {mode:04o}); run chmod 600 {path}")
    keys: dict[bytes, bytes] = {}
    for number, line in enumerate(raw.decode("ascii", "replace").splitlines(), start=1):
        try:
            name, encoded = line.split()
            key = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            key, name = b"", ""
        if len(key) != KEY_BYTES or key_id_of(key).hex() != name:
            raise ConfigError(f"{path}:{number}: not a key; restore the file from its backup")
        keys[key_id_of(key)] = key
    if not keys:
        raise ConfigError(f"{path}: holds no key; restore it from its backup, or remove it where nothing is sealed yet")
    return keys
