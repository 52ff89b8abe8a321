"""The protocol over every store: status, headers and bodies as the specification wants them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from tests.support.sse import SseEvent, SseReader
from webapp.streams.engine import Engine
from webapp.streams.limits import Drain, StreamLimits
from webapp.streams.store.base import StreamStore
from webapp.streams.wire import WireRequest, WireResponse

JSON = "application/json"
LIMITS = StreamLimits(long_poll_timeout=0.05, ping_interval=0.05, page_messages=4)


@pytest.fixture
def drain() -> Drain:
    return Drain()


@pytest.fixture
def engine(store: StreamStore, drain: Drain) -> Engine:
    return Engine(store, limits=LIMITS, drain=drain)


async def ask(
    engine: Engine, method: str, path: str = "s", /, body: bytes = b"", **fields: str
) -> WireResponse:
    """``q_name`` is a query parameter, any other field a header with underscores for hyphens."""
    query = tuple((name[2:], value) for name, value in fields.items() if name.startswith("q_"))
    headers = {n.replace("_", "-").lower(): v for n, v in fields.items() if not n.startswith("q_")}
    return await engine.handle(WireRequest(method=method, path=path, query=query, headers=headers, body=body))


async def put(engine: Engine, path: str = "s", /, body: bytes = b"", **fields: str) -> WireResponse:
    return await ask(engine, "PUT", path, body, **{"content_type": JSON, **fields})


async def post(engine: Engine, body: bytes, **fields: str) -> WireResponse:
    return await ask(engine, "POST", "s", body, **{"content_type": JSON, **fields})


def frames(response: WireResponse) -> AsyncGenerator[bytes, None]:
    assert response.status == 200
    assert response.header("Content-Type") == "text/event-stream"
    assert isinstance(response.body, AsyncGenerator)
    return response.body


def events(frame: bytes) -> list[SseEvent]:
    assert b"\r" not in frame
    return SseReader().feed(frame)


def control(frame: bytes) -> dict[str, object]:
    found: dict[str, object] = events(frame)[-1].json()
    return found


async def test_create_append_read(engine: Engine) -> None:
    created = await put(engine)
    assert created.status == 201
    assert created.header("content-type") == JSON
    assert (await put(engine)).status == 200
    appended = await post(engine, b'[{"a": 1},{"a":2}]')
    assert appended.status == 204
    assert appended.body == b""
    read = await ask(engine, "GET")
    assert read.status == 200
    assert read.body == b'[{"a": 1},{"a":2}]'
    assert read.header("Stream-Next-Offset") == appended.header("Stream-Next-Offset")
    assert read.header("Stream-Up-To-Date") == "true"
    assert read.header("Stream-Closed") is None


async def test_an_empty_json_stream_reads_as_an_empty_array(engine: Engine) -> None:
    await put(engine)
    assert (await ask(engine, "GET")).body == b"[]"
    await put(engine, "t", content_type="text/plain")
    assert (await ask(engine, "GET", "t")).body == b""


async def test_catch_up_comes_in_bounded_pages(engine: Engine) -> None:
    await put(engine)
    for n in range(10):
        await post(engine, b"%d" % n)
    found: list[int] = []
    offset, pages = "-1", 0
    while True:
        page = await ask(engine, "GET", q_offset=offset)
        assert isinstance(page.body, bytes)
        found += json.loads(page.body)
        offset = page.header("Stream-Next-Offset") or ""
        pages += 1
        if page.header("Stream-Up-To-Date"):
            break
    assert found == list(range(10))
    assert pages == 3


async def test_offset_now_is_empty_and_not_cacheable(engine: Engine) -> None:
    await put(engine, body=b"[1]")
    page = await ask(engine, "GET", q_offset="now")
    assert page.body == b"[]"
    assert page.header("Cache-Control") == "no-store"
    assert page.header("ETag") is None
    assert page.header("Stream-Up-To-Date") == "true"


async def test_an_etag_spares_the_body_until_something_changes(engine: Engine) -> None:
    await put(engine, body=b"[1]")
    tag = (await ask(engine, "GET")).header("ETag") or ""
    again = await ask(engine, "GET", if_none_match=tag)
    assert (again.status, again.body) == (304, b"")
    assert again.header("Stream-Next-Offset")
    await post(engine, b"", stream_closed="true")
    assert (await ask(engine, "GET", if_none_match=tag)).status == 200


async def test_head_describes_and_is_not_cacheable(engine: Engine) -> None:
    created = await put(engine, stream_ttl="60", stream_closed="true")
    head = await ask(engine, "HEAD")
    assert head.status == 200
    assert head.header("Stream-Next-Offset") == created.header("Stream-Next-Offset")
    assert head.header("Stream-TTL") == "60"
    assert head.header("Stream-Closed") == "true"
    assert head.header("Cache-Control") == "no-store"
    assert head.body == b""


async def test_delete(engine: Engine) -> None:
    assert (await ask(engine, "DELETE")).status == 404
    await put(engine)
    assert (await ask(engine, "DELETE")).status == 204
    assert (await ask(engine, "GET")).status == 404


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "get"])
async def test_other_methods(engine: Engine, method: str) -> None:
    response = await ask(engine, method)
    assert response.status == 405
    assert "PUT" in (response.header("Allow") or "")
    assert response.header("Cache-Control") == "no-store"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
async def test_the_protocols_own_paths_are_not_served(engine: Engine, method: str) -> None:
    assert (await ask(engine, method, "__ds/subscriptions/a", content_type=JSON)).status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b"NaN", 400),
        (b"[" * 100_000, 400),
        (b"[%b1]" % (b"1," * 1000), 413),
    ],
)
async def test_bad_bodies_store_nothing(engine: Engine, body: bytes, status: int) -> None:
    await put(engine)
    refused = await post(engine, body)
    assert refused.status == status
    assert isinstance(refused.body, bytes)
    assert set(json.loads(refused.body)) == {"error", "code"}
    assert (await ask(engine, "GET")).body == b"[]"


async def test_a_body_that_is_too_large(engine: Engine) -> None:
    await put(engine)
    body = b'"%b"' % (b"x" * LIMITS.max_append_bytes)
    assert (await post(engine, body)).status == 413
    assert (await post(engine, body[2:])).status == 400  # at the limit it is read, and found not to be JSON
    assert (await ask(engine, "HEAD")).header("Stream-Next-Offset")


async def test_producers_get_their_numbers(engine: Engine) -> None:
    def tuple_(epoch: int, seq: int) -> dict[str, str]:
        return {"producer_id": "p", "producer_epoch": str(epoch), "producer_seq": str(seq)}

    await put(engine)
    fresh = await post(engine, b"1", **tuple_(2, 0))
    assert (fresh.status, fresh.header("Producer-Epoch"), fresh.header("Producer-Seq")) == (200, "2", "0")
    assert (await post(engine, b"2", **tuple_(2, 1))).status == 200
    repeated = await post(engine, b"1", **tuple_(2, 0))
    assert (repeated.status, repeated.header("Producer-Seq")) == (204, "1")
    assert repeated.header("Stream-Next-Offset")
    gap = await post(engine, b"9", **tuple_(2, 5))
    assert gap.status == 409
    assert (gap.header("Producer-Expected-Seq"), gap.header("Producer-Received-Seq")) == ("2", "5")
    stale = await post(engine, b"9", **tuple_(1, 0))
    assert (stale.status, stale.header("Producer-Epoch")) == (403, "2")
    assert (await post(engine, b"9", producer_id="p")).status == 400
    closing = await post(engine, b"", stream_closed="true", **tuple_(2, 2))
    assert (closing.status, closing.header("Stream-Closed")) == (204, "true")
    assert (await ask(engine, "GET")).body == b"[1,2]"


async def test_a_closed_stream_says_where_it_ends(engine: Engine) -> None:
    await put(engine)
    closed = await post(engine, b"1", stream_closed="TRUE")
    refused = await post(engine, b"2")
    assert refused.status == 409
    assert refused.header("Stream-Closed") == "true"
    assert refused.header("Stream-Next-Offset") == closed.header("Stream-Next-Offset")
    assert (await post(engine, b"", stream_closed="true")).status == 204
    assert (await ask(engine, "GET")).header("Stream-Closed") == "true"


async def test_long_poll_returns_what_is_there_waits_for_what_comes_and_gives_up(engine: Engine) -> None:
    await put(engine, body=b"[1]")
    at_once = await ask(engine, "GET", q_offset="-1", q_live="long-poll")
    assert (at_once.status, at_once.body) == (200, b"[1]")
    assert at_once.header("Stream-Cursor")
    tail = at_once.header("Stream-Next-Offset") or ""
    nothing = await ask(engine, "GET", q_offset=tail, q_live="long-poll", q_cursor="99999999999")
    assert (nothing.status, nothing.body) == (204, b"")
    assert nothing.header("Stream-Up-To-Date") == "true"
    assert int(nothing.header("Stream-Cursor") or 0) > 99999999999
    patient = Engine(engine.store, limits=StreamLimits(long_poll_timeout=20))
    waiting = asyncio.create_task(ask(patient, "GET", q_offset="now", q_live="long-poll"))
    await asyncio.sleep(0.01)
    await post(engine, b"2")
    assert (await waiting).body == b"[2]"


async def test_long_poll_ends_when_the_stream_does(engine: Engine) -> None:
    patient = Engine(engine.store, limits=StreamLimits(long_poll_timeout=20))
    await put(engine)
    waiting = asyncio.create_task(ask(patient, "GET", q_offset="now", q_live="long-poll"))
    await asyncio.sleep(0.01)
    await post(engine, b"", stream_closed="true")
    closed = await waiting
    assert (closed.status, closed.header("Stream-Closed"), closed.header("Stream-Cursor")) == (
        204,
        "true",
        None,
    )
    assert (await ask(patient, "GET", q_offset="now", q_live="long-poll")).status == 204
    await put(engine, "t")
    waiting = asyncio.create_task(ask(patient, "GET", "t", q_offset="now", q_live="long-poll"))
    await asyncio.sleep(0.01)
    await ask(engine, "DELETE", "t")
    assert (await waiting).status == 404


async def test_sse_begins_with_a_control_event_and_pairs_every_data_event_with_one(engine: Engine) -> None:
    await put(engine)
    async with aclosing(frames(await ask(engine, "GET", q_offset="-1", q_live="sse"))) as body:
        first = await anext(body)
        assert [event.event for event in events(first)] == ["control"]
        assert control(first)["upToDate"] is True
        assert control(first)["streamCursor"]
        assert await anext(body) == b": ping\n\n"
        appended = await post(engine, b'[{"x":"\\n"},\n2]')
        frame = await anext(body)
        assert [event.event for event in events(frame)] == ["data", "control"]
        assert re.match(rb"event: data\ndata:\[", frame)
        assert events(frame)[0].json() == [{"x": "\n"}, 2]
        assert control(frame)["streamNextOffset"] == appended.header("Stream-Next-Offset")


async def test_sse_catches_up_page_by_page(engine: Engine) -> None:
    await put(engine)
    for n in range(10):
        await post(engine, b"%d" % n)
    async with aclosing(frames(await ask(engine, "GET", q_offset="-1", q_live="sse"))) as body:
        found: list[int] = []
        done = False
        while not done:
            frame = await anext(body)
            found += events(frame)[0].json()
            done = "upToDate" in control(frame)
    assert found == list(range(10))


async def test_sse_ends_with_the_stream_after_its_last_data(engine: Engine) -> None:
    await put(engine)
    body = frames(await ask(engine, "GET", q_offset="-1", q_live="sse"))
    await anext(body)
    await post(engine, b"1", stream_closed="true")
    rest = [frame async for frame in body if not frame.startswith(b":")]
    assert len(rest) == 1
    assert events(rest[0])[0].json() == [1]
    assert control(rest[0])["streamClosed"] is True
    assert "streamCursor" not in control(rest[0])
    late = frames(await ask(engine, "GET", q_offset="now", q_live="sse"))
    assert [control(frame)["streamClosed"] async for frame in late] == [True]


async def test_sse_ends_when_the_stream_is_deleted(engine: Engine) -> None:
    await put(engine)
    body = frames(await ask(engine, "GET", q_offset="-1", q_live="sse"))
    await anext(body)
    await ask(engine, "DELETE")
    assert [frame async for frame in body if not frame.startswith(b":")] == []


async def test_sse_ends_after_its_lifetime(store: StreamStore) -> None:
    engine = Engine(store, limits=StreamLimits(sse_lifetime=0.1, ping_interval=0.02))
    await put(engine)
    async with asyncio.timeout(10):
        found = [frame async for frame in frames(await ask(engine, "GET", q_offset="-1", q_live="sse"))]
    assert found[1:].count(b": ping\n\n") == len(found) - 1 > 0


async def test_drain_ends_live_replies_at_once_with_a_control_event(store: StreamStore, drain: Drain) -> None:
    engine = Engine(store, drain=drain)
    await put(engine)
    body = frames(await ask(engine, "GET", q_offset="-1", q_live="sse"))
    await anext(body)
    waiting = asyncio.create_task(ask(engine, "GET", q_offset="now", q_live="long-poll"))
    rest = asyncio.create_task(_all(body))
    await asyncio.sleep(0.01)
    drain.set()
    async with asyncio.timeout(5):
        (last,) = await rest
        assert control(last)["upToDate"] is True
        assert (await waiting).status == 204


async def _all(body: AsyncGenerator[bytes, None]) -> list[bytes]:
    return [frame async for frame in body]


async def test_readers_of_a_stream_share_one_encoding(store: StreamStore) -> None:
    engine = Engine(store)
    await put(engine)
    bodies = [frames(await ask(engine, "GET", q_offset="-1", q_live="sse")) for _ in range(20)]
    for body in bodies:
        await anext(body)
    waiting = [asyncio.ensure_future(anext(body)) for body in bodies]
    await asyncio.sleep(0.01)
    await post(engine, b'{"a":1}')
    found = await asyncio.gather(*waiting)
    assert len({id(frame) for frame in found}) == 1
    for body in bodies:
        await body.aclose()


@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/ndjson"])
async def test_binary_streams_are_base64_in_events(engine: Engine, content_type: str) -> None:
    await put(engine, content_type=content_type, body=b"\x00\xff\r\n")
    response = await ask(engine, "GET", q_offset="-1", q_live="sse")
    assert response.header("Stream-SSE-Data-Encoding") == "base64"
    frame = await anext(frames(response))
    assert events(frame)[0].data == "AP8NCg=="


async def test_a_fork_and_its_deleted_source(engine: Engine) -> None:
    await put(engine, body=b"[1,2]")
    await put(engine, "f", stream_forked_from="s", stream_fork_sub_offset="1", stream_fork_offset="-1")
    assert (await ask(engine, "GET", "f")).body == b"[1]"
    await ask(engine, "DELETE", "s")
    assert (await ask(engine, "GET", "s")).status == 410
    assert (await ask(engine, "GET", "f")).body == b"[1]"


async def test_a_final_append_always_comes_before_the_end(store: StreamStore) -> None:
    """Closing races live readers: the data is delivered, whatever the timing."""
    engine = Engine(store)

    async def race(number: int) -> None:
        path = f"race{number}"
        await put(engine, path)
        body = frames(await ask(engine, "GET", path, q_offset="-1", q_live="sse"))
        reading = asyncio.create_task(_all(body))
        tail = (await ask(engine, "HEAD", path)).header("Stream-Next-Offset")
        polling = asyncio.create_task(ask(engine, "GET", path, q_offset=tail or "", q_live="long-poll"))
        await asyncio.sleep(0.0001 * number)
        await ask(engine, "POST", path, b"7", content_type=JSON, stream_closed="true")
        found = [event for frame in await reading for event in events(frame)]
        assert [event.json() for event in found if event.event == "data"] == [[7]]
        assert found[-1].json()["streamClosed"] is True
        polled = await polling
        assert (polled.status, polled.body, polled.header("Stream-Closed")) == (200, b"[7]", "true")

    for first in range(0, 200, 50):
        await asyncio.gather(*(race(number) for number in range(first, first + 50)))
