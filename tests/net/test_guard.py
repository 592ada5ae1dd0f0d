"""What the guard lets through: by range, by who named the address, in every spelling, and for how long."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason, UsageError
from streamwatch.net.address import Guard, Target, parse_networks, resolve, target_of
from streamwatch.prober import EVERYWHERE

NOBODY = ("0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "239.255.255.250", "::", "ff02::1", "::ffff:0.0.0.0")
NEVER_UNNAMED = (
    "169.254.169.254",
    "100.100.100.200",
    "fd00:ec2::254",
    "169.254.1.1",
    "fe80::1",
    "fe80::1%lo",
    "::ffff:169.254.169.254",
)
IN_OTHER_CLOTHES = (
    "::127.0.0.1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "fd00::5efe:127.0.0.1",
    "2001:db8::200:5efe:169.254.169.254",
    "2001:0:7f00:1::",
    "2001::8000:0:80ff:fffe",  # Teredo's client, inverted: 127.0.0.1
)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: tuple[str, ...]) -> list[str]:
    """The running loop's resolver gives these addresses, the last ones for ever; gives the names it was asked for."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        given = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET6 if ":" in ip else socket.AF_INET, 1, 6, "", (ip, port)) for ip in given]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("ip", [*NOBODY, *NEVER_UNNAMED, *IN_OTHER_CLOTHES])
@pytest.mark.parametrize("registered", [False, True])
def test_some_addresses_are_refused_whoever_names_them(ip: str, registered: bool) -> None:
    """Nobody's, the link's, a cloud's, and IPv4 that a gateway would take out of IPv6: ours.limit, never the camera."""
    for guard in (Guard(), EVERYWHERE, Guard(parse_networks(("0.0.0.0/0", "::/0")))):
        with pytest.raises(LookError) as caught:
            guard.check(ip, registered=registered)
        assert caught.value.reason is Reason.OURS_LIMIT


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_this_machine_is_a_camera_only_by_its_address(ip: str) -> None:
    """An editor who registers 127.0.0.3 means it; a name or a device that leads there does not get us there."""
    Guard().check(ip, registered=True)
    with pytest.raises(LookError, match=r"look\.allow_networks"):
        Guard().check(ip)
    with pytest.raises(LookError):
        Guard(parse_networks(("0.0.0.0/0", "::/0"))).check(ip)
    with pytest.raises(LookError):
        Guard(parse_networks(("10.0.0.0/8",))).check(ip, registered=True)


@pytest.mark.parametrize(
    ("ip", "network", "allowed"),
    [
        ("127.0.0.1", "127.0.0.0/8", True),
        ("127.0.0.1", "127.0.0.0/7", False),
        ("127.0.0.1", "127.0.0.1/32", True),
        ("127.0.0.2", "127.0.0.1/32", False),
        ("::1", "::1/128", True),
        ("::1", "::/64", False),
        ("169.254.1.1", "169.254.0.0/16", True),
        ("169.254.1.1", "169.254.1.0/24", True),
        ("169.254.1.1", "169.0.0.0/8", False),
        ("169.254.169.254", "169.254.0.0/16", False),
        ("169.254.169.254", "169.254.169.254/32", True),
        ("100.100.100.200", "100.64.0.0/10", False),
        ("100.100.100.201", "100.64.0.0/10", True),
        ("100.100.100.200", "100.100.100.200/32", True),
        ("fd00:ec2::254", "fd00::/8", False),
        ("fd00:ec2::254", "fd00:ec2::254/128", True),
        ("fe80::1%eth0", "fe80::/10", True),
        ("0.0.0.0", "0.0.0.0/32", False),
        ("224.0.0.1", "224.0.0.1/32", False),
        ("64:ff9b::10.0.0.5", "64:ff9b::/96", True),
        ("64:ff9b::10.0.0.5", "10.0.0.0/8", False),
        ("64:ff9b::127.0.0.1", "64:ff9b::/96", False),
    ],
)
def test_a_special_range_is_opened_by_its_own_name(ip: str, network: str, allowed: bool) -> None:
    """A network that holds a special range and more does not mean it; nothing opens nobody's addresses."""
    guard = Guard(parse_networks((network,)))
    if allowed:
        guard.check(ip)
        return
    with pytest.raises(LookError):
        guard.check(ip)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{}", "::ffff:{}", "64:ff9b::{}", "::ffff:0:{}", "::{}", "6to4"]))
