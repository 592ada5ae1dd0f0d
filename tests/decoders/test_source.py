"""Opening files: what is refused before a byte of it is decoded, and that nothing is waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from streamwatch.decoders.recognise import FileError
from streamwatch.decoders.source import MAX_FILE_BYTES, MAX_STILL_BYTES, Source
from tests.decoders.media import picture
from tests.decoders.streams import street

JPEG = picture(street(320, 180))


def code_of(path: Path) -> str:
    with pytest.raises(FileError) as caught:
        Source.open(path)
    assert caught.value.detail
    return caught.value.code


def sparse(path: Path, head: bytes, size: int) -> Path:
    """A file of that size that takes no room on the disk."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
    return path


def test_a_file_is_read_in_pieces(tmp_path: Path) -> None:
    """Any range; less than asked for at the end, nothing behind it."""
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    with Source.open(path) as source:
        assert (source.size, source.known.name) == (len(JPEG), "mjpeg")
        assert source.read(0, 10) == JPEG[:10]
        assert source.read(len(JPEG) - 5, 100) == JPEG[-5:]
        assert source.read(len(JPEG) + 100, 100) == b""
        source.close()  # twice does no harm


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A name that is not there, a folder, a pipe nobody writes to, a socket, a device: each with its code."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert code_of(tmp_path / "socket") == "file.not_a_file"
    assert code_of(tmp_path / "none.jpg") == "file.missing"
    assert code_of(tmp_path / "none.jpg" / "below.jpg") == "file.missing"
    assert code_of(Path("null\x00byte")) == "file.missing"
    assert code_of(tmp_path) == "file.directory"
    assert code_of(tmp_path / "pipe") == "file.not_a_file"
    assert code_of(Path("/dev/zero")) == "file.not_a_file"


def test_empty_and_too_large_files_are_refused(tmp_path: Path) -> None:
    """A picture above 64 MiB, a clip above 4 GiB: by their size alone, with the remedy."""
    (tmp_path / "empty").touch()
    assert code_of(tmp_path / "empty") == "file.empty"
    assert code_of(sparse(tmp_path / "a.jpg", JPEG[:64], MAX_STILL_BYTES + 1)) == "file.too_large"
    clip = b"\x00\x00\x00\x18ftypisom"
    assert code_of(sparse(tmp_path / "a.mp4", clip, MAX_FILE_BYTES + 1)) == "file.too_large"
    Source.open(sparse(tmp_path / "b.mp4", clip, MAX_FILE_BYTES)).close()


def test_no_descriptor_is_left_by_a_refusal(tmp_path: Path) -> None:
    """However many files are refused, none stays open."""
    (tmp_path / "text").write_text("hello")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        assert code_of(tmp_path / "text") == "file.unknown"

    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_denied(tmp_path: Path) -> None:
    """Not missing, not unknown."""
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    path.chmod(0)

    assert code_of(path) == "file.denied"
