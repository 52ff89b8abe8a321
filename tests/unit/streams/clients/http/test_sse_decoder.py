"""The decoder against the WHATWG examples, every split, and our own encoder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.streams.clients.http.sse_decoder import EventTooLarge, SseDecoder, SseEvent
from webapp.streams.protocol import sse


def decode(*pieces: bytes) -> list[tuple[str, bytes]]:
    decoder = SseDecoder()
    return [(event.name, event.data) for piece in pieces for event in decoder.feed(piece)]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("message", b"YHOO\n+2\n10")]),
        (b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third\n\n",
         [("message", b"first event"), ("message", b"second event"), ("message", b" third")]),
        (b"data\n\ndata\ndata\n\ndata:\n", [("message", b""), ("message", b"\n")]),
        (b"data:test\n\ndata: test\n\n", [("message", b"test"), ("message", b"test")]),
        (b"event: add\ndata: 7\n\nevent: gone\n\ndata: 8\n\n", [("add", b"7"), ("message", b"8")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", b"a")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [("message", b"a"), ("message", b"b"), ("message", b"c")]),
        (b"data: a\xe2\x80\xa8b\x0bc\x85d\n\n", [("message", b"a\xe2\x80\xa8b\x0bc\x85d")]),
        (b"data: unfinished", []),
        (b"retry: 3\nnonsense\n\n", []),
    ],
)  # fmt: skip
def test_the_rules(text: bytes, events: list[tuple[str, bytes]]) -> None:
    assert decode(text) == events
    assert decode(*(text[i : i + 1] for i in range(len(text)))) == events


payloads = st.lists(st.sampled_from([b"\r", b"\n", b" ", b":", b"data:", b"x", b"\xe2\x80\xa8"])).map(
    b"".join
)


@given(st.lists(payloads, max_size=5), st.data())
def test_what_is_encoded_comes_back_however_it_is_cut(bodies: list[bytes], data: st.DataObject) -> None:
    text = b"".join(sse.data(body) + sse.PING for body in bodies)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=4).map(sorted))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    lines = [body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") for body in bodies]
    assert decode(*pieces) == [("data", body) for body in lines]


def test_an_endless_event_is_not_kept() -> None:
    decoder = SseDecoder(max_event=100)
    assert decoder.feed(b"data: " + b"x" * 60 + b"\n\n" + b"data:" + b"x" * 60) == [
        SseEvent("message", b"x" * 60)
    ]
    with pytest.raises(EventTooLarge):
        decoder.feed(b"\ndata:" + b"x" * 60)
