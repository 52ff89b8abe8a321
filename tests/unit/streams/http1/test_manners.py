"""HTTP/1.1 towards clients without manners: that leave, crowd, ask ahead, or send what has no end."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.http1 import get, never
from tests.support.waiting import aeventually
from webapp.streams.http1.connection import Connection
from webapp.streams.protocol.errors import StreamsUnavailable
from webapp.streams.wire import RequestHead, WireResponse


async def test_trailers_are_no_headers(open_house: Callable[..., Any]) -> None:
    """A proxy in front has judged the headers and never saw these."""
    body = b"x" * 100_000
    caller = await (await open_house()).call(
        get("/", "X-Ask: head", "Transfer-Encoding: chunked", method="POST")
        + b"%x\r\n%b\r\n0\r\nX-Ask: trailer\r\n\r\n" % (len(body), body)
        + get("/after")
    )
    reply = await caller.reply()
    assert (reply.status, reply.headers["x-asked"]) == (200, "head")
    assert (await caller.reply()).json()["path"] == "/after"


@pytest.mark.parametrize("where", ["header", "trailer"])
async def test_a_field_without_end_is_not_gathered(open_house: Callable[..., Any], where: str) -> None:
    house = await open_house()
    chunked = get("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n0\r\n"
    caller = await house.call((b"GET / HTTP/1.1\r\n" if where == "header" else chunked) + b"X: ")

    async def keep_sending() -> None:
        while True:
            caller.send(b"x" * 100_000)
            await caller.writer.drain()

    sending = asyncio.create_task(keep_sending())
    assert (await caller.reply()).status == 431
    await caller.hang_up()
    await asyncio.gather(sending, return_exceptions=True)
    assert not house.site.asked


async def test_short_headers_are_not_free(open_house: Callable[..., Any]) -> None:
    caller = await (await open_house()).call(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 30_000 + b"\r\n")
    assert (await caller.reply()).status == 431


async def test_a_body_in_crumbs_takes_no_more_memory_than_in_one_piece(
    open_house: Callable[..., Any],
) -> None:
    house = await open_house()
    taken: list[int] = []

    async def count(head: RequestHead, body: bytes) -> WireResponse:
        taken.append(tracemalloc.get_traced_memory()[1])
        return WireResponse(status=200, body=b"%d" % len(body))

    house.site.answers["/count"] = count
    caller = await house.call(get("/count", "Transfer-Encoding: chunked", method="POST"))
    tracemalloc.start()
    try:
        for _ in range(200):
            caller.send(b"2\r\nab\r\n" * 1000)
            await caller.writer.drain()
        caller.send(b"0\r\n\r\n")
        assert (await caller.reply()).body == b"400000"
    finally:
        tracemalloc.stop()
    assert taken[0] < 4_000_000


async def test_who_comes_when_it_is_crowded_does_not_stay(open_house: Callable[..., Any]) -> None:
    """Clients that pool their connections would keep it crowded for ever."""
    house = await open_house(connections=2)
    one, two = await house.call(get("/")), await house.call(get("/"))
    await aeventually(lambda: house.server.connections < 2)
    again = [each for each in (one, two) if (await each.reply()).headers.get("connection") != "close"]
    for each in again:
        each.send(get("/"))
        assert (await each.reply()).status == 200


async def test_requests_sent_ahead_do_not_hold_up_others(open_house: Callable[..., Any]) -> None:
    house = await open_house()
    ahead, other = await house.call(get("/first")), await house.call(get("/first"))
    for each in (ahead, other):
        assert (await each.reply()).status == 200
    ahead.send(get("/ahead") * 5000)
    other.send(get("/other"))
    assert (await other.reply()).json()["path"] == "/other"
    assert len(house.site.asked) < 4000
    for _ in range(5000):
        assert (await ahead.reply()).json()["path"] == "/ahead"


@pytest.mark.parametrize("size", [1, 5_000_000])
@pytest.mark.parametrize("requests", [1, 2])
async def test_a_client_that_only_says_that_it_has_no_more_to_ask_gets_its_replies(
    open_house: Callable[..., Any], requests: int, size: int
) -> None:
    house = await open_house()
    opened = asyncio.Event()

    async def slow(head: RequestHead, body: bytes) -> WireResponse:
        await opened.wait()
        return WireResponse(status=200, body=b"x" * size)

    house.site.answers["/slow"] = slow
    caller = await house.call(get("/slow") * requests)
    caller.writer.write_eof()
    await aeventually(lambda: house.site.asked)
    for _ in range(20):
        await asyncio.sleep(0)  # it is read that nothing more comes
    opened.set()
    for _ in range(requests):
        assert (await caller.reply()).body == b"x" * size
    assert await caller.rest() == b""
    await aeventually(lambda: house.server.connections == 0)


@pytest.mark.parametrize("data", [b"", b"GET / HT", get("/", "Content-Length: 5", method="POST") + b"abc"])
async def test_a_client_that_leaves_before_it_has_asked(open_house: Callable[..., Any], data: bytes) -> None:
    house = await open_house()
    caller = await house.call(data)
    caller.writer.write_eof()
    assert await caller.rest() == b""
    await aeventually(lambda: house.server.connections == 0)
    assert not house.site.asked


async def test_a_live_reader_that_has_said_goodbye_is_gone(open_house: Callable[..., Any]) -> None:
    """A socket that was closed says no more than that, and its slot is wanted."""
    house = await open_house()
    house.site.answers["/poll"] = never
    caller = await house.call(get("/poll?slot"))
    await aeventually(lambda: house.site.slots.taken == 1)
    caller.writer.write_eof()
    await aeventually(lambda: house.site.slots.taken == 0)
    assert house.site.cancelled == 1
    await aeventually(lambda: house.server.connections == 0)


@pytest.mark.parametrize("how", ["fails", "is cut"])
async def test_half_a_reply_that_only_its_end_could_end_is_not_taken_for_whole(
    open_house: Callable[..., Any], how: str
) -> None:
    house = await open_house()

    async def live(head: RequestHead, body: bytes) -> WireResponse:
        async def frames() -> AsyncIterator[bytes]:
            yield b"half"
            if how == "fails":
                raise StreamsUnavailable("gone")
            await asyncio.Event().wait()

        return WireResponse(status=200, body=frames())

    house.site.answers["/live"] = live
    caller = await house.call(b"GET /live HTTP/1.0\r\n\r\n")
    await aeventually(lambda: house.site.asked)
    if how == "is cut":
        await caller.reader.readuntil(b"half")
        house.server.cut()
    with pytest.raises(ConnectionResetError):
        await caller.rest()


async def test_an_old_client_is_not_told_to_continue(open_house: Callable[..., Any]) -> None:
    caller = await (await open_house()).call(
        b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"
    )
    assert (await caller.reply()).status == 200


async def test_who_was_just_let_in_does_not_delay_the_stop(open_house: Callable[..., Any]) -> None:
    """The loop has accepted the connection, and tells of it after ``aclose`` has looked at all there are."""
    house = await open_house()
    house.site.answers["/never"] = never
    await house.call(get("/never"))
    await aeventually(lambda: house.site.asked)
    stopping = asyncio.create_task(house.server.aclose(grace=1.0))
    await aeventually(lambda: house.server.stopping)
    near, far = socket.socketpair()
    with near:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: Connection(house.server), far)
        await aeventually(lambda: house.server.connections == 1)
        assert not stopping.done()
    await stopping


@pytest.mark.parametrize("data", [b"GARBAGE\r\n\r\n", get("/large"), get("/large") + b"GARBAGE\r\n\r\n"])
async def test_a_client_that_does_not_wait_for_its_reply_is_no_error(
    open_house: Callable[..., Any], caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    house = await open_house()

    async def large(head: RequestHead, body: bytes) -> WireResponse:
        return WireResponse(status=200, body=b"x" * 5_000_000)

    house.site.answers["/large"] = large
    with socket.create_connection(("127.0.0.1", house.port)) as client:
        client.sendall(data)
    await aeventually(lambda: house.server.connections == 1, interval=0)
    await aeventually(lambda: house.server.connections == 0)
    assert caplog.text == ""
