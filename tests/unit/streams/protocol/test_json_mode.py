"""JSON mode against the json module: what is valid, what the elements are, and that nothing is rewritten."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.streams.protocol import json_mode
from webapp.streams.protocol.errors import InvalidRequest, PayloadTooLarge

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


def split(body: bytes, *, max_messages: int = 1000, max_depth: int = 64) -> list[bytes]:
    return json_mode.split(body, max_messages=max_messages, max_depth=max_depth)


@given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_one_level_is_flattened_and_every_value_survives(value: Any, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    try:
        body = text.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        return
    messages = split(body)
    assert [json.loads(message) for message in messages] == (value if isinstance(value, list) else [value])


@settings(max_examples=40)
@given(st.lists(values, min_size=1, max_size=5), st.sampled_from([None, 2]))
def test_a_chunk_gives_its_messages_back_and_is_one_array(items: list[Any], indent: int | None) -> None:
    raw = [json.dumps(item, indent=indent).encode() for item in items]
    chunk = json_mode.pack(raw)
    assert [json.loads(message) for message in json_mode.unpack([chunk])] == items
    assert json.loads(json_mode.array([chunk, chunk])) == items + items
    assert b"\n" not in json_mode.array([chunk])


@given(st.binary() | st.text().map(str.encode) | st.text('[]{},:"1e.- \\ntruefalse\n\t').map(str.encode))
def test_it_accepts_what_the_json_module_accepts(body: bytes) -> None:
    def strict(constant: str) -> None:
        raise ValueError(constant)

    try:
        expected = json.loads(body.decode(), parse_constant=strict)
    except ValueError:
        with pytest.raises(InvalidRequest):
            split(body)
    else:
        found = [json.loads(message) for message in split(body)]
        assert found == (expected if isinstance(expected, list) else [expected])


@pytest.mark.parametrize("number", ["12345678901234567890", "1.0", "1e400", "-0.0", "1E+2", "9" * 10_000])
def test_numbers_stay_as_they_were_written(number: str) -> None:
    assert split(f"[{number}, {number} ]".encode()) == [number.encode()] * 2
    assert split(f" {number}\n".encode()) == [number.encode()]


def test_slices_keep_spacing_order_and_escapes() -> None:
    body = b' [ {"b" : 1,  "a":"\\ud83d"} , [1, [2]]\t]\r\n'
    assert split(body) == [b'{"b" : 1,  "a":"\\ud83d"}', b"[1, [2]]"]


def test_only_line_breaks_go() -> None:
    assert json_mode.pack(split(b'{"a":\r\n  "x\\ny",\n "b": 2}')) == b'{"a":  "x\\ny", "b": 2}'


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"NaN", b"[Infinity]", b"-Infinity", b"{", b"[1", b"[1,]", b"[,1]", b"[1 2]", b"1 2",
     b"[1,,2]", b"[] []", b"[1]]", b"{'a':1}", b"\xff", b"\xef\xbb\xbf1", b'"\x01"', b"01",
     "1".encode("utf-16")],
)  # fmt: skip
def test_bad_documents_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        split(body)


def test_an_empty_array_has_no_messages() -> None:
    assert split(b"[]") == split(b" [ ] ") == []
    assert json_mode.array([]) == b"[]"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_is_bounded(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    assert split((opening * 64 + "1" + closing * 64).encode())
    with pytest.raises(InvalidRequest):
        split((opening * 65 + "1" + closing * 65).encode())
    with pytest.raises(InvalidRequest):
        split(opening.encode() * 100_000)


def test_brackets_in_strings_are_no_depth() -> None:
    assert len(split(json.dumps(["[" * 200, '\\"[{' * 50]).encode())) == 2


def test_the_number_of_messages_is_bounded() -> None:
    assert len(split(json.dumps([1] * 1000).encode())) == 1000
    with pytest.raises(PayloadTooLarge):
        split(json.dumps([1] * 1001).encode())
