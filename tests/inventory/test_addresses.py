"""Addresses of lists: credentials leave them, one spelling stays, nonsense is refused without being repeated."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.inventory.addresses import (
    ALL_SCHEMES,
    Address,
    AddressError,
    mask_address,
    split_address,
    split_host,
)

HOSTS = st.sampled_from(["192.0.2.7", "cam-1.village.example", "[2001:db8::7]", "nvr_3"])
PATHS = st.sampled_from(["", "/", "/a?b=c", "/x@y", "?q"])
TEXT = st.text(min_size=1, max_size=12)


@given(
    username=TEXT,
    password=TEXT,
    host=HOSTS,
    port=st.none() | st.integers(1, 65535),
    path=PATHS,
)
def test_escaped_credentials_come_back_whole(
    username: str, password: str, host: str, port: int | None, path: str
) -> None:
    """Whatever user and password are, percent-encoded they are read as they were, and the address is without them."""
    bare = f"rtsp://{host}{'' if port is None else f':{port}'}{path}"
    with_login = bare.replace("://", f"://{quote(username, safe='')}:{quote(password, safe='')}@", 1)

    found = split_address(with_login)

    assert (found.username, found.password) == (username, password)
    assert found.url == bare
    assert found.origin == (host.strip("[]"), port or 554)
    assert split_address(found.url) == Address(found.url, found.host, found.port)


@pytest.mark.parametrize(
    ("text", "url", "login"),
    [
        ("rtsp://admin:p@ss@10.0.0.1:554/a", "rtsp://10.0.0.1:554/a", ("admin", "p@ss")),
        ("rtsp://admin:a/b?c#d@10.0.0.1:554/a", "rtsp://10.0.0.1:554/a", ("admin", "a/b?c#d")),
        ("rtsp://admin:123/45@10.0.0.1/a", "rtsp://10.0.0.1/a", ("admin", "123/45")),
        ("rtsp://admin:100%zz@10.0.0.1/a", "rtsp://10.0.0.1/a", ("admin", "100%zz")),
        ("rtsp://admin:100%ff@10.0.0.1/a", "rtsp://10.0.0.1/a", ("admin", "100%ff")),
        ("rtsp://admin:a:b@10.0.0.1/a", "rtsp://10.0.0.1/a", ("admin", "a:b")),
        ("rtsp://admin@10.0.0.1/a", "rtsp://10.0.0.1/a", ("admin", None)),
        ("rtsp://admin:@10.0.0.1/a", "rtsp://10.0.0.1/a", ("admin", None)),
        ("rtsp://:pw@10.0.0.1/a", "rtsp://10.0.0.1/a", (None, "pw")),
        ("rtsp://10.0.0.1/user@domain", "rtsp://10.0.0.1/user@domain", (None, None)),
        ("rtsp://10.0.0.1:554/user@10.0.0.2", "rtsp://10.0.0.1:554/user@10.0.0.2", (None, None)),
        ("RTSP://CAM.Example:0554/Live", "rtsp://cam.example:554/Live", (None, None)),
        ("RTSPS://admin:x@Cam.Example/Live", "rtsps://cam.example/Live", ("admin", "x")),
        ("rtsp://10.0.0.1:/a", "rtsp://10.0.0.1/a", (None, None)),
        ("rtsp://[2001:DB8:0::7]:8554", "rtsp://[2001:db8::7]:8554", (None, None)),
    ],
)
def test_what_lists_hold_is_understood(text: str, url: str, login: tuple[str | None, str | None]) -> None:
    """Unescaped passwords, missing halves, upper case, @ in a path."""
    found = split_address(text)

    assert (found.url, (found.username, found.password)) == (url, login)


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "rtsp:/10.0.0.1/",
        "rtsp://",
        "rtsp:///live",
        "rtsp://admin:geheim@/live",
        "rtsp://10.0.0.256/",
        "rtsp://10.0.0/",
        "rtsp://1/",
        "rtsp://10.0.0.1:0/",
        "rtsp://10.0.0.1:65536/",
        "rtsp://10.0.0.1:port/",
        "rtsp://[::1/",
        "rtsp://[1.2.3.4]/",
        "rtsp://-cam/",
        "rtsp://cam..example/",
        "rtsp://摄像机/",
        "rtsp://10.0.0.1/a b",
        "rtsp://10.0.0.1/a\r\nAuthorization: x",
        "rtsp://10.0.0.1/村",
        "rtsp://10.0.0.1/" + "a" * 1000,
    ],
)
def test_what_cannot_be_called_is_refused(text: str) -> None:
    """Other schemes, no host, impossible ones, and paths that would break a request; the text is not repeated."""
    with pytest.raises(AddressError) as caught:
        split_address(text)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:ge heim@10.0.0.256/a", "rtsp://***@10.0.0.256/a"),
        ("rtsp:/admin:geheim@10.0.0.1/a", "***@10.0.0.1/a"),
        ("admin:geheim@10.0.0.1", "***@10.0.0.1"),
        ("rtsp://u:a://geheim@h@10.0.0.1/", "rtsp://***@10.0.0.1/"),
        ("http://10.0.0.1/cgi?user=a&password=geheim&x=1", "http://10.0.0.1/cgi?user=a&password=***&x=1"),
        ("10.0.0.1/live", "10.0.0.1/live"),
    ],
)
def test_a_bad_address_is_shown_without_its_password(text: str, shown: str) -> None:
    """The rejection must be readable, and it goes to logs and tickets."""
    assert mask_address(text) == shown


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("rtsp://192.0.2.7:999999/a", "give a port from 1 to 65535"),
        ("rtsp://192.0.2.7:99999/a", "give a port from 1 to 65535"),
        ("rtsp://192.0.2.7 :554/a", "remove the spaces inside the host"),
        ("rtsp://192.0.2.7: 554/a", "remove the spaces inside the host"),
        ("rtsp://a:b:c/", "write the host after rtsp://, and percent-encode @ : / ? # in user and password"),
    ],
)
def test_the_remedy_says_what_is_wrong_with_the_host(text: str, remedy: str) -> None:
    """Ports that are none, spaces, and what was meant as a password."""
    with pytest.raises(AddressError) as caught:
        split_address(text)
    assert str(caught.value) == remedy


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("192.0.2.7", ("192.0.2.7", None)),
        ("192.0.2.7:8554", ("192.0.2.7", 8554)),
        ("CAM.Example", ("cam.example", None)),
        ("[2001:db8::7]:554", ("2001:db8::7", 554)),
        ("2001:DB8::7", ("2001:db8::7", None)),
        ("camera", None),
        ("rtsp//192.0.2.7/a", None),
        ("admin@192.0.2.7", None),
    ],
)
def test_a_bare_host_is_told_from_other_text(text: str, host: tuple[str, int | None] | None) -> None:
    """An IP address or a name with a dot, with or without a port."""
    assert split_host(text) == host


@pytest.mark.parametrize("text", ["192.0.2.256", "192.0.2.7:99999", "a b.c"])
def test_a_bare_host_that_is_none_is_refused(text: str) -> None:
    """It looks like one: what is wrong is said."""
    with pytest.raises(AddressError):
        split_host(text)


@pytest.mark.parametrize("scheme", ["http", "https"])
@given(host=HOSTS, port=st.none() | st.integers(1, 65535))
def test_recorders_have_the_port_of_their_scheme(scheme: str, host: str, port: int | None) -> None:
    """A password is bound to it."""
    found = split_address(f"{scheme.upper()}://u:p@{host}{'' if port is None else f':{port}'}/", (scheme,))

    assert found.port == (port or {"http": 80, "https": 443}[scheme])
    assert split_address(found.url, ALL_SCHEMES).origin == found.origin


def test_rtsps_has_a_port_of_its_own() -> None:
    """RFC 7826 section 4.2; a password is bound to that port."""
    assert split_address("rtsps://10.0.0.1/live").origin == ("10.0.0.1", 322)
