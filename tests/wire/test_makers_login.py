"""How makers' devices ask for a password. Each test says: what they do: what we do about it.

docs/cameras.md is made from these names and docstrings.
"""

from __future__ import annotations

import hashlib
import re

import pytest

from streamwatch.errors import Reason, Step
from streamwatch.model.look import Depth
from streamwatch.model.report import Credentials
from streamwatch.wire.conversation import Ask, Conversation
from streamwatch.wire.redaction import masked_url
from streamwatch.wire.transcript import dump
from tests.wire.camera import URL, reply
from tests.wire.makers import look, seen
from tests.wire.test_conversation import CREDENTIALS, GOOD, challenge, failed, requests, shifted, talk
from tests.wire.test_transcript import record

NEW = 'WWW-Authenticate: Digest realm="r", nonce="n2", qop="auth"'
AFTER = shifted(GOOD.parts, 1, 0)[1:]  # the replies to a look whose DESCRIBE had to be sent twice


def answers(sent: list[str]) -> list[str]:
    """Our Authorization headers."""
    return [found[1] for text in sent if (found := re.search(r"Authorization: (.*)", text))]


def md5(text: str) -> str:
    return hashlib.md5(text.encode("latin-1")).hexdigest()


def logged_in(*headers: str, realm: str, nonce: str = "6c1f", credentials: Credentials = CREDENTIALS) -> str:
    """A look whose DESCRIBE is challenged, with our answer proved by RFC 2069; gives that answer."""
    talked, sent = talk(GOOD.options, reply(2, "401 Unauthorized", *headers), *AFTER, credentials=credentials)
    seen(talked)
    first = answers(sent)[0]
    ha1 = md5(f"{credentials.username}:{realm}:{credentials.password}")
    assert f'response="{md5(f"{ha1}:{nonce}:" + md5(f"DESCRIBE:{URL}"))}"' in first
    return first


def test_longse_and_gstreamer_ask_without_qop_opaque_and_algorithm() -> None:
    """Digest of RFC 2069, with realm and nonce alone: answered the old way, and by nothing that was not asked for."""
    answer = logged_in('WWW-Authenticate: Digest realm="r",nonce="6c1f"', realm="r")
    assert not re.search("qop|nc=|cnonce|opaque|algorithm", answer)


def test_hikvision_and_ezviz_offer_digest_beside_basic() -> None:
    """Digest with `stale="FALSE"` in quotes and Basic in a second header: Digest is answered, Basic never."""
    for order in (1, -1):
        offers = [
            'WWW-Authenticate: Digest realm="588fcf7a1dc6", nonce="6c1f", stale="FALSE"',
            'WWW-Authenticate: Basic realm="588fcf7a1dc6"',
        ][::order]
        assert logged_in(*offers, realm="588fcf7a1dc6").startswith("Digest ")


def test_tplink_offers_several_algorithms() -> None:
    """MD5, SHA-256 and Basic together: the strongest that we know is answered."""
    offers = [
        'WWW-Authenticate: Basic realm="TP-Link IP-Camera"',
        'WWW-Authenticate: Digest realm="TP-Link IP-Camera",algorithm="MD5",nonce="6c1f"',
        'WWW-Authenticate: Digest realm="TP-Link IP-Camera",algorithm="SHA-256",nonce="6c1f"',
    ]
    talked, sent = talk(GOOD.options, reply(2, "401 Unauthorized", *offers), *AFTER, credentials=CREDENTIALS)
    seen(talked)
    assert all("SHA-256" in answer for answer in answers(sent)) and len(answers(sent)) == 3


@pytest.mark.parametrize(
    ("written", "realm"),
    [
        ("Login to 3F01234PAZ", "Login to 3F01234PAZ"),
        ("LIVE555 Streaming Media", "LIVE555 Streaming Media"),
        ('say \\"hello\\", IPC', 'say "hello", IPC'),
        ("\xb9\xab\xcb\xbe", "\xb9\xab\xcb\xbe"),
    ],
)
def test_dahua_realms_have_blanks_and_serial_numbers(written: str, realm: str) -> None:
    """`Login to <serial>`, blanks, quotes or GBK in the realm: repeated and hashed as it came."""
    answer = logged_in(f'WWW-Authenticate: Digest realm="{written}", nonce="6c1f"', realm=realm)
    assert f'realm="{written}"' in answer


def test_uniview_words_its_401_otherwise() -> None:
    """`401 ClientUnAuthorized` (mediamtx #2348): the number counts."""
    refused = reply(2, "401 ClientUnAuthorized", 'WWW-Authenticate: Digest realm="c4", nonce="6c1f", stale="FALSE"')
    seen(talk(GOOD.options, refused, *AFTER, credentials=CREDENTIALS)[0])


