"""What a public address adds to the engine, without a carrier."""

from __future__ import annotations

import pytest

from webapp.streams.engine import Engine
from webapp.streams.limits import Slots
from webapp.streams.service import StreamsService
from webapp.streams.store.memory import MemoryStore
from webapp.streams.wire import RequestHead


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("live=sse", True),
        ("offset=-1&live=long-poll", True),
        ("%6cive=sse", True),
        ("l%69ve=%73se", True),
        ("live=%6Cong-poll", True),
        ("live=false", False),
        ("offset=%2D1", False),
        ("", False),
    ],
)
def test_a_live_read_holds_a_slot_however_it_is_spelled(query: str, holds: bool) -> None:
    slots = Slots()
    service = StreamsService(Engine(MemoryStore()), slots=slots)
    slot = service.claim(RequestHead(method="GET", path="/v1/stream/s", query=query, client="a"))
    assert (slot is not None, slots.taken) == (holds, int(holds))
