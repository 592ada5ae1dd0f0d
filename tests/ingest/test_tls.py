"""Looks by TLS: whose certificate is trusted, what each choice of the operator makes of it, and how handshakes fail."""

from __future__ import annotations

import asyncio
import gc
import ssl
from pathlib import Path

import pytest

from streamwatch.clock import SystemClock
from streamwatch.errors import Reason, Step
from streamwatch.model.look import Depth
from streamwatch.net.address import Target
from streamwatch.net.tls import KNOWN_S, Trust, Verify
from tests.certificates import Made, certificate
from tests.ingest.tls_camera import (
    PUBLIC,
    Script,
    answers,
    hear,
    left,
    peer,
    reset,
    rude,
    run,
    serving,
    settled,
    silent,
)

AUTHORITY = certificate(authority=True)
UNTRUSTED: dict[str, tuple[Made, str]] = {
    "self-signed": (certificate(), "it is self-signed"),
    "of an unknown authority": (certificate(certificate(authority=True)), "its issuer is not known to us"),
    "expired": (certificate(AUTHORITY, days=(-30, -1)), "it has expired"),
    "not valid yet": (certificate(AUTHORITY, days=(1, 30)), "it is not valid yet, by our clock"),
    "for another host": (certificate(AUTHORITY, host="192.0.2.7"), "IP address mismatch"),
}


def target(port: int) -> Target:
    return Target("127.0.0.1", port, tls=True)


@pytest.fixture
def authorities(tmp_path: Path) -> Path:
    """A city's own authority, as an operator gives it."""
    path = tmp_path / "authorities.pem"
    path.write_text(AUTHORITY.certificate_pem)
    return path


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("kind", UNTRUSTED)
def test_an_untrusted_certificate_is_what_the_operator_says(
    kind: str, loop: str, tmp_path: Path, authorities: Path
) -> None:
    """strict: the end, with the exact why; warn: a remark with the same; off: nothing. In the clear is never tried."""
    made, why = UNTRUSTED[kind]

    async def work() -> None:
        async with peer(answers, serving(made, tmp_path)) as device:
            strict = await hear(device.url, Trust(Verify.STRICT, authorities))
            assert strict.failure is not None
            assert (strict.failure.reason, strict.failure.step) == (Reason.TLS_UNTRUSTED, Step.CONNECT)
            assert why in strict.failure.detail

            warned = await hear(device.url, Trust(Verify.WARN, authorities))
            assert warned.failure is None
            assert list(warned.remarks) == [Reason.TLS_UNTRUSTED]
            assert why in warned.remarks[Reason.TLS_UNTRUSTED]

            unasked = await hear(device.url, Trust(Verify.OFF))
            assert (unasked.failure, dict(unasked.remarks)) == (None, {})

    run(work(), loop)


@pytest.mark.parametrize("verify", list(Verify))
async def test_a_certificate_of_the_citys_authority_is_trusted(
    verify: Verify, tmp_path: Path, authorities: Path
) -> None:
    """One connection, no remark. The file may hold a device's own certificate, or an authority that is no root."""
    own, below = certificate(), certificate(AUTHORITY, authority=True)
    authorities.write_text(own.certificate_pem + below.certificate_pem)
    for made in (own, certificate(below)):
        async with peer(answers, serving(made, tmp_path)) as device:
            heard = await hear(device.url, Trust(verify, authorities))

            assert (heard.failure, dict(heard.remarks), device.connections) == (None, {}, 1)


async def test_an_untrusted_device_is_remembered_by_its_certificate(tmp_path: Path) -> None:
    """The first look dials twice, the next ones once; a certificate that changed is checked anew."""
    trust = Trust()
    context = serving(certificate(), tmp_path)
    async with peer(answers, context) as device:
        seen = []
        for _ in range(3):
            heard = await hear(device.url, trust)
            seen.append((device.connections, *heard.remarks))
        # a failed handshake is no connection to this peer: it is the third way that is counted
        assert [what[1:] for what in seen] == [(Reason.TLS_UNTRUSTED,)] * 3
        assert [what[0] for what in seen] == [1, 2, 3]
        first = trust.known(target(device.port))
        assert first is not None

        context.load_cert_chain(certificate(days=(-9, -8)).saved(tmp_path, "other.pem"))
        heard = await hear(device.url, trust)

        assert "it has expired" in heard.remarks[Reason.TLS_UNTRUSTED] or "self-signed" in str(heard.remarks)
        second = trust.known(target(device.port))
        assert second is not None
        assert second.fingerprint != first.fingerprint
        assert device.connections == 5  # one that showed the change, one unchecked after the check
        assert await settled(device.port) == (0, 1)


