"""Secrets are found in any text, in every spelling; what is no secret stays readable."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamwatch.redaction import MAX_TEXT, Redactor

CANARY = 'Kn0rr"/+@ 口令%41\\x'
PLAIN = "Zq7Rv9Tw"


def spellings(secret: str) -> dict[str, str]:
    """The detours by which a password reaches a log."""
    raw = secret.encode()
    return {
        "raw": f"login {secret} refused",
        "url": f"rtsp://admin:{quote(secret, safe='')}@10.0.0.1/live",
        "url without scheme": f"user admin:{quote(secret, safe='')} at 10.0.0.1",
        "query": f"GET /cgi?user=admin&x={quote_plus(secret)}&n=1",
        "json": json.dumps({"x": secret}),
        "json, not ASCII": json.dumps({"x": secret}, ensure_ascii=False),
        "json in json": json.dumps({"x": secret}, ensure_ascii=False) + json.dumps(secret),
        "base64": f"blob {base64.b64encode(raw).decode()} end",
        "base64, urlsafe": f"blob {base64.urlsafe_b64encode(raw).decode()} end",
        "basic": f"sent {base64.b64encode(b'admin:' + raw).decode()}",
        "basic, next alignment": f"sent {base64.b64encode(b'admin2:' + raw).decode()}",
        "basic, third alignment": f"sent {base64.b64encode(b'admin22:' + raw).decode()}",
        "base64 behind one letter": f"blobx{base64.b64encode(raw).decode()} end",
        "base64 behind two letters": f"blobxx{base64.b64encode(raw).decode()} end",
        "bytes": f"got {raw!r}",
        "field": f"x={secret};",
    }


def shown(text: str, secret: str) -> bool:
    """The slow obvious oracle: whether any spelling of the secret can be read in the text."""
    raw = secret.encode()
    return any(
        form in text
        for form in (
            secret,
            quote(secret, safe=""),
            quote_plus(secret),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            base64.b64encode(raw).decode().rstrip("="),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
            repr(raw)[2:-1],
        )
    )


@pytest.mark.parametrize("spelling", sorted(spellings(PLAIN)))
@pytest.mark.parametrize("secret", [PLAIN, CANARY], ids=["plain", "hard"])
def test_a_known_secret_is_hidden_in_every_spelling(spelling: str, secret: str) -> None:
    """By value: raw, URL-encoded, JSON-escaped, base64 at any alignment."""
    redactor = Redactor()
    redactor.learn([secret])
    text = spellings(secret)[spelling]

    hidden = redactor.redact(text)

    assert not shown(hidden, secret)
    assert "***" in hidden


@given(secret=st.text(min_size=4, max_size=24), before=st.text(max_size=9), after=st.text(max_size=9))
@example(secret="aaaa", before="aa", after="aaa")
@example(secret="%41%42", before="%", after="")
@example(secret="\\u0041", before="\\", after="")
def test_no_surroundings_save_a_secret(secret: str, before: str, after: str) -> None:
    """Whatever stands beside it, the secret itself and its JSON form do not survive."""
    redactor = Redactor()
    redactor.learn([secret])

    for spelt in (secret, json.dumps(secret)[1:-1]):
        assert secret not in redactor.redact(before + spelt + after) or secret in "***"


def test_the_rest_of_the_message_stays() -> None:
    """Only the secret goes; overlapping and nested secrets go as a whole."""
    redactor = Redactor()
    redactor.learn(["abcdef", "cdefgh", "abcd"])

    assert redactor.redact("camera 17: abcdefgh, abcd; abcdef end") == "camera 17: ***, ***; *** end"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("open rtsp://admin:p@ss/w@10.0.0.1:554/a?x=1 now", "open rtsp://***@10.0.0.1:554/a?x=1 now"),
        ("Did you mean file:rtsp://u:p@h/x", "Did you mean file:rtsp://***@h/x"),
        ("Authorization: Basic YWRtaW46YWRtaW4=\r\nCSeq: 3", "Authorization: ***\r\nCSeq: 3"),
        ('{"authorization": "Bearer abcdefgh"}', '{"authorization": ***'),
        ("retry with Basic YWRtaW46YWRtaW4= failed", "retry with Basic *** failed"),
        ('username="admin", response="0f3a", uri="/"', 'username="admin", response="***", uri="/"'),
        ("?user=admin&password=geheim&channel=1", "?user=admin&password=***&channel=1"),
        ('{"password": "ge heim", "x": 1}', '{"password": ***, "x": 1}'),
        ("密码: geheim 通道", "密码: *** 通道"),
        ("the response: timed out at rtsp://10.0.0.1/live", "the response: timed out at rtsp://10.0.0.1/live"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_unknown(text: str, expected: str) -> None:
    """By pattern: nobody registered these."""
    assert Redactor().redact(text) == expected


def test_short_secrets_are_left_to_patterns() -> None:
    """A password "12" by value would eat every port number."""
    redactor = Redactor()
    redactor.learn(["12", ""])

    assert redactor.redact("port 1234") == "port 1234"
    assert len(redactor) == 0


def test_the_registry_is_bounded_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the cap what is known stays known, and what could not be learnt is counted."""
    monkeypatch.setattr("streamwatch.redaction.MAX_SECRETS", 2)
    redactor = Redactor()
    redactor.learn(["first", "second", "third", "second"])

    assert redactor.redact("first second third") == "*** *** third"
    assert redactor.refused == 1
    redactor.forget()
    assert redactor.redact("first") == "first"


def test_a_long_text_is_cut() -> None:
    """A camera cannot fill the disk with one answer."""
    assert len(Redactor().redact("x" * (MAX_TEXT * 3))) == MAX_TEXT
