"""The farm's Digest check."""

from __future__ import annotations

from hashlib import md5

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from streamwatch.simulator.digest import answers, challenges, fields, proof, proves

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
    """However the header of the RFC is bent, the quick check and the slow one say the same."""
    header = RFC
    for old, new in bends:
        header = header.replace(old, new, 1)
    wanted = proof("Mufasa", "testrealm@host.com", "Circle Of Life", qop=qop)

    slow = answers(fields(header), method="GET", proof=wanted, nonce=NONCE)
    assert proves(header, method="GET", proof=wanted, nonce=NONCE) == slow


def test_a_quote_within_an_address_ends_it_for_both() -> None:
    """Whoever reads it on to the last quote would prove something else."""
    first = md5(b"Mufasa:testrealm@host.com:Circle Of Life").hexdigest()
    wanted = proof("Mufasa", "testrealm@host.com", "Circle Of Life", qop=True)
    for counted, more in (("", ""), ('1:a"b:auth:', ', qop=auth, nc=1, cnonce="a"b"')):
        uri = "/dir" if more else '/dir"x'
        right = md5(f"{first}:{NONCE}:{counted}{md5(f'GET:{uri}'.encode()).hexdigest()}".encode()).hexdigest()
        named = f'Digest username="Mufasa", realm="testrealm@host.com", nonce="{NONCE}"'
        header = f'{named}, uri="{uri}", response="{right}"{more}'

        assert not answers(fields(header), method="GET", proof=wanted, nonce=NONCE)
        assert not proves(header, method="GET", proof=wanted, nonce=NONCE)


def test_an_ordinary_answer_is_believed_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """With qop and without it, the slow check is not asked."""
    import streamwatch.simulator.digest as here

    monkeypatch.delattr(here, "answers")
    wanted = proof("Mufasa", "testrealm@host.com", "Circle Of Life", qop=True)
    first = md5(b"Mufasa:testrealm@host.com:Circle Of Life").hexdigest()
    second = md5(b"GET:/dir").hexdigest()
    plain = md5(f"{first}:{NONCE}:{second}".encode()).hexdigest()
    header = f'Digest username="Mufasa", realm="testrealm@host.com", nonce="{NONCE}", uri="/dir", response="{plain}"'

    assert proves(RFC, method="GET", proof=wanted, nonce=NONCE)
    assert proves(header, method="GET", proof=wanted, nonce=NONCE)
