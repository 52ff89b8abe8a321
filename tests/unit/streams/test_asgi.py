"""The responder and the mount, driven by hand: what they send, and what they let go of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.waiting import aeventually
from webapp.streams.asgi import SLICE, Responder, StreamsApp
from webapp.streams.engine import Engine
from webapp.streams.limits import Slots, StreamLimits
from webapp.streams.service import StreamsService
from webapp.streams.store.memory import MemoryStore
from webapp.streams.wire import WireResponse

GET = {"type": "http", "method": "GET"}


class Client:
    """One ASGI connection. ``hang_up`` is what the server would report as a disconnect."""

    def __init__(self, *body: bytes) -> None:
        last = len(body) - 1
        self._requests = [
            {"type": "http.request", "body": part, "more_body": index < last}
            for index, part in enumerate(body)
        ]
        self._gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.stalled = asyncio.Event()
        self.stalled.set()

    async def receive(self) -> dict[str, Any]:
        if self._requests:
            return self._requests.pop(0)
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.stalled.wait()
        if not self._gone.is_set():  # a server swallows what is sent after a disconnect, without suspending
            self.sent.append(message)

    def hang_up(self) -> None:
        self._gone.set()

    @property
    def status(self) -> int:
        found: int = self.sent[0]["status"]
        return found

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


class Body:
    """A live body that counts its frames and knows whether it was closed."""

    def __init__(self, *, endless: bool = True) -> None:
        self.frames = 0
        self.closed = False
        self._endless = endless

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                self.frames += 1
                yield b"x" * 10
                if not self._endless:
                    await asyncio.Event().wait()
        finally:
            self.closed = True


def live(body: Body) -> WireResponse:
    return WireResponse(status=200, headers=(("Content-Type", "text/event-stream"),), body=body())


@pytest.fixture(autouse=True)
async def no_task_is_left_behind() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}


async def respond(responder: Responder, client: Client) -> None:
    async with asyncio.timeout(10):
        await responder(GET, client.receive, client.send)


async def test_a_plain_reply_is_sent_whole_with_its_length() -> None:
    client = Client(b"")
    body = bytes(range(256)) * 1024
    response = WireResponse(status=200, headers=(("ETag", "x"),), body=body)
    await respond(Responder(response, write_timeout=5, headers=(("X-More", "y"),)), client)
    assert client.status == 200
    assert client.headers == {"etag": "x", "x-more": "y", "content-length": str(len(body))}
    assert client.body == body
    assert all(len(message.get("body", b"")) <= SLICE for message in client.sent)
    assert [message.get("more_body", False) for message in client.sent[1:]][-1] is False


@pytest.mark.parametrize("status", [204, 304])
async def test_a_reply_without_a_body_has_no_length(status: int) -> None:
    client = Client(b"")
    await respond(Responder(WireResponse(status=status), write_timeout=5), client)
    assert "content-length" not in client.headers


async def test_a_frame_is_one_message() -> None:
    async def frames() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    client = Client(b"")
    await respond(Responder(WireResponse(status=200, body=frames()), write_timeout=5), client)
    assert [message["body"] for message in client.sent[1:]] == [b"one", b"two", b""]
    assert "content-length" not in client.headers


@pytest.mark.parametrize("endless", [True, False])
async def test_a_client_that_hangs_up_ends_the_reply(endless: bool) -> None:
    slots, body, client = Slots(), Body(endless=endless), Client(b"")
    responder = Responder(live(body), slot=lambda: slots.claim("a", "s"), write_timeout=5)
    running = asyncio.create_task(respond(responder, client))
    await aeventually(lambda: body.frames >= 1)
    assert slots.taken == 1
    client.hang_up()
    await running
    assert body.closed
    assert slots.taken == 0


async def test_a_client_gone_before_the_first_byte_gives_its_slot_back() -> None:
    slots, body, client = Slots(), Body(endless=False), Client(b"")
    client.hang_up()
    await respond(Responder(live(body), slot=lambda: slots.claim("a", "s"), write_timeout=5), client)
    assert slots.taken == 0


async def test_a_client_gone_while_the_reply_is_awaited_cancels_the_wait() -> None:
    slots, client = Slots(), Client(b"")
    cancelled = asyncio.Event()

    async def never() -> WireResponse:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    running = asyncio.create_task(
        respond(Responder(never, slot=lambda: slots.claim("a", "s"), write_timeout=5), client)
    )
    await aeventually(lambda: slots.taken)
    client.hang_up()
    await running
    assert cancelled.is_set()
    assert not client.sent
    assert slots.taken == 0


@pytest.mark.parametrize("endless", [True, False])
async def test_a_reply_that_is_cut_has_no_end(endless: bool) -> None:
    slots, body, client = Slots(), Body(endless=endless), Client(b"")
    responder = Responder(live(body), slot=lambda: slots.claim("a", "s"), write_timeout=5)
    running = asyncio.create_task(respond(responder, client))
    await aeventually(lambda: body.frames >= 1)
    assert slots.cut("a", "s") == 1
    await running
    assert client.sent[-1]["more_body"], "the server is not told that the reply is whole"
    assert body.closed
    assert slots.taken == 0


async def test_a_reply_that_is_cut_while_it_does_not_get_through() -> None:
    slots, body, client = Slots(), Body(), Client(b"")
    responder = Responder(live(body), slot=lambda: slots.claim("a", "s"), write_timeout=60)
    running = asyncio.create_task(respond(responder, client))
    await aeventually(lambda: body.frames >= 3)
    client.stalled.clear()
    slots.cut("a", "s")
    await running
    assert body.closed
    assert slots.taken == 0


async def test_a_reader_that_does_not_read_is_dropped() -> None:
    slots, body, client = Slots(), Body(), Client(b"")
    responder = Responder(live(body), slot=lambda: slots.claim("a", "s"), write_timeout=0.05)
    running = asyncio.create_task(respond(responder, client))
    await aeventually(lambda: body.frames >= 3)
    client.stalled.clear()
    await running
    assert body.closed
    assert slots.taken == 0


async def test_a_server_that_stops_leaves_nothing_behind() -> None:
    slots, body, client = Slots(), Body(endless=False), Client(b"")
    responder = Responder(live(body), slot=lambda: slots.claim("a", "s"), write_timeout=5)
    running = asyncio.create_task(respond(responder, client))
    await aeventually(lambda: body.frames >= 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert body.closed
    assert slots.taken == 0


@pytest.mark.parametrize(
    ("bounds", "status"), [({"per_principal": 0}, 429), ({"per_stream": 0}, 429), ({"total": 0}, 503)]
)
async def test_no_slot_no_reply(bounds: dict[str, int], status: int) -> None:
    slots, body, client = Slots(**bounds), Body(), Client(b"")
    await respond(Responder(live(body), slot=lambda: slots.claim("a", "s"), write_timeout=5), client)
    assert client.status == status
    assert int(client.headers["retry-after"]) > 0
    assert json.loads(client.body)["code"] == "too-many-readers"
    assert body.frames == 0


class Mount:
    """StreamsApp over memory, asked one request at a time."""

    def __init__(self, **limits: Any) -> None:
        self.slots = Slots()
        engine = Engine(MemoryStore(), limits=StreamLimits(**limits))
        self.app = StreamsApp(StreamsService(engine, slots=self.slots))

    async def ask(
        self, method: str, path: str, client: Client | None = None, *, query: str = "", **headers: str
    ) -> Client:
        client = client or Client(b"")
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [
                (b"host", b"streams.test"),
                *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()),
            ],
            "client": ("127.0.0.1", 1),
        }
        async with asyncio.timeout(10):
            await self.app(scope, client.receive, client.send)
        return client


async def test_the_mount_speaks_the_protocol_below_its_base_path() -> None:
    mount = Mount()
    created = await mount.ask("PUT", "/v1/stream/a/b%20c", Client(b"[1"), content_type="application/json")
    assert created.status == 400
    created = await mount.ask(
        "PUT", "/v1/stream/a/b%20c", Client(b"[", b"1]"), content_type="application/json"
    )
    assert created.status == 201
    assert created.headers["location"] == "http://streams.test/v1/stream/a/b%20c"
    fork = await mount.ask("PUT", "/v1/stream/f", stream_forked_from="/v1/stream/a/b%20c")
    assert fork.status == 201
    read = await mount.ask("GET", "/v1/stream/f", query="offset=-1")
    assert read.body == b"[1]"
    assert (await mount.ask("PUT", "/v1/stream/g", stream_forked_from="/elsewhere/f")).status == 400
    for path in ("/v1/stream", "/v1/streams/f", "/"):
        assert (await mount.ask("GET", path)).status == 404


async def test_every_reply_has_its_browser_headers() -> None:
    mount = Mount()
    for method, path in (
        ("GET", "/v1/stream/x"),
        ("OPTIONS", "/v1/stream/x"),
        ("PUT", "/v1/stream/x"),
        ("GET", "/"),
    ):
        headers = (await mount.ask(method, path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "cross-origin"
        assert headers["access-control-allow-origin"] == "*"
        assert "Stream-Next-Offset" in headers["access-control-expose-headers"]
    preflight = await mount.ask("OPTIONS", "/v1/stream/x")
    assert preflight.status == 204
    assert "If-None-Match" in preflight.headers["access-control-allow-headers"]


async def test_head_has_headers_only() -> None:
    mount = Mount()
    await mount.ask("PUT", "/v1/stream/x", content_type="text/plain")
    head = await mount.ask("HEAD", "/v1/stream/x")
    assert (head.status, head.body, head.headers["content-type"]) == (200, b"", "text/plain")
    assert "content-length" not in head.headers


@pytest.mark.parametrize("announced", ["11", "99999999999999999999", "x", "-1"])
async def test_a_body_announced_too_large_is_not_read(announced: str) -> None:
    mount = Mount(max_append_bytes=10)
    found = await mount.ask("POST", "/v1/stream/x", Client(b"1"), content_length=announced)
    assert found.status == 413


async def test_a_body_that_grows_too_large_is_cut_off() -> None:
    mount = Mount(max_append_bytes=10)
    assert (await mount.ask("POST", "/v1/stream/x", Client(b"12345", b"678901", b"2"))).status == 413


async def test_a_body_that_takes_too_long() -> None:
    mount = Mount(body_timeout=0.02)
    client = Client()
    assert (await mount.ask("POST", "/v1/stream/x", client)).status == 408


async def test_a_client_gone_mid_body_gets_nothing() -> None:
    client = Client()
    client.hang_up()
    assert not (await Mount().ask("POST", "/v1/stream/x", client)).sent


async def test_repeated_and_excessive_parameters() -> None:
    mount = Mount()
    await mount.ask("PUT", "/v1/stream/x", content_type="text/plain")
    assert (await mount.ask("GET", "/v1/stream/x", query="offset=-1&offset=-1")).status == 400
    assert (await mount.ask("GET", "/v1/stream/x", query="&".join("abc=1" for _ in range(50)))).status == 400


async def test_live_reads_hold_slots_and_plain_reads_do_not() -> None:
    mount = Mount(long_poll_timeout=0.01)
    await mount.ask("PUT", "/v1/stream/x", content_type="text/plain")
    mount.slots._total = 0
    assert (await mount.ask("GET", "/v1/stream/x", query="offset=-1")).status == 200
    assert (await mount.ask("GET", "/v1/stream/x", query="offset=-1&live=sse")).status == 503
    assert (await mount.ask("GET", "/v1/stream/x", query="offset=-1&live=long-poll")).status == 503
    mount.slots._total = 1
    assert (await mount.ask("GET", "/v1/stream/x", query="offset=-1&live=long-poll")).status == 204
    assert mount.slots.taken == 0
