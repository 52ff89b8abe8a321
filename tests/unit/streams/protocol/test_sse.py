"""Event framing, read back by a parser written from the WHATWG rules."""

from __future__ import annotations

import base64
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.streams.protocol import sse

Event = tuple[bytes, bytes]


def parse(stream: bytes) -> list[Event]:
    """Dispatched events: the WHATWG algorithm on bytes."""
    events: list[Event] = []
    name, data = b"", list[bytes]()
    for line in re.split(rb"\r\n|\r|\n", stream):
        if not line:
            if data:
                events.append((name, b"\n".join(data)))
            name, data = b"", []
        elif not line.startswith(b":"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"event":
                name = value
            elif field == b"data":
                data.append(value)
    return events


@given(st.binary())
def test_binary_comes_out_as_it_went_in(payload: bytes) -> None:
    ((name, text),) = parse(sse.data(payload, encode=True)) if payload else [(b"data", b"")]
    assert name == b"data"
    assert base64.b64decode(text.replace(b"\n", b"")) == payload


tricky = st.text(st.sampled_from("a :\n\r\u2028\u2029\x0b\x0c\x1c\x85é\U0001f600d")).map(str.encode)


@given(tricky | st.binary())
def test_text_comes_out_with_its_line_ends_unified_and_never_makes_another_event(payload: bytes) -> None:
    events = parse(
        sse.data(payload) + sse.control(next_offset="1", cursor="2", up_to_date=True, closed=False)
    )
    assert [name for name, _ in events] == [b"data", b"control"]
    assert events[0][1] == re.sub(rb"\r\n|\r", b"\n", payload)


def test_frames_end_their_lines_with_lf_and_have_no_space_after_data() -> None:
    assert sse.data(b"line1\r\nline2\rline3") == b"event: data\ndata:line1\ndata:line2\ndata:line3\n\n"
    assert sse.data(b" x") == b"event: data\ndata:  x\n\n"
    assert sse.PING == b": ping\n\n"


def test_control_tells_only_what_holds() -> None:
    def control(**fields: object) -> dict[str, object]:
        frame = sse.control(
            **{"next_offset": "7", "cursor": None, "up_to_date": False, "closed": False, **fields}
        )
        assert frame.startswith(b"event: control\ndata:{")
        found: dict[str, object] = json.loads(parse(frame)[0][1])
        return found

    assert control() == {"streamNextOffset": "7"}
    assert control(cursor="9", up_to_date=True) == {
        "streamNextOffset": "7",
        "streamCursor": "9",
        "upToDate": True,
    }
    assert control(up_to_date=True, closed=True) == {
        "streamNextOffset": "7",
        "upToDate": True,
        "streamClosed": True,
    }


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [
        ("application/json", False),
        ("Application/JSON; charset=utf-8", False),
        ("text/plain", False),
        ("TEXT/html;x=y", False),
        ("application/octet-stream", True),
        ("application/ndjson", True),
        ("application/xml", True),
        ("image/png", True),
    ],
)
def test_what_is_base64(content_type: str, encoded: bool) -> None:
    assert sse.is_base64(content_type) is encoded