async def test_a_device_that_gets_a_good_certificate_is_trusted_again(tmp_path: Path, authorities: Path) -> None:
    """The remark goes with the certificate that it was about, and so does the second dial."""
    trust = Trust(Verify.WARN, authorities)
    context = serving(certificate(), tmp_path)
    async with peer(answers, context) as device:
        assert (await hear(device.url, trust)).remarks
        context.load_cert_chain(certificate(AUTHORITY).saved(tmp_path, "good.pem"))

        heard = await hear(device.url, trust)
        before = device.connections
        again = await hear(device.url, trust)

    assert (heard.failure, dict(heard.remarks)) == (None, {})
    assert (again.failure, dict(again.remarks), device.connections - before) == (None, {}, 1)


def test_what_is_remembered_ends() -> None:
    """After an hour a device is checked again, whatever its certificate."""

    class Later(SystemClock):
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Later()
    trust = Trust(clock=clock)
    trust.remember(target(322), b"x", "why")
    clock.now = KNOWN_S - 1
    assert trust.known(target(322)) is not None
    clock.now = KNOWN_S
    assert trust.known(target(322)) is None


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_device_that_takes_one_connection_at_a_time_is_seen(loop: str, tmp_path: Path) -> None:
    """It refuses the second dial until it has noticed that the first is gone; a moment later it takes it."""
    context = serving(certificate(), tmp_path)

    async def work() -> None:
        async with peer(answers, context) as inside:
            dials = 0

            async def one_at_a_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                nonlocal dials
                dials += 1
                if dials == 2:
                    reset(writer)
                    return
                there, back = await asyncio.open_connection("127.0.0.1", inside.port)
                await asyncio.gather(pump(reader, back), pump(there, writer))

            async with peer(one_at_a_time) as device:
                heard = await hear(device.url)

            assert (heard.failure, list(heard.remarks), dials) == (None, [Reason.TLS_UNTRUSTED], 3)

    run(work(), loop)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on what comes, and that it ended."""
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


def speaks(records: bytes) -> Script:
    """Answers the hello with those bytes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(records)
        await reader.read()

    return script


def server_hello(minor: int) -> bytes:
    """What a device says that knows no newer version than TLS 1.(minor - 1): RFC 2246 section 7.4.1.3."""
    hello = bytes((3, minor)) + bytes(32) + b"\x00" + b"\x00\x2f" + b"\x00"
    message = b"\x02" + len(hello).to_bytes(3, "big") + hello
    return bytes((22, 3, minor)) + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize("verify", list(Verify))
@pytest.mark.parametrize(
    "records",
    [server_hello(1), server_hello(2), b"\x15\x03\x01\x00\x02\x02\x46"],
    ids=["TLS 1.0", "TLS 1.1", "protocol_version"],
)
async def test_old_versions_are_refused_whatever_is_set(records: bytes, verify: Verify) -> None:
    """A device that knows no newer one, or says so by an alert, is tls.failed with that in words."""
    async with peer(speaks(records)) as device:
        heard = await hear(device.url, Trust(verify))

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.TLS_FAILED, Step.CONNECT)
    assert "knows no TLS 1.2" in heard.failure.detail


async def test_short_keys_of_old_cameras_are_taken_but_not_by_strict(tmp_path: Path, authorities: Path) -> None:
    """RSA with 1024 bits of a trusted authority: better than none where nobody asks for more."""
    async with peer(answers, serving(certificate(AUTHORITY, rsa_bits=1024), tmp_path)) as device:
        heard = {verify: await hear(device.url, Trust(verify, authorities)) for verify in Verify}

    for verify in (Verify.WARN, Verify.OFF):
        assert (heard[verify].failure, dict(heard[verify].remarks)) == (None, {})
    failure = heard[Verify.STRICT].failure
    assert failure is not None
    assert failure.reason is Reason.TLS_UNTRUSTED
    assert "key too weak" in failure.detail


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """RST in the handshake."""
    await reader.read(1)
    reset(writer)


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """FIN in the handshake."""
    await reader.read(65_536)


