"""A stream server that is cut off, slow, silent or lying: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from random import Random
from typing import Any

import httpx
import pytest

from tests.faults.streams.remote import Follower, client_at, flat
from tests.support.fault_proxy import FaultProxy
from tests.support.stream_server import PATIENCE, StreamServer, stream_server, url_of
from tests.support.waiting import aeventually
from webapp.streams.asgi import Responder
from webapp.streams.clients.base import ProducerTuple, StreamsUnavailable
from webapp.streams.clients.http import Patience
from webapp.streams.clients.http.following import Following
from webapp.streams.clients.http.remote_page import RemotePage
from webapp.streams.clients.http.upstream import Upstream
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry
from webapp.streams.limits import StreamLimits
from webapp.streams.wire import WireRequest

App = Callable[[Any, Any, Any], Any]

AWKWARD = [b'"\xe2\x80\xa8 \xe2\x82\xac"', b'"\\r\\n\\u0000"', b"[[1],2]", b'{"data:": " event: control"}']


@pytest.fixture
async def server() -> AsyncIterator[StreamServer]:
    async with stream_server(limits=StreamLimits(long_poll_timeout=0.5, ping_interval=0.1)) as server:
        yield server


async def write(server: StreamServer, messages: list[bytes]) -> None:
    """Append each message by itself, at the server."""
    headers = {"content-type": "application/json"}
    for message in messages:
        request = WireRequest(method="POST", path="s", headers=headers, body=b"[%b]" % message)
        assert (await server.engine.handle(request)).status == 204


async def test_cut_at_every_place_nothing_is_lost_or_repeated(
    server: StreamServer, start_proxy: Callable[[int], FaultProxy]
) -> None:
    proxy = start_proxy(server.port)
    log = [b'{"n":%d}' % n for n in range(30)] + AWKWARD
    async with client_at(url_of(proxy.port)) as client:
        await client.ensure("s")
        follower = Follower(client)
        await aeventually(lambda: server.slots.taken == 1)
        # Whatever connection is made next breaks a little later than the one before.
        for count in range(1, 900, 13):
            proxy.cut_after(count)
        proxy.cut()
        for n, message in enumerate(log):
            await write(server, [message])
            if n % 3 == 0:
                proxy.cut()
                await asyncio.sleep(0.01)
        await aeventually(lambda: len(follower.items) >= len(log))
        assert follower.items == log
        await follower.aclose()


async def test_an_event_stream_cut_at_every_byte_is_read_on_without_a_gap() -> None:
    """F23: the first connection of a live read ends after so many bytes, the next ones are whole."""
    log = [b'{"n":%d}' % n for n in range(3)] + AWKWARD
    async with stream_server(limits=StreamLimits(page_messages=2)) as server:
        async with client_at(server.url) as client:
            await client.ensure("s")
            await write(server, log)
            await client.append("s", [], close=True)
        async with httpx.AsyncClient(base_url=server.url) as http:
            recorded = (await http.get("/s", params={"offset": "-1", "live": "sse"})).content
        cuts: list[int] = []

        async def cutting(app: App, scope: Any, receive: Any, send: Any) -> None:
            if not cuts:
                await app(scope, receive, send)
                return
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": recorded[: cuts.pop()], "more_body": True})
            # Returning here is what breaks the connection.

        wrapped(server, cutting)
        upstream = Upstream(server.url, patience=PATIENCE, rng=Random(), sleep=asyncio.sleep)
        for count in range(len(recorded) + 1):
            cuts.append(count)
            pages: list[RemotePage] = []
            following = Following(
                upstream,
                "s",
                offset="-1",
                content_type="application/json",
                publish=pages.append,
                patience=PATIENCE,
                rng=Random(),
                sleep=asyncio.sleep,
            )
            await asyncio.wait_for(following.run(), 15)
            found = [message for page in pages for message in page.read_page().messages]
            assert found == log, f"cut after byte {count}"
        await upstream.aclose()


@pytest.mark.parametrize("reset", [False, True])
async def test_acknowledgements_lost_at_every_byte(
    server: StreamServer, start_proxy: Callable[[int], FaultProxy], reset: bool
) -> None:
    proxy = start_proxy(server.port)
    async with client_at(url_of(proxy.port)) as client:
        await client.ensure("s")
        producer = IdempotentProducer(client, "s", producer_id="p")
        lengths = range(0, 200, 9)
        for n, length in enumerate(lengths):
            if reset:
                proxy.reset()
            else:
                proxy.cut()
            proxy.cut_after(length)
            await producer.append([b"%d" % n])
        page = await client.read("s")
        assert page.messages == tuple(b"%d" % n for n in range(len(lengths)))


async def test_a_server_that_is_slow_is_waited_for(
    server: StreamServer, start_proxy: Callable[[int], FaultProxy]
) -> None:
    """Slow is not broken: nothing is asked twice."""
    proxy = start_proxy(server.port)
    proxy.delay = 0.03
    async with client_at(url_of(proxy.port)) as client:
        await client.ensure("s")
        followers = [Follower(client), Follower(client, forward=True)]
        await aeventually(lambda: server.slots.taken == 1)
        producer = IdempotentProducer(client, "s", producer_id="p")
        for number in range(15):
            await producer.append([b"%d" % number])
        await aeventually(lambda: all(flat(each.items) == list(range(15)) for each in followers))
        assert sum(request.startswith("POST") for request in server.requests) == 15
        assert server.live_requests() == 1
        for follower in followers:
            await follower.aclose()


async def test_a_server_that_hangs(server: StreamServer, start_proxy: Callable[[int], FaultProxy]) -> None:
    proxy = start_proxy(server.port)
    hasty = Patience(retry=Retry(attempts=2, base=0.01), reply=0.3, silence=0.4, reconnect=PATIENCE.reconnect)
    async with client_at(url_of(proxy.port), hasty) as client:
        await client.ensure("s")
        follower = Follower(client)
        await aeventually(lambda: server.slots.taken == 1)
        proxy.stall()
        tuple_ = ProducerTuple("p", 0, 0)
        with pytest.raises(StreamsUnavailable):
            await client.append("s", [b"1"], producer=tuple_)
        reply = await client.forward(WireRequest(method="GET", path="s"))
        assert (reply.status, reply.header("Retry-After")) == (503, "1")
        proxy.flow()
        await client.append("s", [b"1"], producer=tuple_)
        await aeventually(lambda: follower.items == [b"1"])
        assert (await client.read("s")).messages == (b"1",)
        await follower.aclose()


def wrapped(server: StreamServer, wrap: Callable[[App, Any, Any, Any], Any]) -> None:
    server.app = partial(wrap, server.app)


async def reply_with(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def test_overloaded_answers_are_waited_out_by_writers_and_readers(server: StreamServer) -> None:
    statuses = [429, 502, 503, 504] * 3
    waits: list[float] = []

    async def overloaded(app: App, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] != "PUT" and statuses:
            await reply_with(send, statuses.pop(), [(b"retry-after", b"1")])
        else:
            await app(scope, receive, send)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    wrapped(server, overloaded)
    patient = Patience(retry=Retry(attempts=3, base=0.01), reconnect=PATIENCE.reconnect)
    async with client_at(server.url, patient, sleep=sleep) as client:
        await client.ensure("s")
        follower = Follower(client)
        producer = IdempotentProducer(client, "s", producer_id="p", retry=Retry(attempts=9), sleep=sleep)
        await producer.append([b"1"])
        await producer.append([b"2"])
        await aeventually(lambda: follower.items == [b"1", b"2"])
        assert min(waits) >= 1.0
        await follower.aclose()


def replayed(body: Any) -> Callable[[], Any]:
    """A ``receive`` that gives ``body``, and then nothing."""
    left = [body]

    async def receive() -> Any:
        return left.pop() if left else await asyncio.Event().wait()

    return receive


async def test_requests_that_arrive_twice(server: StreamServer) -> None:
    async def twice(app: App, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            body = await receive()

            async def ignore(message: Any) -> None:
                pass

            await app(scope, replayed(body), ignore)
            receive = replayed(body)
        await app(scope, receive, send)

    wrapped(server, twice)
    async with client_at(server.url) as client:
        await client.ensure("s")
        producer = IdempotentProducer(client, "s", producer_id="p")
        for n in range(5):
            await producer.append([b"%d" % n])
        assert (await client.read("s")).messages == (b"0", b"1", b"2", b"3", b"4")


async def test_event_streams_that_are_held_back_give_way_to_long_polls(server: StreamServer) -> None:
    async def buffering(app: App, scope: Any, receive: Any, send: Any) -> None:
        if b"live=sse" not in scope["query_string"]:
            await app(scope, receive, send)
            return
        held: list[Any] = []

        async def hold(message: Any) -> None:
            held.append(message)

        await app(scope, receive, hold)
        for message in held:
            await send(message)

    wrapped(server, buffering)
    patience = Patience(first_control=0.2, reconnect=PATIENCE.reconnect)
    async with client_at(server.url, patience) as client:
        await client.ensure("s")
        follower = Follower(client)
        forwarded = Follower(client, forward=True)
        await write(server, [b"1"])
        await aeventually(lambda: follower.items == [b"1"])
        await write(server, [b"2", b"3"])
        await aeventually(lambda: follower.items == [b"1", b"2", b"3"])
        await aeventually(lambda: flat(forwarded.items) == [1, 2, 3])
        assert any("live=long-poll" in request for request in server.requests)
        await follower.aclose()
        await forwarded.aclose()


@pytest.mark.parametrize("status", [200, 406])
async def test_servers_without_event_streams_are_polled(server: StreamServer, status: int) -> None:
    async def without(app: App, scope: Any, receive: Any, send: Any) -> None:
        if b"live=sse" in scope["query_string"]:
            await reply_with(send, status, [(b"content-type", b"application/json")], b"[]")
        else:
            await app(scope, receive, send)

    wrapped(server, without)
    async with client_at(server.url) as client:
        await client.ensure("s")
        follower = Follower(client)
        await write(server, [b"1"])
        await aeventually(lambda: follower.items == [b"1"])
        await write(server, [b"2"])
        await aeventually(lambda: follower.items == [b"1", b"2"])
        assert sum("live=sse" in request for request in server.requests) == 1
        await follower.aclose()


async def test_event_streams_that_end_at_once_are_given_up(server: StreamServer) -> None:
    async def brief(app: App, scope: Any, receive: Any, send: Any) -> None:
        if b"live=sse" not in scope["query_string"]:
            await app(scope, receive, send)
            return
        control = b'event: control\ndata:{"streamNextOffset":"%s","upToDate":true}\n\n'
        offset = scope["query_string"].split(b"offset=")[1].split(b"&")[0]
        await reply_with(send, 200, [(b"content-type", b"text/event-stream")], control % offset)

    wrapped(server, brief)
    patience = Patience(reconnect=PATIENCE.reconnect)
    async with client_at(server.url, patience) as client:
        await client.ensure("s")
        follower = Follower(client)
        await aeventually(lambda: any("live=long-poll" in request for request in server.requests))
        await write(server, [b"1"])
        await aeventually(lambda: follower.items == [b"1"])
        assert sum("live=sse" in request for request in server.requests) == 3
        await follower.aclose()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"event: control\ndata:{}\n\n",
        b"event: control\ndata:[\n\n",
        b'event: data\ndata:[1]\n\nevent: data\ndata:x\n\nevent: control\ndata:{"streamNextOffset":"9"}\n\n',
        b"",
    ],
)
async def test_nonsense_is_not_taken_for_events(server: StreamServer, nonsense: bytes) -> None:
    left = 1

    async def confused(app: App, scope: Any, receive: Any, send: Any) -> None:
        nonlocal left
        if b"live=sse" in scope["query_string"] and left:
            left -= 1
            await reply_with(send, 200, [(b"content-type", b"text/event-stream")], nonsense)
        else:
            await app(scope, receive, send)

    wrapped(server, confused)
    async with client_at(server.url) as client:
        await client.ensure("s")
        follower = Follower(client)
        await write(server, [b"1", b"2"])
        await aeventually(lambda: follower.items == [b"1", b"2"])
        await aeventually(lambda: left == 0)
        await write(server, [b"3"])
        await aeventually(lambda: follower.items == [b"1", b"2", b"3"])
        await follower.aclose()


async def test_a_large_reply_that_is_cut_is_not_passed_on_as_whole(
    server: StreamServer, start_proxy: Callable[[int], FaultProxy]
) -> None:
    proxy = start_proxy(server.port)
    async with client_at(url_of(proxy.port)) as client, stream_server() as front:
        await client.ensure("s")
        await write(server, [b'"%b"' % (b"x" * 3_000_000)])

        async def forward(scope: Any, receive: Any, send: Any) -> None:
            request = WireRequest(method="GET", path="s", query=(("offset", "-1"),))
            await Responder(partial(client.forward, request), write_timeout=5)(scope, receive, send)

        front.app = forward
        proxy.cut()
        proxy.cut_after(2_000_000)
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = await asyncio.wait_for(reader.read(-1), 10)
        assert received.startswith(b"HTTP/1.1 200 ")
        assert not received.endswith(b"0\r\n\r\n")
        writer.close()
        async with client_at(front.url) as second:  # and whole when it is not cut
            page = await second.read("s")
            assert len(page.messages[0]) == 3_000_002
