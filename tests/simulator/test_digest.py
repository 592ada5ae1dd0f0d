"""The farm's Digest check."""

from __future__ import annotations

from hashlib import md5, sha256

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from streamwatch.simulator.digest import answers, challenges, fields, opening, proof, proves
from streamwatch.simulator.rtsp import Login, quick

# RFC 2617 section 3.5
RFC = (
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", '
    'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
NONCE = "dcd98b7102dd2f0e8b11d0f600bfb0c093"


def test_the_example_of_the_rfc_is_right() -> None:
    """The answer printed in RFC 2617 proves its password."""
    wanted = proof("Mufasa", "testrealm@host.com", "Circle Of Life", qop=True)

    assert answers(fields(RFC), method="GET", proof=wanted, nonce=NONCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Mufasa", "mufasa"),
        ("testrealm", "otherrealm"),
        ("dcd98b", "dcd98c"),
        ("/dir/", "/"),
        ("00000001", "00000002"),
        ("0a4f", "0a4e"),
        ("6629", "662a"),
        ("qop=auth, ", ""),
        ("qop=auth", "qop=auth-int"),
        ("Digest ", "Basic "),
        ('response="6629', 'response="村'),
    ],
)
def test_any_other_value_is_wrong(old: str, new: str) -> None:
    """Each field takes part in the proof; qop changes what is to be computed."""
    wanted = proof("Mufasa", "testrealm@host.com", "Circle Of Life", qop=True)
    assert old in RFC

    assert not answers(fields(RFC.replace(old, new, 1)), method="GET", proof=wanted, nonce=NONCE)


def test_the_password_the_method_and_an_unoffered_qop_matter() -> None:
    """Another password or method, or qop where none was offered, is a wrong answer."""
    given = fields(RFC)

    assert not answers(
        given, method="GET", proof=proof("Mufasa", "testrealm@host.com", "Circle", qop=True), nonce=NONCE
    )
    right = proof("Mufasa", "testrealm@host.com", "Circle Of Life", qop=True)
    assert not answers(given, method="PUT", proof=right, nonce=NONCE)
    assert not answers(
        given, method="GET", proof=proof("Mufasa", "testrealm@host.com", "Circle Of Life", qop=False), nonce=NONCE
    )


def test_challenges_name_what_is_offered() -> None:
    """qop and stale are there when they are meant; SHA-256 is offered before MD5 and never without qop."""
    assert challenges("r", "n", qop=False) == ('Digest realm="r", nonce="n"',)
    assert challenges("r", "n", qop=True, stale=True) == (
        'Digest realm="r", nonce="n", algorithm=MD5, qop="auth", stale=true',
    )
    assert challenges("r", "n", qop=True, sha256=True) == (
        'Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"',
        'Digest realm="r", nonce="n", algorithm=MD5, qop="auth"',
    )
    assert challenges("r", "n", qop=False, sha256=True) == challenges("r", "n", qop=False)


def test_qop_may_be_left_out_where_it_was_offered() -> None:
    """RFC 2617 section 3.2.2: who knows RFC 2069 only computes response without it, as GStreamer does."""
    first, second = (md5(text.encode()).hexdigest() for text in ("u:r:p", "PLAY:rtsp://h/"))
    given = {"username": "u", "realm": "r", "nonce": "n", "uri": "rtsp://h/"}
    given["response"] = md5(f"{first}:n:{second}".encode()).hexdigest()

    for qop in (True, False):
        assert answers(given, method="PLAY", proof=proof("u", "r", "p", qop=qop), nonce="n")


# RFC 7616 section 3.9.1
RFC7616 = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{}", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
RESPONSES = {
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
}


