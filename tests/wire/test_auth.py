"""Digest and Basic: the RFCs' own examples, what devices send, and where a secret must not go."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streamwatch.errors import LookError, Reason, UsageError
from streamwatch.model.report import Credentials
from streamwatch.wire.auth import Authenticator, Challenge, choose, digest_answer, parse_challenges
from streamwatch.wire.url import MAX_URL, Origin, parse_address

CAMERA = Origin("rtsp", "192.0.2.7", 554)
URL = "rtsp://192.0.2.7/live"
MUFASA = Credentials("Mufasa", "Circle Of Life")
RFC7616_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    f'nonce="{RFC7616_NONCE}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
RFC7616_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def fields_of(authorization: str) -> dict[str, str]:
    """The parameters of an answer."""
    (found,) = parse_challenges([authorization])
    return found.parameters


def only(value: str) -> Challenge:
    """The one challenge of a header."""
    (found,) = parse_challenges([value])
    return found


def authenticator(credentials: Credentials | None = MUFASA, **options: bool) -> Authenticator:
    """One for the camera, with a fixed client nonce."""
    return Authenticator(credentials, CAMERA, lambda: "0a4f113b", **options)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    """Section 3.9.1, both algorithms."""
    challenge = only(RFC7616.format(algorithm))
    credentials = Credentials("Mufasa", "Circle of Life")
    answer = fields_of(digest_answer(challenge, credentials, "GET", "/dir/index.html", b"", RFC7616_CNONCE, 1))
    assert answer["response"] == response
    assert (answer["nc"], answer["qop"], answer["algorithm"]) == ("00000001", "auth", algorithm)


def test_example_of_rfc_2617() -> None:
    """Section 3.5."""
    challenge = only(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    credentials = Credentials("Mufasa", "Circle Of Life")
    answer = fields_of(digest_answer(challenge, credentials, "GET", "/dir/index.html", b"", "0a4f113b", 1))
    assert answer["response"] == "6629fae49393a05397450978507c4ef1"
    assert answer["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41"


def test_sha_512_256_is_answered_and_preferred() -> None:
    """RFC 7616 section 3.2, against the formula written out: the RFC's own example is wrong (errata 4897)."""
    import hashlib

    def h(text: str) -> str:
        return hashlib.new("sha512_256", text.encode()).hexdigest()

    offers = parse_challenges([RFC7616.format("SHA-256"), RFC7616.format("SHA-512-256"), RFC7616.format("MD5")])
    challenge = choose(offers, allow_basic=False)
    assert challenge is not None
    assert challenge.algorithm == "SHA-512-256"
    answer = fields_of(digest_answer(challenge, MUFASA, "DESCRIBE", URL, b"", "c", 1))
    ha1, ha2 = h(f"Mufasa:http-auth@example.org:{MUFASA.password}"), h(f"DESCRIBE:{URL}")
    assert answer["response"] == h(f"{ha1}:{RFC7616_NONCE}:00000001:c:auth:{ha2}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('Digest realm="r", nonce="n", algorithm="md5"', "u:r:p"),
        ("digest REALM=r,NONCE=n,ALGORITHM=Md5", "u:r:p"),
        ('Digest nonce="n"', "u::p"),
        ('Digest realm="", nonce="n"', "u::p"),
    ],
)
def test_careless_challenges_are_answered(value: str, expected: str) -> None:
    """Algorithm in lower case or quotes, names in capitals; a realm that is missing is an empty one, as curl has it."""
    import hashlib

    def h(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    auth = authenticator(Credentials("u", "p"))
    auth.challenged([value], answered=False)
    answer = fields_of(auth.authorization("PLAY", URL) or "")
    assert answer["response"] == h(f"{h(expected)}:n:" + h(f"PLAY:{URL}"))
    assert answer["realm"] == expected.split(":")[1]


@pytest.mark.parametrize("nonce", ["", " ", "a b  c", "a,b", 'a"b'])
def test_odd_nonces_come_back_as_they_came(nonce: str) -> None:
    """Empty, with blanks, commas or quotes: also in the hash."""
    import hashlib

    def h(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    auth = authenticator(Credentials("u", "p"))
    auth.challenged([f'Digest realm="r", nonce="{nonce}", qop=auth'], answered=False)
    answer = fields_of(auth.authorization("PLAY", URL) or "")
    assert answer["nonce"] == nonce
    assert answer["response"] == h(f"{h('u:r:p')}:{nonce}:00000001:0a4f113b:auth:" + h(f"PLAY:{URL}"))


def test_gstreamer_digest_has_no_qop() -> None:
    """RFC 2069: no qop, no count, no client nonce; the example of RFC 2069's errata 749."""
    challenge = only('Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"')
    credentials = Credentials("Mufasa", "CircleOfLife")
    answer = fields_of(digest_answer(challenge, credentials, "GET", "/dir/index.html", b"", "x", 1))
    assert answer["response"] == "1949323746fe6a43ef61f9606e7febea"
    assert not {"qop", "nc", "cnonce"} & set(answer)


def test_session_algorithms_hash_the_nonces_in() -> None:
    """MD5-sess and SHA-256-sess of RFC 7616 section 3.4.2, against the formula written out."""
    import hashlib

    for name, make in (("MD5-sess", hashlib.md5), ("SHA-256-sess", hashlib.sha256)):

        def h(text: str, make=make) -> str:  # type: ignore[no-untyped-def]
            return make(text.encode()).hexdigest()

        answer = fields_of(
            digest_answer(
                only(f'Digest realm="r", nonce="n", qop="auth", algorithm={name}'),
                Credentials("u", "p"),
                "PLAY",
                URL,
                b"",
                "c",
                2,
            )
        )
        ha1 = h(h("u:r:p") + ":n:c")
        assert answer["response"] == h(f"{ha1}:n:00000002:c:auth:" + h(f"PLAY:{URL}"))


def test_integrity_alone_is_answered_with_the_hash_of_no_body() -> None:
    """qop=auth-int with nothing else on offer."""
    import hashlib

    def h(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    answer = fields_of(
        digest_answer(
            only('Digest realm="r", nonce="n", qop="auth-int"'), Credentials("u", "p"), "PLAY", URL, b"", "c", 1
        )
    )
    assert answer["response"] == h(f"{h('u:r:p')}:n:00000001:c:auth-int:" + h(f"PLAY:{URL}:{h('')}"))


@pytest.mark.parametrize(
    ("value", "realm"),
    [
        (r'Digest realm="a \"b\" c", nonce="n"', 'a "b" c'),
        ('Digest realm="IP "Cam", left", nonce="n"', 'IP "Cam", left'),
        ('Digest realm="one, two, three", nonce="n"', "one, two, three"),
        ('Digest realm="", nonce="n"', ""),
        ("Digest realm=plain, nonce=n", "plain"),
        ('Digest   realm = "spaced" , nonce = "n"', "spaced"),
        ('Digest realm="last"\t,nonce="n",', "last"),
        (
            'Digest nonce="n", realm="' + "摄像机".encode("gbk").decode("latin-1") + '"',
            "摄像机".encode("gbk").decode("latin-1"),
        ),
    ],
)
def test_realms_with_quotes_commas_and_gbk(value: str, realm: str) -> None:
    """The realm comes out as it was meant, also where its quotes were not escaped."""
    found = only(value)
    assert (found.scheme, found.parameters["realm"], found.parameters["nonce"]) == ("digest", realm, "n")


def test_gbk_realm_goes_into_the_hash_as_the_bytes_that_came() -> None:
    """A realm that is not UTF-8 is hashed and repeated byte for byte."""
    import hashlib

    realm = "摄像机".encode("gbk")
    challenge = only(f'Digest realm="{realm.decode("latin-1")}", nonce="n"')
    text = digest_answer(challenge, Credentials("u", "密码"), "PLAY", URL, b"", "c", 1)
    ha1 = hashlib.md5(b"u:" + realm + b":" + "密码".encode()).hexdigest()
    ha2 = hashlib.md5(f"PLAY:{URL}".encode()).hexdigest()
    assert hashlib.md5(f"{ha1}:n:{ha2}".encode()).hexdigest() in text
    assert realm in text.encode("latin-1")


MD5 = 'Digest realm="r", nonce="md5", algorithm=MD5'
SHA = 'Digest realm="r", nonce="sha", algorithm=SHA-256'
BASIC = 'Basic realm="r"'


@pytest.mark.parametrize(
    "headers",
    [
        [BASIC, MD5, SHA],
        [SHA, MD5, BASIC],
        [f"{BASIC}, {MD5}, {SHA}"],
        [f"{MD5}, {BASIC}, {SHA}"],
        [f"{SHA}, {MD5}", BASIC],
        [f"{BASIC}, {SHA}"],
    ],
)
@pytest.mark.parametrize("allow_basic", [False, True])
def test_the_strongest_offer_is_taken_in_any_order(headers: list[str], allow_basic: bool) -> None:
    """Basic before Digest, after it, in one header or several: never the weaker one."""
    found = choose(parse_challenges(headers), allow_basic=allow_basic)
    assert found is not None
    assert found.parameters["nonce"] == "sha"


def test_basic_only_where_it_is_allowed() -> None:
    """The password is not shown for the asking; the failure says how to allow it."""
    with pytest.raises(LookError, match="Basic") as raised:
        authenticator().challenged([BASIC], answered=False)
    assert raised.value.reason is Reason.RTSP_AUTH
    allowed = authenticator(Credentials("u", "p"), allow_basic=True)
    allowed.challenged([BASIC], answered=False)
    assert allowed.authorization("DESCRIBE", URL) == "Basic dTpw"


@pytest.mark.parametrize(
    "value",
    [
        'Digest realm="r", nonce="n", algorithm=SM3',
        'Digest realm="r", nonce="n", qop="token"',
        'Digest realm="r"',
        "NTLM",
        "",
        ", ,",
        "Digest",
    ],
)
def test_offers_that_cannot_be_answered(value: str) -> None:
    """Unknown algorithm, unknown protection, no nonce: rtsp.auth without a try."""
    with pytest.raises(LookError) as raised:
        authenticator().challenged([value], answered=False)
    assert raised.value.reason is Reason.RTSP_AUTH


def test_without_credentials_there_is_nothing_to_answer() -> None:
    """The failure says so."""
    with pytest.raises(LookError, match="none are known"):
        authenticator(None).challenged([MD5], answered=False)


def test_stale_nonce_is_retried_once_and_not_for_ever() -> None:
    """stale=true counts as a try too: lock-outs are safe from us."""
    auth = authenticator()
    auth.challenged([MD5], answered=False)
    auth.challenged(['Digest realm="r", nonce="two", stale=true'], answered=True)
    with pytest.raises(LookError):
        auth.challenged(['Digest realm="r", nonce="three", stale="TRUE"'], answered=True)
    assert auth.refusals == 2


def test_longse_new_nonce_in_every_401_is_tried_once_more() -> None:
    """A second nonce may be the one that holds; a third is not waited for."""
    auth = authenticator()
    auth.challenged([MD5], answered=False)
    auth.challenged(['Digest realm="r", nonce="two"'], answered=True)
    answer = auth.authorization("DESCRIBE", URL)
    assert answer is not None
    assert fields_of(answer)["nonce"] == "two"
    with pytest.raises(LookError):
        auth.challenged(['Digest realm="r", nonce="three"'], answered=True)


def test_hikvision_lock_is_not_provoked_by_the_same_nonce() -> None:
    """Same nonce, not stale: the password is wrong, and is not sent again."""
    auth = authenticator()
    auth.challenged([MD5], answered=False)
    with pytest.raises(LookError, match="refuses"):
        auth.challenged([MD5], answered=True)


def test_hikvision_says_that_the_password_was_wrong() -> None:
    """A new nonce with stale=FALSE is a wrong password: one refused answer a look, of the five until it locks."""
    auth = authenticator()
    auth.challenged(['Digest realm="IP Camera(10789)", nonce="one", stale="FALSE"'], answered=False)
    auth.authorization("DESCRIBE", URL)
    with pytest.raises(LookError, match="refuses"):
        auth.challenged(['Digest realm="IP Camera(10789)", nonce="two", stale="FALSE"'], answered=True)
    assert auth.refusals == 1


def test_a_nonce_that_was_good_before_may_run_out_with_stale_false() -> None:
    """An answer to it was taken: the password is right, and the new nonce is answered once."""
    auth = authenticator()
    auth.challenged(['Digest realm="r", nonce="one", stale=FALSE'], answered=False)
    for method in ("DESCRIBE", "SETUP"):
        auth.authorization(method, URL)
    auth.challenged(['Digest realm="r", nonce="two", stale=FALSE'], answered=True)
    assert 'nonce="two"' in (auth.authorization("SETUP", URL) or "")


def test_after_two_refused_answers_nothing_is_answered_any_more() -> None:
    """Not in a farewell, not in a new connection, not to a challenge that looks like the first."""
    auth = authenticator()
    auth.challenged([MD5], answered=False)
    for number in range(2):
        with suppress(LookError):
            auth.challenged([f'Digest realm="r", nonce="{number}", stale=true'], answered=True)
    assert auth.authorization("TEARDOWN", URL) is None
    auth.renew()
    with pytest.raises(LookError, match="stale"):
        auth.challenged([f"{MD5}, stale=true"], answered=False)
    assert auth.authorization("TEARDOWN", URL) is None
    assert auth.refusals == 2


def test_a_device_that_spoke_digest_gets_no_basic_later() -> None:
    """Also where Basic is allowed: in mid-session it is a downgrade."""
    auth = authenticator(allow_basic=True)
    auth.challenged([MD5], answered=False)
    auth.renew()
    with pytest.raises(LookError, match="Basic"):
        auth.challenged([BASIC], answered=False)
    auth.challenged([BASIC, MD5], answered=False)
    assert (auth.authorization("PLAY", URL) or "").startswith("Digest ")


def test_nonce_count_grows_with_use_and_starts_anew_with_a_nonce() -> None:
    """RFC 7616 section 3.4."""
    auth = authenticator()
    auth.challenged(['Digest realm="r", nonce="n", qop="auth"'], answered=False)
    assert [fields_of(auth.authorization("PLAY", URL) or "")["nc"] for _ in range(3)] == [
        "00000001",
        "00000002",
        "00000003",
    ]
    auth.challenged(['Digest realm="r", nonce="m", qop="auth", stale=true'], answered=True)
    assert fields_of(auth.authorization("PLAY", URL) or "")["nc"] == "00000001"


@pytest.mark.parametrize(
    "url",
    ["rtsp://192.0.2.8/live", "rtsp://192.0.2.7:555/live", "rtsps://192.0.2.7/live", "rtsps://192.0.2.7:554/live"],
)
@pytest.mark.parametrize("challenge", [MD5, BASIC])
def test_a_secret_stays_with_its_origin(url: str, challenge: str) -> None:
    """Another host, port or scheme gets no Authorization, in no form."""
    auth = authenticator(allow_basic=True)
    auth.challenged([challenge], answered=False)
    with pytest.raises(LookError) as raised:
        auth.authorization("DESCRIBE", url)
    assert raised.value.reason is Reason.RTSP_REDIRECT
    assert auth.authorization("DESCRIBE", "rtsp://192.0.2.7:554/other") is not None


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://192.0.2.7/" + "t" * MAX_URL,
        "rtsp://192.0.2.7/a b",
        "rtsp://192.0.2.7/a\r\nX: y",
        "rtsp://192.0.2.7/a\x7f",
        "rtsp://",
        "/live",
    ],
)
def test_an_address_that_cannot_be_read_gets_no_secret(url: str) -> None:
    """Too long, blanks, no host: a failure of the look like any other."""
    auth = authenticator()
    auth.challenged([MD5], answered=False)
    with pytest.raises(LookError) as raised:
        auth.authorization("SETUP", url)
    assert raised.value.reason is Reason.RTSP_REDIRECT


HOSTS = ("192.0.2.7", "192.0.2.8", "Cam.example", "cam.example.", "[2001:db8::1]", "2001:db8::a", "[::ffff:192.0.2.7]")


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """Addresses of few hosts and ports, so that two are often of one origin, with the signs that make parsing hard."""
    scheme = draw(st.sampled_from(("rtsp", "rtsps", "RTSP")))
    userinfo = draw(st.sampled_from(("", "", "u:p@", "u:p/w@", "192.0.2.7/@")))
    port = draw(st.sampled_from(("", "", ":554", ":322", ":8554")))
    return f"{scheme}://{userinfo}{draw(st.sampled_from(HOSTS))}{port}{draw(st.text('/?#@:.a% é', max_size=6))}"


@given(addresses(), addresses())
def test_the_binding_to_an_origin_is_that_of_the_parsed_address(own: str, asked: str) -> None:
    """However an address is written, there is an answer exactly where parsing gives the same origin."""

    def origin_of(url: str) -> Origin | None:
        try:
            return parse_address(url).origin
        except UsageError:
            return None

    origin = origin_of(own)
    assume(origin is not None)
    assert origin is not None
    for url in (asked, own, f"{origin.scheme}://{origin.authority}/{asked}", f"{origin.scheme}://{origin.authority}"):
        auth = Authenticator(MUFASA, origin, lambda: "c")
        auth.challenged([MD5], answered=False)
        try:
            answered = auth.authorization("PLAY", url) is not None
        except LookError:
            answered = False
        assert answered is (origin_of(url) == origin)


@given(st.lists(st.text(st.characters(max_codepoint=0xFF), max_size=200), max_size=3))
def test_no_text_makes_the_challenge_parser_fail(values: list[str]) -> None:
    """Whatever a device offers, what is broken is left out."""
    choose(parse_challenges(values), allow_basic=True)


def test_a_long_broken_challenge_is_read_in_linear_steps() -> None:
    """Quotes and commas without end do not make the regular expression explode."""
    for filler in ('"', '",', '"x=', ' "', "\\", 'a="'):
        parse_challenges(['Digest realm="' + filler * (2000 // len(filler))])
