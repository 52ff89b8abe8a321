"""Chunks on the wire."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.sse import SseReader
from webapp.chat import events
from webapp.chat.frames import ndjson_line, server_sent_event

chunks = st.fixed_dictionaries({"type": st.text(), "delta": st.text(st.characters(codec="utf-8"))})


@given(st.lists(chunks, max_size=4))
def test_chunks_survive_the_wire(written: list[dict[str, Any]]) -> None:
    bodies = [events.encode(chunk) for chunk in written]
    read = SseReader().feed(b"".join(map(server_sent_event, bodies)))
    assert [event.json() for event in read] == written
    lines = b"".join(map(ndjson_line, bodies)).split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == written


def test_a_chunk_with_an_id() -> None:
    assert server_sent_event(b"{}", id="7.1") == b"id: 7.1\ndata: {}\n\n"
    assert ndjson_line(b"{}", id='7"1') == b'{"id":"7\\"1","chunk":{}}\n'
