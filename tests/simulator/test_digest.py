"""The farm's Digest check."""

from __future__ import annotations

import pytest

from streamwatch.simulator.digest import answers, challenge, fields, proof

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
        ("Digest ", "Basic "),
        ('response="6629', 'response="村'),
    ],
)
def test_any_other_value_is_wrong(old: str, new: str) -> None:
    """Each field takes part in the proof, and qop may not be left out where it was offered."""
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


def test_a_challenge_names_what_is_offered() -> None:
    """qop and stale are there when they are meant."""
    assert challenge("r", "n", qop=False) == 'Digest realm="r", nonce="n"'
    assert (
        challenge("r", "n", qop=True, stale=True)
        == 'Digest realm="r", nonce="n", algorithm=MD5, qop="auth", stale=true'
    )