def test_ipv4_is_the_same_in_every_form(number: int, form: str) -> None:
    """What `ipaddress` calls special is refused in each form, and other unicast is not."""
    inner = ipaddress.IPv4Address(number)
    if form == "6to4":
        text = str(ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1))
    elif form == "{}":
        text = str(inner)
    else:
        text = str(ipaddress.IPv6Address(form.format(inner)))
    special = (
        inner.is_loopback
        or inner.is_link_local
        or inner.is_multicast
        or inner in ipaddress.ip_network("0.0.0.0/8")
        or str(inner) in {"255.255.255.255", "100.100.100.200"}
    )
    try:
        Guard().check(text)
    except LookError:
        assert special
    else:
        assert not special


ODD = (
    "0x7f000001",
    "0x7F.1",
    "2130706433",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "127.0.0.01",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "１２７.0.0.1",
    "127。0。0。1",
    "local\u00adhost",
    "ｌｏｃａｌｈｏｓｔ",
    "%31%32%37.0.0.1",
    "0",
    "0x0",
    "[::]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::1]",
    "0.0.0.0",
    "0xa9fea9fe",
    "2852039166",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "255.255.255.255",
)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_odd_spellings_do_not_slip_past(run: Any) -> None:
    """Hexadecimal, decimal, octal, short, full-width, soft hyphens: names, or no addresses. The resolver is real."""

    async def refused(target: Callable[[], Target]) -> bool:
        try:
            await resolve(target(), Guard())
        except UsageError:
            return True
        except LookError as error:
            return error.reason in {Reason.OURS_LIMIT, Reason.NET_NAME}
        return False

    async def look() -> None:
        for host in ODD:
            assert await refused(lambda host=host: target_of(f"rtsp://{host}/live")), host
            assert await refused(lambda host=host: Target(host.strip("[]"), 554)), host

    run(look())


@pytest.mark.parametrize("host", [".", "..", "[]", "", ":554", "u:p@"])
def test_no_host_is_no_address(host: str) -> None:
    """Some resolvers take an empty name for this machine."""
    with pytest.raises(UsageError):
        target_of(f"rtsp://{host}/live")


async def test_mapped_loopback_is_what_it_is_mapped_to() -> None:
    """[::ffff:127.0.0.1] in the inventory is 127.0.0.1 in the inventory: the password's origin is the same, too."""
    found = await resolve(target_of("rtsp://[::ffff:127.0.0.1]/live"), Guard())
    assert (found.ip, found.family) == ("127.0.0.1", socket.AF_INET)
    with pytest.raises(LookError):
        await resolve(target_of("rtsp://[::ffff:127.0.0.1]/live"), Guard(parse_networks(("10.0.0.0/8",))))


async def test_a_name_of_this_machine_says_what_to_do() -> None:
    """The inventory's localhost names the setting; whoever types it at this machine means it."""
    with pytest.raises(LookError) as caught:
        await resolve(target_of("rtsp://localhost:8554/x"), Guard())
    assert caught.value.reason is Reason.OURS_LIMIT
    for word in ("'localhost'", "127.0.0.0/8", "look.allow_networks"):
        assert word in caught.value.detail
    for guard in (EVERYWHERE, Guard(parse_networks(("127.0.0.0/8", "::1/128")))):
        assert (await resolve(target_of("rtsp://localhost:8554/x"), guard)).port == 8554


