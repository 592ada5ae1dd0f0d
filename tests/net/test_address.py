"""Where looks may go: the guard works on the resolved address."""

from __future__ import annotations

import pytest

from streamwatch.errors import LookError, Reason, UsageError
from streamwatch.net.address import Guard, Target, parse_networks, resolve, target_of
from streamwatch.net.canary import canary_targets, default_gateway, is_neighbour

VILLAGE = Guard(parse_networks(("10.20.0.0/16",)))


@pytest.mark.parametrize(
    ("ip", "allowed"),
    [("10.20.3.4", True), ("10.21.0.1", False), ("::ffff:10.20.0.9", True), ("::ffff:127.0.0.1", False)],
)
def test_only_the_configured_networks_are_reached(ip: str, allowed: bool) -> None:
    """An IPv4 address in IPv6 clothes is the IPv4 address."""
    if allowed:
        VILLAGE.check(ip)
        return
    with pytest.raises(LookError) as caught:
        VILLAGE.check(ip)
    assert caught.value.reason is Reason.OURS_LIMIT
    assert "allow_networks" in str(caught.value)


@pytest.mark.parametrize("ip", ["169.254.169.254", "224.0.0.1", "0.0.0.0", "fe80::1", "ff02::1", "::ffff:169.254.1.1"])
def test_some_addresses_are_never_a_camera(ip: str) -> None:
    """Metadata services, multicast and nobody are refused without any configuration."""
    with pytest.raises(LookError):
        Guard().check(ip)


async def test_a_name_is_checked_after_it_was_resolved() -> None:
    """localhost is a name for a forbidden address."""
    with pytest.raises(LookError) as caught:
        await resolve(target_of("rtsp://localhost/x"), VILLAGE)
    assert caught.value.reason is Reason.OURS_LIMIT

    found = await resolve(target_of("rtsp://localhost:8554/x"), Guard(parse_networks(("127.0.0.0/8", "::1/128"))))
    assert found.port == 8554


async def test_a_name_without_an_address_says_so() -> None:
    """net.name, with the name."""
    with pytest.raises(LookError, match="no-such-camera") as caught:
        await resolve(target_of("rtsp://no-such-camera.invalid/x"), Guard())
    assert caught.value.reason is Reason.NET_NAME


@pytest.mark.parametrize("url", ["http://h/x", "rtsp:///x", "rtsp://h:0/x", "rtsp://h:99999/x", "x"])
def test_an_address_that_cannot_be_looked_at_is_refused(url: str) -> None:
    """Wrong scheme, no host, no port."""
    with pytest.raises(UsageError):
        target_of(url)


def test_the_scheme_says_whether_it_is_tls() -> None:
    """rtsps has a port of its own."""
    assert target_of("RTSPS://Cam.example/x") == Target("cam.example", 322, tls=True)
    assert target_of("rtsp://cam.example/x") == Target("cam.example", 554)


def test_the_default_gateway_is_read_from_the_kernels_table() -> None:
    """Little-endian hex; other routes are passed over."""
    table = "Iface\tDestination\tGateway \tFlags\neth0\t0000A8C0\t00000000\t0001\neth0\t00000000\t0101A8C0\t0003\n"

    assert default_gateway(table) == "192.168.1.1"
    assert default_gateway("Iface\tDestination\tGateway\n") is None


def test_a_gateway_that_drops_our_question_is_known_by_its_hardware() -> None:
    """Complete entries of the neighbour table count; incomplete and absent ones do not."""
    table = (
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "192.168.1.1      0x1         0x2         02:42:ac:11:00:01     *        eth0\n"
        "192.168.1.7      0x1         0x0         00:00:00:00:00:00     *        eth0\n"
    )

    assert is_neighbour(table, "192.168.1.1")
    assert not is_neighbour(table, "192.168.1.7")
    assert not is_neighbour(table, "192.168.1.9")


def test_a_canary_names_a_host_and_a_port() -> None:
    """Anything else is a mistake of the configuration."""
    assert canary_targets(("tcp://10.0.0.1:5060",)) == (("10.0.0.1:5060", "10.0.0.1", 5060),)
    for wrong in ("10.0.0.1", "tcp://10.0.0.1", "http://x:1", "tcp://x:port"):
        with pytest.raises(Exception, match=r"canaries\.targets"):
            canary_targets((wrong,))
