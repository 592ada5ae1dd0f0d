"""Goals R20 and R21: nothing that a device says has us knock at another door, or show its password there.

There is no ONVIF in this version, so no XAddr that could lead elsewhere; the other carriers of an address are all here.
The resolver is replaced where a name has to change its address within a look: the DNS is not ours to test.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import os
import random
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop

from streamwatch.clock import SystemClock
from streamwatch.errors import Reason, Step
from streamwatch.ingest.session import Heard, Limits, converse
from streamwatch.model.look import Depth, Transport
from streamwatch.model.report import Credentials
from streamwatch.net.address import Guard, parse_networks
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.transcript import Recorder, dump
from tests.ingest.traps import (
    ELSEWHERE,
    HOST,
    US,
    Asked,
    Camera,
    Listener,
    Lock,
    Plan,
    Wire,
    asked_of,
    deaf_datagrams,
    opened,
    self_signed,
    tempting,
    watched,
)
from tests.wire.camera import reply, sdp

SCALE = int(os.environ.get("STREAMWATCH_GOAL_SCALE", "1"))
VARIANTS = 100 * SCALE  # random mixtures; 2,000 at scale 20
NAME = "cam.example"
NAMED = Guard(parse_networks(("127.0.0.0/8",)))  # a name may lead to this machine: only so can one be tested


async def look(
    url: str,
    *,
    guard: Guard | None = None,
    credentials: Credentials | None = None,
    allow_basic: bool = False,
    transport: Transport = Transport.AUTO,
    tape: bool = False,
    total_s: float = 3.0,
) -> tuple[Heard, str]:
    """One look, and its recording as a text."""
    ask = Ask(url, Depth.STREAM, credentials=credentials, allow_basic=allow_basic, transport=transport)
    clock = SystemClock()
    recorder = Recorder(ask, clock.utc_us(), clock.monotonic()) if tape else None
    async with asyncio.timeout(30):
        heard = await converse(ask, Limits(2.0, 1.0, total_s), clock=clock, guard=guard or Guard(), tape=recorder)
    return heard, "" if recorder is None else dump(recorder)


# ---- R20: whom we connect to


def lures(port: int) -> dict[str, str]:
    """Host and port of the trap, or of somebody nobody should ask, in every spelling that some resolver takes."""
    number = int(ipaddress.IPv4Address(ELSEWHERE))
    wide = "".join(chr(ord(char) + 0xFEE0) if char.isdigit() else char for char in ELSEWHERE)
    hosts = {
        "plain": ELSEWHERE,
        "mapped": f"[::ffff:{ELSEWHERE}]",
        "mapped in hexadecimal": "[::ffff:7f14:42]",
        "compatible": f"[::{ELSEWHERE}]",
        "hexadecimal": hex(number),
        "decimal": str(number),
        "octal": "0177.024.0.0102",
        "short": "127.1310786",
        "full-width": wide.encode().decode("latin-1"),
        "a name": "evil.example",
        "our name below it": f"{HOST}.evil.example",
        "a user that looks like us": f"{HOST}@{ELSEWHERE}",
        "a user with our port": f"{HOST}:{port}@{ELSEWHERE}",
        "a backslash": f"{HOST}\\@{ELSEWHERE}",
        "a fragment": f"{HOST}#@{ELSEWHERE}",
        "metadata": "169.254.169.254",
        "metadata, mapped": "[::ffff:169.254.169.254]",
        "this machine": "localhost",
        "this machine too": "[::1]",
        "nobody": "0.0.0.0",
    }
    return {name: f"{host}:{port}" for name, host in hosts.items()}


def sent_on(method: str, status: str) -> Callable[[str], Plan]:
    return lambda place: Plan(status={method: status}, headers={method: (f"Location: rtsp://{place}/live",)})


def redirect_to(place: str) -> bytes:
    """A request of the camera's own."""
    return f"REDIRECT rtsp://you/ RTSP/1.0\r\nCSeq: 7\r\nLocation: rtsp://{place}/live\r\n\r\n".encode("latin-1")


def asked_to_go(method: str) -> Callable[[str], Plan]:
    return lambda place: Plan(before={method: redirect_to(place)})


