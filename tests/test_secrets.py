"""Camera passwords at rest: sealed, bound to their camera, useless without the key file."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import ConfigError
from streamwatch.model.inventory import Secret
from streamwatch.secrets import Sealed, Sealer, key_id_of

KEY = bytes(range(32))


def sealer(*keys: bytes) -> Sealer:
    """A sealer of these keys."""
    return Sealer({key_id_of(key): key for key in keys or (KEY,)})


@given(code=st.text(min_size=1, max_size=64), text=st.text(max_size=250))
def test_what_was_sealed_opens_again(code: str, text: str) -> None:
    """Any text, any camera code."""
    blob = sealer().seal(code, Secret(text))

    assert sealer().unseal(code, blob).reveal() == text
    assert Sealed.decode(blob).encode() == blob


def test_equal_passwords_look_different() -> None:
    """Two cameras, or the same one twice: nobody sees in the database who shares a password."""
    one = sealer()

    assert len({one.seal(code, Secret("admin12345"))[5:] for code in ("a", "a", "b")}) == 3
    assert b"admin12345" not in one.seal("a", Secret("admin12345"))


def test_a_sealed_password_opens_only_for_its_camera() -> None:
    """Moving a blob to a camera whose host one controls gives nothing."""
    blob = sealer().seal("C-1", Secret("geheim"))

    with pytest.raises(ConfigError, match="camera C-2 was changed or belongs to another camera"):
        sealer().unseal("C-2", blob)


def test_a_recorders_password_does_not_open_for_a_camera_of_the_same_code() -> None:
    """Codes are unique in their kind only."""
    blob = sealer().seal("C-1", Secret("geheim"), "recorder")

    assert sealer().unseal("C-1", blob, "recorder") == Secret("geheim")
    with pytest.raises(ConfigError, match="camera C-1 was changed or belongs to another camera"):
        sealer().unseal("C-1", blob)


def test_every_changed_byte_is_noticed() -> None:
    """Version, key id, nonce, ciphertext and tag are all covered."""
    blob = sealer().seal("C-1", Secret("geheim"))

    for at in range(len(blob)):
        changed = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        with pytest.raises(ConfigError):
            sealer().unseal("C-1", changed)
    for length in range(len(blob)):
        with pytest.raises(ConfigError):
            sealer().unseal("C-1", blob[:length])


def test_another_key_is_named_with_the_remedy() -> None:
    """A database without its key file says which key it wants."""
    blob = sealer(b"x" * 32).seal("C-1", Secret("geheim"))

    with pytest.raises(ConfigError, match=f"lacks key {key_id_of(b'x' * 32).hex()}.*restore the key file"):
        sealer().unseal("C-1", blob)


def test_old_keys_still_open_and_the_first_one_seals() -> None:
    """What a rotation needs."""
    old, new = b"o" * 32, b"n" * 32
    blob = sealer(old).seal("C-1", Secret("geheim"))

    assert sealer(new, old).unseal("C-1", blob).reveal() == "geheim"
    assert Sealed.decode(sealer(new, old).seal("C-1", Secret("x"))).key_id == key_id_of(new)


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    """0600, and found again by the next process."""
    blob = Sealer.open(tmp_path).seal("C-1", Secret("geheim"))

    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert Sealer.open(tmp_path).unseal("C-1", blob).reveal() == "geheim"
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]


def _seal_in_process(folder: str, number: int) -> tuple[int, bytes]:
    return number, Sealer.open(Path(folder)).seal(str(number), Secret("geheim"))


def test_processes_that_start_together_share_one_key(tmp_path: Path) -> None:
    """First use in many processes at once: nobody's password is lost to a key that was replaced."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        sealed = pool.starmap(_seal_in_process, [(str(tmp_path), number) for number in range(12)], chunksize=1)

    for number, blob in sealed:
        assert Sealer.open(tmp_path).unseal(str(number), blob).reveal() == "geheim"


def test_a_key_that_another_process_made_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking and making there is a moment; replacing the key would lose what it sealed."""
    blob = Sealer.open(tmp_path).seal("C-1", Secret("geheim"))
    monkeypatch.setattr(Path, "exists", lambda path: False)

    assert Sealer.open(tmp_path).unseal("C-1", blob).reveal() == "geheim"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Exit 78 with the command that mends it."""
    Sealer.open(tmp_path)
    (tmp_path / "secret.key").chmod(mode)

    with pytest.raises(ConfigError, match="chmod 600"):
        Sealer.open(tmp_path)


@pytest.mark.parametrize("content", ["", "abc\n", "00000000 AAAA\n", "\x00" * 80])
def test_a_damaged_key_file_is_refused(tmp_path: Path, content: str) -> None:
    """It is never replaced by a new key: what it sealed would be lost."""
    file = tmp_path / "secret.key"
    file.write_text(content)
    file.chmod(0o600)

    with pytest.raises(ConfigError, match="restore"):
        Sealer.open(tmp_path)
    assert file.read_text() == content


def test_a_folder_where_no_key_can_be_made_is_named(tmp_path: Path) -> None:
    """The message names file and folder."""
    with pytest.raises(ConfigError, match=r"none/secret.key: cannot be made: No such file.*let this user write in"):
        Sealer.open(tmp_path / "none")


def test_a_sealer_shows_no_key() -> None:
    """Its repr may end in a log."""
    assert repr(sealer()) == "Sealer(these keys, 1 keys)"
