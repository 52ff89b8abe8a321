"""Whatever a request holds, the engine answers it: no error of its own, no header of the sender's making."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.streams.engine import Engine
from webapp.streams.limits import StreamLimits
from webapp.streams.protocol import names
from webapp.streams.store.memory import MemoryStore
from webapp.streams.wire import WireRequest, WireResponse

LIMITS = StreamLimits(long_poll_timeout=0.001, sse_lifetime=0.001)

# Header values and paths as a server hands them over: one character for each byte.
latin = st.text(st.characters(max_codepoint=0xFF), max_size=20)
small = st.integers(0, 3).map(str)
offsets = st.sampled_from(["-1", "now", "0000000000000001_0000000000000001"]) | latin
values = {
    names.CONTENT_TYPE: st.sampled_from(["application/json", "text/plain", "a/b"]) | latin,
    names.STREAM_TTL: small | latin,
    names.STREAM_EXPIRES_AT: st.just("2099-01-01T00:00:00Z") | latin,
    names.STREAM_CLOSED: st.sampled_from(["true", "TRUE", "1"]) | latin,
    names.STREAM_SEQ: small | latin,
    names.STREAM_FORKED_FROM: st.sampled_from("abc") | latin,
    names.STREAM_FORK_OFFSET: offsets,
    names.STREAM_FORK_SUB_OFFSET: small | latin,
    names.PRODUCER_ID: st.just("p") | latin,
    names.PRODUCER_EPOCH: small | latin,
    names.PRODUCER_SEQ: small | latin,
    names.IF_NONE_MATCH: st.just("*") | latin,
}
requests = st.builds(
    WireRequest,
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    path=st.sampled_from("abc") | st.text(st.sampled_from("ab/.%2e5fF_ds\\\0é"), max_size=8),
    query=st.lists(
        st.tuples(st.just("offset"), offsets)
        | st.tuples(st.just("live"), st.sampled_from(["sse", "long-poll", "x"]))
        | st.tuples(st.just("cursor"), small | latin),
        max_size=3,
    ).map(tuple),
    headers=st.fixed_dictionaries({}, optional={name.lower(): value for name, value in values.items()}),
    body=st.sampled_from([b"", b"1", b"[1,[2]]", b"[]", b'{"a":"\\ud800"}']) | st.binary(max_size=30),
)


async def answer(engine: Engine, request: WireRequest) -> WireResponse:
    response = await engine.handle(request)
    if isinstance(response.body, AsyncGenerator):
        async for frame in response.body:
            assert b"\r" not in frame
    return response


@settings(max_examples=50)
@given(st.lists(requests, min_size=1, max_size=12))
def test_any_requests_are_answered(conversation: list[WireRequest]) -> None:
    async def converse() -> list[WireResponse]:
        engine = Engine(MemoryStore(), limits=LIMITS)
        return [await answer(engine, request) for request in conversation]

    for response in asyncio.run(converse()):
        assert response.status < 500
        for name, value in response.headers:
            assert re.fullmatch(r"[\x20-\x7e\x80-\xff\t]*", value), f"{name}: {value!r}"