def described(line: str) -> Callable[[str], Plan]:
    """A line of the session's part of the description."""
    return lambda place: Plan(
        description=sdp().replace(b"a=control:*", line.format(place=place, host=place.rpartition(":")[0]).encode())
    )


CARRIERS: dict[str, Callable[[str], Plan]] = {
    **{f"301 at {method}": sent_on(method, "301 Moved") for method in ("OPTIONS", "DESCRIBE", "SETUP", "PLAY")},
    **{f"302 at {method}": sent_on(method, "302 Found") for method in ("DESCRIBE", "PLAY")},
    "303": sent_on("DESCRIBE", "303 See Other"),
    "305": sent_on("DESCRIBE", "305 Use Proxy"),
    "307": sent_on("DESCRIBE", "307 Temporary"),
    "Location without scheme": lambda place: Plan(
        status={"DESCRIBE": "302 Found"}, headers={"DESCRIBE": (f"Location: //{place}/live",)}
    ),
    "REDIRECT after PLAY": lambda place: Plan(after=redirect_to(place)),
    **{f"REDIRECT at {method}": asked_to_go(method) for method in ("OPTIONS", "DESCRIBE", "SETUP", "PLAY")},
    "Content-Base": lambda place: Plan(headers={"DESCRIBE": (f"Content-Base: rtsp://{place}/live/",)}),
    "Content-Location": lambda place: Plan(headers={"DESCRIBE": (f"Content-Location: rtsp://{place}/live/",)}),
    "a=control of the track": lambda place: Plan(description=sdp(control=f"rtsp://{place}/live/track1")),
    "a=control of the session": described("a=control:rtsp://{place}/live"),
    "a=control and Content-Base": lambda place: Plan(
        headers={"DESCRIBE": (f"Content-Base: rtsp://{place}/live/",)},
        description=sdp(control=f"rtsp://{place}/live/track1"),
    ),
    "c=": described("c=IN IP4 {host}"),
    "o=": described("o=- 1 1 IN IP4 {host}"),
    "source": lambda place: Plan(transport=f";source={place.rpartition(':')[0]}"),
    "destination": lambda place: Plan(transport=f";destination={place.rpartition(':')[0]}"),
    "multicast": lambda place: Plan(transport=f";multicast;destination={place.rpartition(':')[0]}"),
    "RTP-Info": lambda place: Plan(headers={"PLAY": (f"RTP-Info: url=rtsp://{place}/live/track1;seq=1",)}),
}


BY_UDP = {"source", "destination", "multicast", "c=", "o="}  # what media could be sent to
GIVEN_UP = {
    Reason.RTSP_REDIRECT,
    Reason.RTSP_PROTOCOL,
    Reason.RTSP_TRANSPORT,
    Reason.NET_REFUSED,  # where the lure is, rightly read, another port of the camera: nobody listens there
}