half_a_hello = speaks(b"\x16\x03\x03\x01\x00\x02\x00")
plain = speaks(b"RTSP/1.0 400 Bad Request\r\n\r\n")
web = speaks(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("script", "says"),
    [
        (silent, "no answer to the TLS handshake within 0.3 s"),
        (half_a_hello, "no answer to the TLS handshake within 0.3 s"),
        (resetting, "the device ended the connection in the TLS handshake"),
        (closing, "the device ended the connection in the TLS handshake"),
        (plain, "does not answer with TLS"),
        (web, "does not answer with TLS"),
    ],
    ids=["silent", "half a hello", "RST", "FIN", "RTSP in the clear", "HTTP in the clear"],
)
def test_a_handshake_that_fails_is_tls_failed(script: Script, says: str, loop: str) -> None:
    """Bounded by connect_s and named; nothing is sent in the clear, and nothing of ours stays open."""

    async def work() -> None:
        async with peer(script) as device:
            heard = await hear(device.url, connect_s=0.3)
            assert heard.failure is not None
            assert (heard.failure.reason, heard.failure.step) == (Reason.TLS_FAILED, Step.CONNECT)
            assert says in heard.failure.detail
            assert device.connections == 1
            assert await settled(device.port) == (0, 1)

    run(work(), loop)


async def test_a_closed_port_is_refused_not_failed() -> None:
    """Before TLS there is TCP."""
    async with peer() as device:
        port = device.port
    heard = await hear(f"rtsps://127.0.0.1:{port}/live")

    assert heard.failure is not None
    assert heard.failure.reason is Reason.NET_REFUSED


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nothing_is_left_after_looks_by_tls(loop: str, tmp_path: Path) -> None:
    """Thirty looks at a device that answers nothing when we part, and ten that are cancelled in the handshake:
    descriptors and tasks are back within 5 s, and the buffers of TLS are freed."""

    async def work() -> None:
        with rude(serving(certificate(), tmp_path)) as port:
            async with peer(silent) as mute:
                trust = Trust()
                url = f"rtsps://127.0.0.1:{port}/live"
                looks = [asyncio.create_task(hear(url, trust)) for _ in range(30)]
                stuck = [asyncio.create_task(hear(mute.url, trust)) for _ in range(10)]
                heard = await asyncio.gather(*looks)
                assert all(one.failure is None and one.remarks for one in heard)
                assert left(port, mute.port)[0] >= len(stuck)
                for look in stuck:
                    look.cancel()
                ended = await asyncio.gather(*stuck, return_exceptions=True)
                assert all(isinstance(one, asyncio.CancelledError) for one in ended)
                assert await settled(port, mute.port) == (0, 1)
        del looks, stuck, heard, ended, look
        gc.collect()
        assert not [one for one in gc.get_objects() if isinstance(one, ssl.SSLObject)]

    run(work(), loop)


async def test_a_redirect_to_rtsps_is_dialled_by_tls(tmp_path: Path) -> None:
    """The scheme of where the device sends us says how to dial, not that of where we began."""
    async with peer(described, serving(certificate(), tmp_path)) as secure:

        async def sends_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(PUBLIC)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"RTSP/1.0 302 Moved\r\nCSeq: 2\r\nLocation: {secure.url}\r\n\r\n".encode())
            await reader.read()

        async with peer(sends_on) as device:
            heard = await hear(device.url.replace("rtsps:", "rtsp:"), depth=Depth.STREAM)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.step) == (Reason.RTSP_NOT_FOUND, Step.DESCRIBE)
    assert list(heard.remarks) == [Reason.TLS_UNTRUSTED]


async def described(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Has no such stream."""
    for number in range(1, 5):
        await reader.readuntil(b"\r\n\r\n")
        status = "404 Not Found" if number % 2 == 0 else "200 OK"
        writer.write(f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n\r\n".encode())


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """RST in the middle of the first answer."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PUBLIC[:30])
    await asyncio.sleep(0.02)
    reset(writer)


async def ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An orderly end there."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PUBLIC[:30])


async def half_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The device says no more, and goes on listening."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PUBLIC[:30])
    if writer.can_write_eof():
        writer.write_eof()
        await asyncio.sleep(10)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("script", [cut, ended, half_closed])
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_a_connection_that_ends_midway_is_reset_and_gone(tls: bool, script: Script, loop: str, tmp_path: Path) -> None:
    """net.reset at the step that it was in; no socket and no task of ours is left, whichever way it ended."""

    async def work() -> None:
        async with peer(script, serving(certificate(), tmp_path) if tls else None) as device:
            heard = await hear(device.url if tls else device.url.replace("rtsps:", "rtsp:"))

            assert heard.failure is not None
            assert (heard.failure.reason, heard.failure.step) == (Reason.NET_RESET, Step.OPTIONS)
            assert "in the middle of a message" in heard.failure.detail
            assert await settled(device.port) == (0, 1)

    run(work(), loop)