async def test_of_several_addresses_the_first_good_one_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a forbidden address and a good one leads to the good one; one without any names the first."""
    resolving(monkeypatch, ("127.0.0.1", "10.1.2.3", "10.1.2.4"), ("fe80::1", "0.0.0.0"), ())
    assert (await resolve(Target("cam.example", 554), Guard())).ip == "10.1.2.3"
    with pytest.raises(LookError, match="fe80::1"):
        await resolve(Target("cam.example", 554), Guard())
    with pytest.raises(LookError, match="has no address"):
        await resolve(Target("cam.example", 554), Guard())


async def test_a_look_asks_the_resolver_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the name means later, the look stays with the address that it began with, at any port."""
    asked = resolving(monkeypatch, ("10.1.2.3",), ("10.9.9.9",))
    guard = Guard().for_look("rtsp://u:p@Cam.Example./live")
    found = [await resolve(Target("cam.example", port), guard) for port in (554, 322, 8554)]

    assert [(one.ip, one.port) for one in found] == [("10.1.2.3", 554), ("10.1.2.3", 322), ("10.1.2.3", 8554)]
    assert asked == ["cam.example"]
    again = await resolve(Target("cam.example", 554), Guard().for_look("rtsp://cam.example/live"))
    assert again.ip == "10.9.9.9"  # another look asks anew, and checks anew


@pytest.mark.parametrize("host", ["10.1.2.4", "other.example", "cam.example.evil.example", "127.0.0.1", "10.1.2.3"])
async def test_a_look_goes_to_nobody_else(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Another host is no camera of this look, also where the guard would allow it, and is not even resolved."""
    asked = resolving(monkeypatch, ("10.1.2.3",))
    guard = Guard(parse_networks(("0.0.0.0/0",))).for_look("rtsp://cam.example/live")
    await resolve(Target("cam.example", 554), guard)
    with pytest.raises(LookError) as caught:
        await resolve(Target(host, 554), guard)

    assert caught.value.reason is Reason.RTSP_REDIRECT
    assert asked == ["cam.example"]


def test_the_guard_of_a_look_checks_like_any_other() -> None:
    """What a device calls its source is checked by the same networks."""
    guard = Guard(parse_networks(("10.0.0.0/8",))).for_look("rtsp://10.1.2.3/live")
    guard.check("10.9.9.9")
    for ip in ("192.0.2.1", "127.0.0.1", "239.1.1.1"):
        with pytest.raises(LookError):
            guard.check(ip)


OCTETS = st.sampled_from([0, 1, 10, 100, 127, 168, 169, 192, 200, 223, 224, 239, 240, 254, 255])
SPELLINGS = st.one_of(
    st.tuples(OCTETS, OCTETS, OCTETS, OCTETS).map(lambda octets: ".".join(map(str, octets))),
    st.sampled_from(
        [*NOBODY, *NEVER_UNNAMED, *IN_OTHER_CLOTHES, "127.1", "0x7f000001", "010.0.0.1", "1.2.3", "a", "", "\0"]
    ),
)
NETWORKS = st.sampled_from([(), ("10.0.0.0/8",), ("0.0.0.0/0",), ("127.0.0.0/8", "100.64.0.0/10"), ("fd00::/8",)])


@given(SPELLINGS, NETWORKS, st.integers(1, 65535))
def test_what_is_known_at_once_is_what_would_be_resolved(host: str, networks: tuple[str, ...], port: int) -> None:
    """The short way gives an address only where the long one gives the same."""
    guard = Guard(parse_networks(networks))
    target = Target(host, port)
    found = guard.known(target)
    if found is not None:
        assert found == asyncio.run(guard.resolve(target))


def test_most_cameras_are_known_at_once_and_a_look_stays_with_its_host() -> None:
    """An ordinary address in figures needs no resolver; another host than the look's is not known."""
    guard = Guard(parse_networks(("10.0.0.0/8", "127.0.0.0/8")))
    assert guard.known(Target("10.1.2.3", 554)) is not None
    assert guard.known(Target("127.9.0.1", 554)) is not None
    assert guard.known(Target("192.0.2.7", 554)) is None
    look = guard.for_look("rtsp://10.1.2.3/live")
    assert look.known(Target("10.1.2.4", 554)) is None
    first = look.known(Target("10.1.2.3", 554))
    assert (first and first.port, getattr(look.known(Target("10.1.2.3", 322)), "port", None)) == (554, 322)