def misleading(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """The resolver leads cam.example to these addresses in turn, and the names of the lures to the trap."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        ip = answers[min(asked.count(NAME), len(answers)) - 1] if host == NAME and answers else ELSEWHERE
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    return asked


async def led_astray(
    plan: Plan, wire: Wire | None, url: Callable[[int], str], transport: Transport, **more: Any
) -> tuple[Heard, Camera]:
    """One look at a camera of that plan, whose every trap stays empty; `url` is asked once it listens."""
    camera = Camera(plan)
    async with opened(camera, HOST) as port:
        trap = Listener(tempting)
        async with opened(trap, ELSEWHERE, port):
            with deaf_datagrams(ELSEWHERE, camera.media_ports[0]) as (_, came):
                if wire is not None:
                    wire.connects.clear()
                    wire.datagrams.clear()
                heard, _ = await look(url(port), transport=transport, **more)
                await asyncio.sleep(0)
                assert came() == []
        assert trap.connections == 0
        assert bytes(trap.heard) == b""
    assert camera.connections >= 1
    if wire is not None:
        assert {one[0] for one in wire.connects} == {HOST}
        assert len(wire.connects) <= 3  # two hops
        assert {one[:2] for one in wire.datagrams if one[0] != HOST} <= {(US, port) for port in camera.client_ports}
    return heard, camera


async def test_r20_the_traps_do_catch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setup: the trap, the watch over connects, and a look at the trap itself. Bound: all of them see it, so that their
    silence elsewhere means something."""
    wire = watched(monkeypatch)
    trap = Listener(tempting)
    async with opened(trap, ELSEWHERE) as port:
        await look(f"rtsp://{ELSEWHERE}:{port}/live")

    assert trap.connections == 1
    assert b"DESCRIBE" in trap.heard
    assert wire.connects == [(ELSEWHERE, port)]


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_r20_no_word_of_a_device_leads_elsewhere(monkeypatch: pytest.MonkeyPatch, carrier: str) -> None:
    """Setup: a camera, and a trap at the same port of another address. Fault: the camera names the trap, or an address
    that nobody may ask, in each spelling, by TCP and by UDP. Bound: 0 connections and 0 datagrams to anybody but the
    camera, seen by the trap and by a watch over connect and sendto."""
    wire = watched(monkeypatch)
    misleading(monkeypatch)
    for name in lures(1):
        for transport in (Transport.TCP, Transport.UDP) if carrier in BY_UDP else (Transport.AUTO,):
            plan = Plan()  # its lure has the camera's port, which is known once it listens

            def url(port: int, name: str = name, plan: Plan = plan) -> str:
                plan.__dict__.update(CARRIERS[carrier](lures(port)[name]).__dict__)
                return f"rtsp://{HOST}:{port}/live"

            heard, camera = await led_astray(plan, wire, url, transport)
            methods = [asked.method for asked in camera.requests]
            assert methods[0] == "OPTIONS"
            if heard.failure is not None:
                assert heard.failure.reason in GIVEN_UP, name


def test_r20_the_loop_of_production_is_not_led_elsewhere_either() -> None:
    """Setup: as before, by uvloop, whose connects only the traps can see. Fault: every carrier, in spellings that the
    C library takes for an address. Bound: 0 connections and 0 datagrams at the trap."""

    async def all_of_them() -> None:
        for carrier in CARRIERS:
            for name in ("plain", "mapped", "hexadecimal", "decimal", "octal"):
                plan = Plan()

                def url(port: int, carrier: str = carrier, name: str = name, plan: Plan = plan) -> str:
                    plan.__dict__.update(CARRIERS[carrier](lures(port)[name]).__dict__)
                    return f"rtsp://{HOST}:{port}/live"

                await led_astray(plan, None, url, Transport.UDP if carrier in BY_UDP else Transport.AUTO)

    uvloop.run(all_of_them())


@pytest.mark.parametrize("carrier", ["source", "c=", "o=", "RTP-Info", "Content-Base", "Content-Location"])
async def test_r20_a_camera_that_only_errs_about_itself_is_up(monkeypatch: pytest.MonkeyPatch, carrier: str) -> None:
    """Setup: as before. Fault: an address that real cameras get wrong (behind a router they know an inner one). Bound:
    the look is good, and nobody else was asked."""
    wire = watched(monkeypatch)
    plan = CARRIERS[carrier](f"{ELSEWHERE}:554")
    heard, _ = await led_astray(plan, wire, lambda port: f"rtsp://{HOST}:{port}/live", Transport.AUTO)

    assert heard.failure is None
    assert heard.keyframe is not None


REDIALS = {
    "461 and FIN": Plan(status={"SETUP": "461 No"}, closes_at=frozenset({"SETUP"})),
    "silence": Plan(silent=True),
    "sent on to the same host": Plan(
        status={"DESCRIBE": "302 Found"}, headers={"DESCRIBE": (f"Location: rtsp://{NAME}:PORT/other",)}
    ),
}


@pytest.mark.parametrize("why", REDIALS)
async def test_r20_a_name_that_moves_within_a_look_moves_nothing(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """Setup: a camera by name, and a trap at the same port of another address. Fault: DNS rebinding: the name leads to
    the camera once and to the trap ever after, and the camera has us dial again. Bound: each connection goes to the
    address of the first; 1 question to the resolver; 0 connections at the trap."""
    wire = watched(monkeypatch)
    asked = misleading(monkeypatch, HOST, ELSEWHERE)
    plan = Plan(**REDIALS[why].__dict__)

    def url(port: int) -> str:
        plan.headers = {
            method: tuple(line.replace("PORT", str(port)) for line in lines) for method, lines in plan.headers.items()
        }
        return f"rtsp://{NAME}:{port}/live"

    _, camera = await led_astray(plan, wire, url, Transport.AUTO, guard=NAMED, total_s=0.9)
    assert camera.connections >= 2 or why.startswith("sent on")
    assert asked == [NAME]


@pytest.mark.parametrize("ip", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "100.100.100.200", ELSEWHERE])
async def test_r20_a_name_is_checked_after_it_was_resolved(monkeypatch: pytest.MonkeyPatch, ip: str) -> None:
    """Setup: a name in the inventory. Fault: its owner leads it to this machine, or to a cloud's metadata. Bound: 0
    connects; ours.limit at connect, which names the setting."""
    wire = watched(monkeypatch)
    misleading(monkeypatch, ip)
    heard, _ = await look(f"rtsp://{NAME}:554/live")

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.OURS_LIMIT, Step.CONNECT)
    assert ip in heard.failure.detail
    assert wire.connects == []