def test_dahua_asks_for_the_password_at_options() -> None:
    """401 to OPTIONS already (mediamtx #368): DESCRIBE is answered at once, and any reply shows that RTSP is there."""
    refused = reply(1, "401 Unauthorized", 'WWW-Authenticate: Digest realm="Login to x",nonce="6c1f"')
    talked, sent = look(options=refused, credentials=CREDENTIALS)
    seen(talked)
    assert len(answers(sent)) == 3 and len(sent) == 4


@pytest.mark.parametrize("stale", ["true", "TRUE", "false"])
def test_longse_gives_a_new_nonce_with_every_401(stale: str) -> None:
    """A second 401 with another nonce, stale or not: tried once more with it, and no third time."""
    again = f'WWW-Authenticate: Digest realm="r", nonce="second", stale={stale}'
    twice = shifted(GOOD.parts, 2, 0)[1:]
    talked, sent = talk(GOOD.options, challenge(2), challenge(3, again), *twice, credentials=CREDENTIALS)
    if stale == "false":  # the device says that it is not the nonce
        assert failed(talked) == (Reason.RTSP_AUTH, Step.DESCRIBE) or talked.keyframe is not None
    else:
        seen(talked)
        assert 'nonce="second"' in answers(sent)[1]
    third = challenge(4, again.replace("second", "third"))
    talked, sent = talk(GOOD.options, challenge(2), challenge(3, again), third, credentials=CREDENTIALS)
    assert failed(talked) == (Reason.RTSP_AUTH, Step.DESCRIBE) and len(answers(sent)) <= 2


def test_hikvision_locks_the_account_after_wrong_passwords() -> None:
    """The same nonce again means a wrong password, and five wrong ones lock the user: never sent a second time."""
    talked, sent = talk(GOOD.options, challenge(2), *(challenge(n) for n in range(3, 9)), credentials=CREDENTIALS)
    assert failed(talked) == (Reason.RTSP_AUTH, Step.DESCRIBE)
    assert len(answers(sent)) == 1


def begun_again(*pieces: bytes, first: bytes) -> tuple[Conversation, list[str]]:
    """A look whose device closes behind its first 401, and then answers in a new connection."""
    talked = Conversation(Ask(URL, Depth.STREAM, CREDENTIALS), lambda: "c0ffee")
    sent = talked.start(0.0)
    for piece in (GOOD.options, first, b""):
        sent += talked.receive(piece, 0.1)
    assert talked.redial and not talked.finished
    sent += talked.start(1.0)
    for piece in pieces:
        sent += talked.receive(piece, 1.1)
    return talked, requests(sent)


def test_vstarcam_closes_behind_its_401() -> None:
    """The connection is closed behind a 401 (retina #45): the answer goes into a new one, once."""
    talked, sent = begun_again(*GOOD.parts, first=challenge(2))
    seen(talked)
    assert [text.split()[0] for text in sent if "Authorization" in text] == [
        "DESCRIBE",  # that was never read
        "OPTIONS",
        "DESCRIBE",
        "SETUP",
        "PLAY",
    ]
    talked, _ = begun_again(GOOD.options, b"", first=challenge(2))
    assert failed(talked) == (Reason.NET_RESET, Step.DESCRIBE)


def test_vstarcam_closing_behind_its_401_does_not_lock_the_account() -> None:
    """A device that closes on a wrong password: the answer that was not heard counts as one of the two tries."""
    for pieces in ([challenge(1)], [GOOD.options, challenge(2)], [GOOD.options, challenge(2, NEW)]):
        talked, sent = begun_again(*pieces, first=challenge(2))
        assert failed(talked)[0] is Reason.RTSP_AUTH
        assert len(answers(sent)) == 1 + len(pieces)


def test_arecont_writes_lines_that_are_no_headers() -> None:
    """`657338e8a4cd1 403 Forbidden` behind the headers of its 401 (ZLMediaKit #1246): passed over, as what follows."""
    stray = b"657338e8a4cd1 403 Forbidden\r\n\r\n403 Forbidden\r\nThis method is not supported."
    refused = challenge(1).removesuffix(b"\r\n") + stray
    talked, sent = look(options=refused, credentials=CREDENTIALS)
    seen(talked)
    assert len(answers(sent)) == 3


@pytest.mark.parametrize("place", [2, 3])
def test_any_nonce_that_expires_within_the_session(place: int) -> None:
    """401 with a new nonce at SETUP or PLAY: answered once more."""
    parts = [*AFTER[: place - 1], challenge(place + 2, 'WWW-Authenticate: Digest realm="r", nonce="n2"')]
    talked, sent = talk(GOOD.options, challenge(2), *parts, *shifted(AFTER[place - 1 :], 1, 0), credentials=CREDENTIALS)
    seen(talked)
    assert 'nonce="n2"' in answers(sent)[-1]


