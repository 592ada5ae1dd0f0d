"""JSON lines: one object a line, or an array of objects; keys are headings."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.errors import UsageError
from streamwatch.inventory import jsonlines
from streamwatch.inventory.lists import parse_file
from streamwatch.inventory.parsed import ParsedFile
from tests.inventory.written import refused, values

GOOD = '{"code": "C1", "name": "村口", "village": "V1", "url": "rtsp://192.0.2.1/a"}'


def cameras(*lines: str) -> ParsedFile:
    """JSON lines that were read."""
    return parse_file("\n".join(lines).encode(), "cameras")


def test_values_are_typed_as_in_a_csv() -> None:
    """Numbers, true and null; a code may be a short number."""
    file = cameras(
        '{"code": 12, "name": "村口", "village": 990000101201, "url": "rtsp://h/", "key_point": true,'
        ' "longitude": 113.5}',
        '{"code": "2", "name": "村尾", "village": "V", "url": "rtsp://h/", "key_point": null, "interval_s": 60.0}',
    )

    assert refused(file) == []
    assert [
        (row["code"], row["village"], row["key_point"], row["longitude"], row["interval_s"]) for row in values(file)
    ] == [
        ("12", "990000101201", True, 113.5, None),
        ("2", "V", None, None, 60),
    ]


def test_a_code_of_20_digits_must_be_a_text() -> None:
    """Most programs that write JSON round it."""
    file = cameras(GOOD.replace('"C1"', "44010101011321000001"))

    assert [bad[:3] for bad in refused(file)] == [(1, "code", "damaged_number")]


def test_an_unknown_key_is_named_with_its_first_line() -> None:
    """It refuses the list as an unknown heading does."""
    file = cameras(GOOD, "", GOOD.replace("}", ', "pasword": "geheim"}'))

    assert refused(file) == [(3, "pasword", "unknown_column", "did you mean password?, or remove the column")]
    assert "geheim" not in repr(file.rejected)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ('{"code": "C2", ', "bad_line", "is not JSON; correct the line"),
        ("[1]", "bad_line", 'is no JSON object such as {"code": "1", …}; correct the line'),
        ('{"code": "2", "code": "3"}', "bad_line", "has a key twice; correct the line"),
        ("[" * 50_000, "bad_line", None),
        (
            GOOD.replace('"村口"', '["村口"]'),
            "bad_value",
            "give a text, a number, true, false or null, not a list or an object",
        ),
        (GOOD.replace("村口", "x" * 70_000), "bad_line", "longer than 65536 characters; correct the line"),
    ],
)
def test_a_damaged_line_is_refused_alone(line: str, code: str, said: str | None) -> None:
    """The others are taken."""
    file = cameras(GOOD, line, GOOD.replace("C1", "C3"))

    assert [row.line for row in file.rows] == [1, 3]
    assert [(bad[0], bad[2]) for bad in refused(file)] == [(2, code)]
    assert said is None or refused(file)[0][3] == said


def test_an_array_is_read_with_the_line_of_each_object() -> None:
    """As web services answer, on one line or printed nicely."""
    rows = [json.loads(GOOD), {**json.loads(GOOD), "code": "C2", "url": "x"}]
    nice = cameras(json.dumps(rows, indent=1))
    flat = cameras(json.dumps(rows))

    assert [row["code"] for row in values(nice)] == ["C1"]
    assert [bad[:3] for bad in refused(nice)] == [(8, "url", "bad_url")]
    assert [bad[:3] for bad in refused(flat)] == [(1, "url", "bad_url")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" + GOOD + ",\n{]", "the object that begins in line 2 is not JSON; correct it, or write one object a line"),
        ("[" + GOOD, "the object that begins in line 1 is not JSON"),
        ("{}", "line 1 is no JSON object such as"),
        ("[]", "is empty"),
    ],
)
def test_a_damaged_array_refuses_the_file(text: str, said: str) -> None:
    """Where it goes on is not known."""
    with pytest.raises(UsageError, match=said):
        cameras(text)


def test_half_characters_are_refused_and_can_be_said() -> None:
    """An escape may write half of a character: the refusal can be encoded, as everything that leaves us."""
    file = cameras(GOOD.replace("村口", r"村\ud800"), GOOD)
    heading = cameras(GOOD.replace("name", r"n\udfff"))

    assert [bad[:3] for bad in refused(file)] == [(1, "name", "bad_encoding")]
    assert len(file.rows) == 1
    assert file.to_bytes()
    assert heading.to_bytes()


def test_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another kind is told from a list."""
    monkeypatch.setattr(jsonlines, "MAX_KEYS", 3)
    with pytest.raises(UsageError, match="more than 3 different keys by line 1; is it the right file"):
        cameras(GOOD)


@given(st.sampled_from(["", GOOD + "\n", "["]), st.text(max_size=40))
def test_no_text_breaks_the_reader(before: str, text: str) -> None:
    """A list, refusals or UsageError."""
    for body in (text, "{" + text, "[" + text + "]", '{"code":' + text + "}"):
        with contextlib.suppress(UsageError):
            cameras(before + body)