@pytest.mark.parametrize("to", ["itself", "another path each time", "two in turn"])
@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
async def test_r20_redirects_end_after_two_hops(monkeypatch: pytest.MonkeyPatch, to: str, method: str) -> None:
    """Setup: a camera. Fault: it sends us on for ever, on its own host. Bound: at most 2 hops, one connection each and
    the first; rtsp.redirect."""
    wire = watched(monkeypatch)
    hops = 0

    def answer(asked: Asked) -> bytes:
        nonlocal hops
        if asked.method != method:
            return good(asked)
        path = {"itself": "live", "another path each time": f"live{hops}", "two in turn": f"live{hops % 2}"}[to]
        hops += 1
        return reply(int(asked.headers["cseq"]), "302 Found", f"Location: rtsp://{HOST}:{camera.port}/{path}")

    camera = Camera(Plan())
    good, camera._answer = camera.reply_to, answer
    async with opened(camera, HOST) as port:
        heard, _ = await look(f"rtsp://{HOST}:{port}/live")

    assert hops <= 3
    assert camera.connections <= 3
    assert len(wire.connects) <= 3
    if method != "OPTIONS":  # any answer to that shows that RTSP is spoken here
        assert heard.failure is not None
        assert heard.failure.reason is Reason.RTSP_REDIRECT