@pytest.mark.parametrize("algorithm", RESPONSES)
def test_the_examples_of_the_newer_rfc_are_right(algorithm: str) -> None:
    """RFC 7616's answers prove their password where both are offered, and SHA-256's nothing where it is not."""
    given = fields(RFC7616.format(algorithm, RESPONSES[algorithm]))
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    words = ("Mufasa", "http-auth@example.org", "Circle of Life")

    assert answers(given, method="GET", proof=proof(*words, qop=True, sha256=True), nonce=nonce)
    assert not answers(given | {"response": "0"}, method="GET", proof=proof(*words, qop=True, sha256=True), nonce=nonce)
    old = answers(given, method="GET", proof=proof(*words, qop=True), nonce=nonce)
    assert old == (algorithm == "MD5")


USUAL = (
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'uri="/dir/index.html", response="6629fae49393a05397450978507c4ef1", algorithm=MD5, qop=auth, nc=00000001, '
    'cnonce="0a4f113b"'
)  # the RFC's, in the order of most clients


def login(header: str, method: str = "GET") -> Login | None:
    """What a request with that answer says, where it is read quickly."""
    request = quick(f"{method} rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\nAuthorization: {header}\r\n\r\n".encode())
    return None if request is None else request.login


@drawn(
    st.lists(
        st.tuples(
            st.sampled_from([" ", ", ", '"', "=", "nc", "qop", "uri", "Digest", "auth", "response", "000", "MD5", "a"]),
            st.sampled_from(["", '"', ", ", "x", "=", 'uri="/dir/index.html", ', "algorithm=MD5, ", "qop"]),
        ),
        max_size=2,
    ),
    st.booleans(),
)
def test_what_is_believed_quickly_is_right(bends: list[tuple[str, str]], qop: bool) -> None:
    """However a usual answer is bent, the quick check believes nothing that the slow one would not."""
    header = USUAL
    for old, new in bends:
        header = header.replace(old, new, 1)
    wanted = proof("Mufasa", "testrealm@host.com", "Circle Of Life", qop=qop)
    found = login(header)

    if found is not None and found.opening == opening(wanted, NONCE) and proves(found, "GET", wanted, NONCE):
        assert answers(fields(header), method="GET", proof=wanted, nonce=NONCE)


def right(algorithm: str, counted: str, uri: str) -> str:
    """The response to that, by another way than the farm's."""
    digest = {"MD5": md5, "SHA-256": sha256}[algorithm]
    first, second = (digest(text.encode()).hexdigest() for text in ("Mufasa:testrealm@host.com:a", f"GET:{uri}"))
    return digest(f"{first}:{NONCE}:{counted}{second}".encode()).hexdigest()


@pytest.mark.parametrize(
    ("told", "algorithm", "counted"),
    [
        ("", "MD5", ""),
        (", algorithm=MD5", "MD5", ""),
        (', algorithm="MD5", qop="auth", nc=0000000a, cnonce="c"', "MD5", "0000000a:c:auth:"),
        (", algorithm=SHA-256", "SHA-256", ""),
        (', algorithm=SHA-256, qop=auth, nc=00000001, cnonce=""', "SHA-256", "00000001::auth:"),
    ],
)
def test_an_ordinary_answer_is_believed_quickly(told: str, algorithm: str, counted: str) -> None:
    """With qop and without it, by either algorithm; not with a qop or an algorithm that was not offered, and not for
    another method."""
    one = f'Digest username="Mufasa", realm="testrealm@host.com", nonce="{NONCE}", uri="/dir", response='
    found = login(f'{one}"{right(algorithm, counted, "/dir")}"{told}')
    wanted = proof("Mufasa", "testrealm@host.com", "a", qop=True, sha256=True)

    assert found is not None
    assert found.opening == opening(wanted, NONCE)
    assert proves(found, "GET", wanted, NONCE)
    assert not proves(found, "PUT", wanted, NONCE)
    less = proof("Mufasa", "testrealm@host.com", "a", qop=False)
    assert proves(found, "GET", less, NONCE) == (algorithm == "MD5" and not counted)


def test_no_answer_with_a_quote_within_is_read_quickly() -> None:
    """Whoever reads it on to the last quote would prove something else."""
    assert login(USUAL) is not None
    assert login(USUAL.replace("/dir/index.html", '/dir"x')) is None
    assert login(USUAL.replace("0a4f113b", '0a"b')) is None