def test_hikvision_and_axis_challenge_keepalives_and_teardown() -> None:
    """401 to a keepalive (M5525, DS-7608NXI) or TEARDOWN: answered once with the new nonce; no look fails for it."""
    new = 'WWW-Authenticate: Digest realm="r", nonce="n2", stale=true'
    kept, _ = talk(GOOD.options, challenge(2), *AFTER[:3], credentials=CREDENTIALS)
    assert b"Authorization" in kept.tick(31.0)
    assert b'nonce="n2"' in kept.receive(challenge(6, new), 31.1)
    kept.receive(reply(7) + shifted(GOOD.parts, 1, 0)[4], 31.2)
    seen(kept)
    left, _ = talk(GOOD.options, challenge(2), *AFTER, credentials=CREDENTIALS)
    assert left.farewell().startswith(b"TEARDOWN")
    again = left.receive(challenge(6, new), 1.0)
    assert again.startswith(b"TEARDOWN") and b'nonce="n2"' in again
    left.receive(reply(7), 1.1)
    assert left.parted
    seen(left)


def test_any_request_names_its_user_agent_and_begins_with_cseq() -> None:
    """401 without User-Agent (go2rtc #235), `CSeq` wanted so and first (go2rtc #7, mediamtx #2887): so sent."""
    _, sent = talk(GOOD.options, challenge(2), *AFTER, credentials=CREDENTIALS)
    assert all(re.match(r"[A-Z]+ \S+ RTSP/1\.0\r\nCSeq: \d+\r\nUser-Agent: \S", text) for text in sent)


@pytest.mark.parametrize("password", ["p@ss", "a:b", "a/b", "50%", "x#y", "a b", "密码", "%41"])
def test_any_password_with_signs_of_addresses(password: str) -> None:
    """`@ : / % #` in a password: hashed as it is, written into no address."""
    credentials = Credentials("admin", password)
    talked, sent = talk(
        GOOD.options, challenge(2, 'WWW-Authenticate: Digest realm="r", nonce="6c1f"'), *AFTER, credentials=credentials
    )
    seen(talked)
    ha1 = hashlib.md5(f"admin:r:{password}".encode()).hexdigest()
    assert f'response="{md5(f"{ha1}:6c1f:" + md5(f"DESCRIBE:{URL}"))}"' in answers(sent)[0]
    assert not any(password in text for text in sent)


@pytest.mark.parametrize("url", ["rtsp://admin:p@ss@192.0.2.7/live", "rtsp://admin:p%40ss@192.0.2.7/live"])
def test_tplink_wants_no_password_in_the_request_line(url: str) -> None:
    """Credentials in the address of a request get 401 (webrtc-streamer #698): taken out before it is asked for."""
    talked, sent = talk(GOOD.options, challenge(2), *AFTER, url=url)
    seen(talked)
    assert not any("@" in text for text in sent) and 'username="admin"' in sent[2]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "rtsp://192.0.2.7/user=tema_password=s3cret_x/y_channel=0_stream=1&onvif=0.sdp?real_stream",
            "rtsp://192.0.2.7/user=***_password=***_channel=0_stream=1&onvif=0.sdp?real_stream",
        ),
        (
            "rtsp://192.0.2.7:554/user=tema&password=s3cret&channel=1&stream=0.sdp?",
            "rtsp://192.0.2.7:554/user=***&password=***&channel=1&stream=0.sdp?",
        ),
    ],
)
def test_h264dvr_has_name_and_password_in_its_path(url: str, shown: str) -> None:
    """`/user=NAME_password=WORD_channel=1_stream=0.sdp` (雄迈): asked for as it is, and masked wherever it is shown."""
    assert masked_url(url) == shown
    talked, sent = look(url=url, describe=reply(2, "404 Not Found"), setup=b"", play=b"", media=b"")
    assert sent[1].startswith(f"DESCRIBE {url} ")
    assert talked.failure is not None and "s3cret" not in talked.failure.detail
    _, recorder = record(GOOD.options, reply(2, "404 Not Found"), ask=Ask(url, Depth.STREAM))
    kept = dump(recorder)
    assert "s3cret" not in kept and "tema" not in kept


def test_any_device_that_asks_for_basic_alone() -> None:
    """Basic and nothing else (go2rtc #229): rtsp.auth with the remedy, and the password only where it is allowed."""
    basic = challenge(2, 'WWW-Authenticate: Basic realm="/"')
    talked, sent = talk(GOOD.options, basic, credentials=CREDENTIALS)
    assert failed(talked) == (Reason.RTSP_AUTH, Step.DESCRIBE) and not answers(sent)
    talked, sent = talk(GOOD.options, basic, *AFTER, credentials=CREDENTIALS, basic=True)
    seen(talked)
    assert all(answer.startswith("Basic ") for answer in answers(sent))