async def test_r20_nothing_is_sent_to_where_media_is_said_to_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setup: a camera that sends by UDP and says that it sends from the trap, which the guard allows. Bound: we listen
    to that address as well, and 0 datagrams go there: they all go to the address that we are connected to."""
    wire = watched(monkeypatch)
    plan = Plan(transport=f";source={ELSEWHERE}")
    heard, camera = await led_astray(plan, wire, lambda port: f"rtsp://{HOST}:{port}/live", Transport.UDP, guard=NAMED)

    assert heard.keyframe is not None
    ours = [one for one in wire.datagrams if one[0] == HOST]
    assert {one[1] for one in ours} == set(camera.media_ports)


# ---- R21: whom we show a password


def needles(credentials: Credentials, realms: tuple[str, ...] = ("r",)) -> list[bytes]:
    """All that must not be seen where the password does not belong, in lower case."""
    pair = f"{credentials.username}:{credentials.password}"
    found = ["authorization", credentials.password]
    found += [base64.b64encode(text.encode()).decode().rstrip("=") for text in (pair, credentials.password)]
    for realm in realms:
        ha1 = f"{credentials.username}:{realm}:{credentials.password}".encode("latin-1")
        found += [hashlib.md5(ha1).hexdigest(), hashlib.sha256(ha1).hexdigest()]
    return [one.lower().encode("latin-1") for one in found]


def canary(number: object) -> Credentials:
    """A password that no other camera has."""
    return Credentials("admin", "Canary" + hashlib.sha256(str(number).encode()).hexdigest()[:12])


def assert_untold(heard: bytes, credentials: Credentials) -> None:
    """Nothing of the password is in it."""
    told = [needle for needle in needles(credentials) if needle in heard.lower()]
    assert told == []


ELSEWHERES: dict[str, tuple[str, bool]] = {
    "another host": (ELSEWHERE, False),
    "another port": (HOST, False),
    "TLS at another port": (HOST, True),
    "TLS at another host": (ELSEWHERE, True),
}


@pytest.mark.parametrize("where", ELSEWHERES)
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_r21_a_password_stays_with_its_host_and_port(tmp_path: Path, carrier: str, where: str) -> None:
    """Setup: a camera with Digest and Basic, both taken; a trap at another host or port, plain or by TLS, that asks for
    a password and records every byte. Fault: the camera leads there, by redirect, by description, by header. Bound: 0
    bytes of Authorization, password, base64 or HA1 at the trap."""
    host, tls = ELSEWHERES[where]
    credentials = canary((carrier, where))
    trap = Listener(tempting)
    camera = Camera(Plan())
    async with opened(camera, HOST) as port, opened(trap, host, 0, self_signed(tmp_path) if tls else None) as other:
        plan = CARRIERS[carrier](f"{host}:{other}")
        if tls:
            plan = with_tls(plan)
        plan.lock = Lock(("basic", "md5"))
        camera.plan = plan
        heard, taped = await look(f"rtsp://{HOST}:{port}/live", credentials=credentials, allow_basic=True, tape=True)

    assert_untold(bytes(trap.heard), credentials)
    assert b"basic " not in bytes(camera.heard).lower()
    assert camera.plan.lock is not None
    assert camera.plan.lock.refused == 0
    assert credentials.password not in taped
    assert credentials.password not in str(heard)


def with_tls(plan: Plan) -> Plan:
    """The same, to rtsps."""
    plan.headers = {
        method: tuple(line.replace("rtsp:", "rtsps:").replace("Location: //", "Location: rtsps://") for line in lines)
        for method, lines in plan.headers.items()
    }
    plan.after = plan.after.replace(b": rtsp:", b": rtsps:")
    plan.before = {method: data.replace(b": rtsp:", b": rtsps:") for method, data in plan.before.items()}
    plan.description = plan.description.replace(b"rtsp:", b"rtsps:")
    return plan


async def test_r21_the_traps_do_catch(tmp_path: Path) -> None:
    """Setup: the trap, looked at with a password of its own, plain and by TLS. Bound: it sees it, so that its silence
    elsewhere means something."""
    for tls in (None, self_signed(tmp_path)):
        trap = Listener(tempting)
        credentials = canary("trap")
        async with opened(trap, ELSEWHERE, 0, tls) as port:
            scheme = "rtsp" if tls is None else "rtsps"
            await look(f"{scheme}://{ELSEWHERE}:{port}/live", credentials=credentials)
        with pytest.raises(AssertionError):
            assert_untold(bytes(trap.heard), credentials)


def tries(camera: Camera) -> list[str]:
    """The answers to challenges that came to a camera, and were refused or taken."""
    return [asked.authorization for asked in camera.requests if asked.authorization is not None]


OFFERS = [
    ("basic",),
    ("basic", "md5"),
    ("md5", "basic"),
    ("md5",),
    ("sha", "md5", "basic"),
    ("basic", "md5", "sha"),
    ("odd",),
    ("odd", "basic"),
    ("basic", "odd", "md5"),
]


@pytest.mark.parametrize("allow_basic", [False, True])
@pytest.mark.parametrize("one_header", [False, True])
@pytest.mark.parametrize("offers", OFFERS, ids=" ".join)
async def test_r21_basic_only_where_nothing_better_is_offered_and_it_is_allowed(
    offers: tuple[str, ...], one_header: bool, allow_basic: bool
) -> None:
    """Setup: a camera that offers Basic first, last or alone, in one header or several. Bound: Basic is sent only if
    that camera allows it and offers no Digest that we know; else 0 bytes of it."""
    credentials = canary((offers, one_header))
    camera = Camera(Plan(lock=Lock(offers, one_header=one_header)))
    async with opened(camera, HOST) as port:
        heard, _ = await look(f"rtsp://{HOST}:{port}/live", credentials=credentials, allow_basic=allow_basic)

    digest = {"md5", "sha"} & set(offers)
    by_basic = [one for one in tries(camera) if one.startswith("Basic ")]
    assert bool(by_basic) is (allow_basic and not digest and "basic" in offers)
    assert base64.b64encode(f"admin:{credentials.password}".encode()) not in camera.heard or by_basic
    if digest or by_basic:
        assert heard.keyframe is not None
        if "sha" in offers:
            assert all("SHA-256" in one for one in tries(camera))
    else:
        assert heard.failure is not None
        assert heard.failure.reason is Reason.RTSP_AUTH
        assert tries(camera) == []


REFUSALS = {
    "the same challenge for ever": Lock(refuses=frozenset({""})),
    "a new nonce each time": Lock(refuses=frozenset({""}), new_nonce=True),
    "stale for ever": Lock(refuses=frozenset({""}), new_nonce=True, stale="true"),
    "stale for ever, the same nonce": Lock(refuses=frozenset({""}), stale="TRUE"),
    "hikvision: wrong, with a new nonce": Lock(refuses=frozenset({""}), new_nonce=True, stale="FALSE"),
    "all offers, for ever": Lock(("basic", "md5", "sha"), refuses=frozenset({""}), new_nonce=True),
    "only at SETUP": Lock(refuses=frozenset({"SETUP"}), new_nonce=True, stale="true"),
    "only at PLAY": Lock(refuses=frozenset({"PLAY"}), new_nonce=True, stale="true"),
    "only at TEARDOWN": Lock(refuses=frozenset({"TEARDOWN"}), new_nonce=True, stale="true"),
    "at PLAY and TEARDOWN": Lock(refuses=frozenset({"PLAY", "TEARDOWN"}), new_nonce=True, stale="true"),
    "basic for ever": Lock(("basic",), refuses=frozenset({""})),
    "basic at PLAY, after Digest": Lock(("md5",), later=("basic",), later_at=frozenset({"PLAY"})),
    "basic at SETUP and TEARDOWN": Lock(("md5",), later=("basic",), later_at=frozenset({"SETUP", "TEARDOWN"})),
    "basic alone in a new connection": Lock(("md5",), anew=("basic",)),
    "basic at TEARDOWN": Lock(("sha",), later=("basic",), later_at=frozenset({"TEARDOWN"})),
}


@pytest.mark.parametrize("dials", ["once", "again"])
@pytest.mark.parametrize("how", REFUSALS)
async def test_r21_at_most_two_answers_a_look_are_refused(how: str, dials: str) -> None:
    """Setup: a camera that refuses our answers: all, those to SETUP, PLAY or TEARDOWN; with stale or new nonces; also
    after it had us dial again. Bound: 2 refused answers a look, farewell included; no Basic once Digest was spoken."""
    plan = Plan(lock=Lock(**{key: value for key, value in REFUSALS[how].__dict__.items() if key[0] != "_"}))
    if dials == "again":
        plan.status, plan.closes_at = {"SETUP": "461 No"}, frozenset({"SETUP"})
    camera = Camera(plan)
    async with opened(camera, HOST) as port:
        heard, _ = await look(f"rtsp://{HOST}:{port}/live", credentials=canary(how), allow_basic=True)
        await asyncio.sleep(0.01)  # the answer to TEARDOWN is not waited for

    assert plan.lock is not None
    assert plan.lock.refused <= 2
    if "TEARDOWN" not in how and "new connection" not in how and dials == "once":
        assert heard.failure is not None
        assert heard.failure.reason is Reason.RTSP_AUTH
    if how.startswith("hikvision"):
        assert plan.lock.refused == 1
    if "md5" in plan.lock.offers or "sha" in plan.lock.offers:
        assert b"Basic " not in camera.heard


async def test_r21_a_proxy_gets_nothing() -> None:
    """Setup: a camera. Fault: 407 with Basic and Digest. Bound: no Authorization and no Proxy-Authorization at all."""
    credentials = canary("proxy")
    challenge = ('Proxy-Authenticate: Basic realm="r"', 'WWW-Authenticate: Basic realm="r"')
    camera = Camera(Plan(status={"DESCRIBE": "407 Proxy Authentication Required"}, headers={"DESCRIBE": challenge}))
    async with opened(camera, HOST) as port:
        heard, _ = await look(f"rtsp://{HOST}:{port}/live", credentials=credentials, allow_basic=True)

    assert heard.failure is not None
    assert_untold(bytes(camera.heard), credentials)


async def test_r21_random_mixtures(tmp_path: Path) -> None:
    """Setup: cameras drawn at random (seeded): carrier, place of the trap, offers, order, realm, refusals, nonces,
    transports. Bound: as in each test above: 0 bytes at the trap, at most 2 refused answers, no Basic that is not
    allowed or that comes beside Digest. 100 cameras in make test, 2,000 in make drills."""
    rng = random.Random(21)
    context = self_signed(tmp_path)
    gbk = "摄像机".encode("gbk").decode("latin-1")
    realms = ("r", "IP Camera(10789)", 'a", Basic realm="b', 'x" nonce="y', "", gbk)
    for number in range(VARIANTS):
        credentials = canary(number)
        host, tls = rng.choice(list(ELSEWHERES.values()))
        carrier = rng.choice(list(CARRIERS))
        lock = Lock(
            rng.choice(OFFERS),
            one_header=rng.random() < 0.5,
            realm=rng.choice(realms),
            new_nonce=rng.random() < 0.5,
            stale=rng.choice(["", "", "true", "false"]),
            refuses=rng.choice([None, None, frozenset({""}), frozenset({rng.choice(["DESCRIBE", "SETUP", "PLAY"])})]),
            later=rng.choice([None, ("basic",), ("md5", "basic")]),
            later_at=frozenset({rng.choice(["SETUP", "PLAY", "TEARDOWN"])}),
        )
        allow_basic = rng.random() < 0.5
        transport = rng.choice([Transport.AUTO, Transport.TCP, Transport.UDP])
        trap, camera = Listener(tempting), Camera(Plan())
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(opened(camera, HOST))
            other = await stack.enter_async_context(opened(trap, host, 0, context if tls else None))
            camera.plan = CARRIERS[carrier](f"{host}:{other}")
            camera.plan = with_tls(camera.plan) if tls else camera.plan
            camera.plan.lock = lock
            heard, taped = await look(
                f"rtsp://{HOST}:{port}/live",
                credentials=credentials,
                allow_basic=allow_basic,
                transport=transport,
                tape=True,
            )
        what = f"variant {number}: {carrier} to {host} tls={tls}, {lock}, {allow_basic}, {transport}"
        if host == ELSEWHERE:
            assert trap.connections == 0, what
        told = [needle for needle in needles(credentials, (lock.realm,)) if needle in bytes(trap.heard).lower()]
        assert told == [], what
        assert lock.refused <= 2, what
        basics = [one for one in tries(camera) if one.startswith("Basic ")]
        # a realm whose quotes make one header say Basic leaves only the permission
        offered = set() if '"' in lock.realm else {"md5", "sha"} & set(lock.offers)
        assert not basics or (allow_basic and not offered), what
        assert credentials.password not in taped + str(heard), what


TUNNELS = {
    "GET, for ever": Lock(refuses=frozenset({""}), new_nonce=True),
    "GET, stale for ever": Lock(refuses=frozenset({""}), new_nonce=True, stale="true"),
    "GET, Basic first": Lock(("basic", "md5"), refuses=frozenset({"POST"}), new_nonce=True),
    "POST, stale for ever": Lock(refuses=frozenset({"POST"}), new_nonce=True, stale="true"),
    "only Basic": Lock(("basic",)),
}


@pytest.mark.parametrize("how", [*TUNNELS, "302 of GET", "302 of POST", "307 of GET"])
async def test_r21_a_tunnel_through_http_is_no_way_around(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Setup: RTSP through HTTP. Fault: HTTP's own 401 for ever, to GET or POST, or HTTP's redirect to the trap. Bound:
    2 refused answers a look, no Basic that is not allowed, 0 connections elsewhere."""
    wire = watched(monkeypatch)
    credentials = canary(how)
    lock = Lock(**{key: value for key, value in TUNNELS.get(how, Lock()).__dict__.items() if key[0] != "_"})
    trap = Listener(tempting)

    def answer(asked: Asked) -> bytes:
        challenge = lock.challenge(asked)
        if challenge is not None:
            return "\r\n".join(["HTTP/1.0 401 Unauthorized", *challenge, "", ""]).encode("latin-1")
        if how.endswith(asked.method):
            return f"HTTP/1.0 {how[:3]} Found\r\nLocation: http://{ELSEWHERE}:{trap.port}/live\r\n\r\n".encode()
        return b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n"

    camera = Listener(answer)
    async with opened(camera, HOST) as port, opened(trap, ELSEWHERE):
        url = f"rtsp://{HOST}:{port}/live"
        heard, _ = await look(url, credentials=credentials, transport=Transport.HTTP, total_s=0.9)

    assert heard.failure is not None
    assert camera.requests[0].method == "GET"
    assert lock.refused <= 2
    assert trap.connections == 0
    assert {one[0] for one in wire.connects} == {HOST}
    assert b"Basic " not in camera.heard


PLAY_S: Final = 60.0  # of a session that plays on: twelve keepalives


@pytest.mark.parametrize("offers", [("basic",), ("md5",), ("basic", "md5")], ids=" ".join)
@pytest.mark.parametrize("stale", ["", "true", "false"])
def test_r21_a_challenge_in_mid_session_gets_little(offers: tuple[str, ...], stale: str) -> None:
    """Setup: a session that plays without a keyframe for a minute of its own clock, and allows Basic. Fault: every
    keepalive and the TEARDOWN are answered 401, by Basic, by a new nonce, by both. Bound: 2 refused answers in all, and
    no Basic, as the session began with Digest."""
    credentials = canary(offers)
    ask = Ask(f"rtsp://{HOST}/live", Depth.STREAM, credentials=credentials, allow_basic=True, transport=Transport.TCP)
    conversation = Conversation(ask, lambda: "c")
    lock = Lock(offers, new_nonce=True, stale=stale, refuses=frozenset({"OPTIONS", "GET_PARAMETER", "TEARDOWN"}))
    camera = Camera(Plan(lock=Lock(("md5",))))  # never opened: only its answers are wanted
    said = ""

    def converse_on(data: bytes, now: float) -> None:
        nonlocal said
        while data:
            said += data.decode("latin-1")
            answers = b""
            for head in data.decode("latin-1").split("\r\n\r\n")[:-1]:
                asked = asked_of(head)
                begun = conversation.step is Step.FIRST_KEYFRAME
                challenge = lock.challenge(asked) if begun else None
                cseq = int(asked.headers["cseq"])
                if challenge is None:
                    answers += camera.reply_to(asked)
                else:
                    answers += reply(cseq, "401 Unauthorized", *challenge)
            data = conversation.receive(answers, now)

    camera.plan.silent = True
    converse_on(conversation.start(0.0), 0.0)
    assert conversation.step is Step.FIRST_KEYFRAME
    assert "Digest " in said
    now = 0.0
    while now < PLAY_S:
        now += 0.5
        converse_on(conversation.tick(now), now)
    conversation.timeout(now)
    converse_on(conversation.farewell(), now)

    assert lock.refused <= 2
    assert said.count("TEARDOWN ") >= 1
    assert "Basic " not in said
    assert credentials.password not in said


# ---- what is shown of it


WORDS = ("admin:{0}@", "admin:{0}/x@", "admin:{0}@x@", "{0}:y@", "admin:x/{0}@")


@pytest.mark.parametrize("secret", ["ours", "a stranger's"])
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("carrier", [name for name in CARRIERS if name not in BY_UDP])
async def test_credentials_in_a_devices_words_are_shown_to_nobody(carrier: str, words: str, secret: str) -> None:
    """A redirect or Content-Base with user and password in it, ours or a stranger's: masked in the failure, which is
    what people, logs and the API see, and in the recording, which `--explain` prints as well."""
    credentials = canary(words)
    shown = credentials.password if secret == "ours" else "Stranger19f"
    place = f"{words.format(shown)}{ELSEWHERE}:554"
    plan = CARRIERS[carrier](place)
    plan.lock = Lock()
    camera = Camera(plan)
    async with opened(camera, HOST) as port:
        heard, taped = await look(f"rtsp://{HOST}:{port}/live", credentials=credentials, tape=True)

    assert len(camera.requests) >= (1 if "OPTIONS" in carrier else 2)
    assert shown not in repr(heard)
    assert shown not in taped
