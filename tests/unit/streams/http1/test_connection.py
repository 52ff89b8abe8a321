"""HTTP/1.1 on real sockets: framing, order, patience, and what is left of a connection when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.http1 import TestSite, get, never
from tests.support.waiting import aeventually
from webapp.streams.limits import Slots, SlotsExhausted
from webapp.streams.protocol.errors import StreamsUnavailable
from webapp.streams.wire import RequestHead, WireResponse


async def test_a_reply_is_whole_and_the_connection_goes_on(open_house: Callable[..., Any]) -> None:
    caller = await (await open_house()).call()
    for number in range(3):
        caller.send(get(f"/a%20b/{number}?x=%41&y", "X-Ask: one", "X-Ask: two", method="POST", body=b"hello"))
        reply = await caller.reply()
        assert reply.status == 200
        assert reply.json() == {
            "method": "POST",
            "path": f"/a%20b/{number}",
            "query": "x=%41&y",
            "body": "hello",
        }
        assert reply.headers["x-asked"] == "one, two"
        assert reply.headers["x-site"] == "test"
        assert reply.headers["date"].endswith("GMT")


async def test_a_request_may_come_in_any_pieces(open_house: Callable[..., Any]) -> None:
    house = await open_house()
    whole = get("/pieces", method="PUT", body=b"0123456789")
    for at in range(1, len(whole)):
        caller = await house.call(whole[:at])
        await asyncio.sleep(0)
        caller.send(whole[at:])
        assert (await caller.reply()).json()["body"] == "0123456789"
        await caller.hang_up()


async def test_a_chunked_body(open_house: Callable[..., Any]) -> None:
    caller = await (await open_house()).call(
        get("/", "Transfer-Encoding: chunked", method="POST")
        + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"
        + get("/2")
    )
    assert (await caller.reply()).json()["body"] == "abcdefg"
    assert (await caller.reply()).json()["path"] == "/2"


async def test_requests_sent_ahead_are_answered_in_their_order(open_house: Callable[..., Any]) -> None:
    house = await open_house()
    opened = asyncio.Event()

    async def slow(head: RequestHead, body: bytes) -> WireResponse:
        await opened.wait()
        return WireResponse(status=204)

    house.site.answers["/0"] = slow
    caller = await house.call(b"".join(get(f"/{number}") for number in range(50)))
    await aeventually(lambda: house.site.asked)
    assert house.site.asked == [("GET", "/0")]  # one at a time
    opened.set()
    assert (await caller.reply()).status == 204
    for number in range(1, 50):
        assert (await caller.reply()).json()["path"] == f"/{number}"


async def test_head_and_bodyless_replies(open_house: Callable[..., Any]) -> None:
    house = await open_house()

    async def unchanged(head: RequestHead, body: bytes) -> WireResponse:
        return WireResponse(status=304)

    house.site.answers["/304"] = unchanged
    caller = await house.call(get("/", method="HEAD") + get("/304") + get("/last"))
    for _ in range(2):
        reply = await caller.reply()
        assert "content-length" not in reply.headers
        assert "transfer-encoding" not in reply.headers
    assert (await caller.reply()).json()["path"] == "/last"


@pytest.mark.parametrize(
    "request_line", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
)
async def test_a_client_that_wants_no_more(open_house: Callable[..., Any], request_line: bytes) -> None:
    caller = await (await open_house()).call(request_line)
    assert (await caller.reply()).headers["connection"] == "close"
    assert await caller.rest() == b""


async def test_a_live_body_is_chunked_frame_by_frame(open_house: Callable[..., Any]) -> None:
    house = await open_house()
    large = b"x" * 300_000

    async def live(head: RequestHead, body: bytes) -> WireResponse:
        async def frames() -> AsyncIterator[bytes]:
            for frame in (b"one", large, b"three"):
                yield frame

        return WireResponse(status=200, body=frames())

    house.site.answers["/live"] = live
    caller = await house.call(get("/live") + get("/after"))
    head = await caller.reader.readuntil(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    for frame in (b"one", large, b"three"):
        assert int(await caller.reader.readuntil(b"\r\n"), 16) == len(frame)
        assert await caller.reader.readexactly(len(frame) + 2) == frame + b"\r\n"
    assert await caller.reader.readexactly(5) == b"0\r\n\r\n"
    assert (await caller.reply()).json()["path"] == "/after"
    old = await house.call(b"GET /live HTTP/1.0\r\n\r\n")
    assert (await old.rest()).endswith(b"\r\n\r\none" + large + b"three")


async def test_a_large_body_arrives_whole(open_house: Callable[..., Any]) -> None:
    house = await open_house()
    body = bytes(range(256)) * 20_000

    async def large(head: RequestHead, _: bytes) -> WireResponse:
        return WireResponse(status=200, body=body)

    house.site.answers["/large"] = large
    caller = await house.call(get("/large") + get("/after"))
    assert (await caller.reply()).body == body
    assert (await caller.reply()).json()["path"] == "/after"


async def test_half_a_live_body_is_not_taken_for_whole(open_house: Callable[..., Any]) -> None:
    house = await open_house()

    async def live(head: RequestHead, body: bytes) -> WireResponse:
        async def frames() -> AsyncIterator[bytes]:
            yield b"half"
            raise StreamsUnavailable("gone")

        return WireResponse(status=200, body=frames())

    house.site.answers["/live"] = live
    caller = await house.call(get("/live"))
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await caller.reader.readuntil(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded: c\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_what_is_no_request_is_refused_and_hung_up_on(
    open_house: Callable[..., Any], data: bytes, status: int
) -> None:
    house = await open_house()
    caller = await house.call(get("/before") + data + get("/after"))
    assert (await caller.reply()).status == 200
    reply = await caller.reply()
    assert (reply.status, reply.headers["connection"]) == (status, "close")
    assert set(reply.json()) == {"error", "code"}
    assert await caller.rest() == b""
    assert house.site.asked == [("GET", "/before")]


async def test_a_refusal_that_needs_no_body_keeps_the_connection_if_the_body_is_small(
    open_house: Callable[..., Any],
) -> None:
    house = await open_house()
    caller = await house.call(get("/early", method="POST", body=b"x" * 1000) + get("/after"))
    assert (await caller.reply()).status == 400
    assert (await caller.reply()).json()["path"] == "/after"
    assert house.site.asked == [("GET", "/after")]


@pytest.mark.parametrize("framing", ["Content-Length: 20000000", "Transfer-Encoding: chunked"])
async def test_who_still_sends_sees_why_they_were_refused(
    open_house: Callable[..., Any], framing: str
) -> None:
    house = await open_house(TestSite(max_append_bytes=1_000_000))
    caller = await house.call(get("/", framing, method="POST"))
    chunk = b"x" * 100_000 if "Length" in framing else b"186a0\r\n" + b"x" * 100_000 + b"\r\n"

    async def keep_sending() -> None:
        for _ in range(200):
            caller.send(chunk)
            await caller.writer.drain()

    sending = asyncio.create_task(keep_sending())
    assert (await caller.reply()).status == 413
    await caller.hang_up()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert not house.site.asked
    await aeventually(lambda: house.server.connections == 0)


async def test_continue_is_said_to_those_who_wait_for_it(open_house: Callable[..., Any]) -> None:
    house = await open_house()
    caller = await house.call(get("/", "Expect: 100-continue", "Content-Length: 3", method="POST"))
    assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    caller.send(b"abc")
    assert (await caller.reply()).json()["body"] == "abc"
    refused = await house.call(get("/", "Expect: 100-continue", "Content-Length: 999999999", method="POST"))
    assert (await refused.reply()).status == 413


async def test_an_upgrade_is_answered_as_if_nobody_had_asked(open_house: Callable[..., Any]) -> None:
    caller = await (await open_house()).call(get("/x", "Connection: Upgrade", "Upgrade: h2c") + b"PRI * ")
    reply = await caller.reply()
    assert (reply.status, reply.headers["connection"]) == (200, "close")
    assert await caller.rest() == b""


async def test_an_error_of_ours_is_a_500_and_no_secret(
    open_house: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    house = await open_house()

    async def fail(head: RequestHead, body: bytes) -> WireResponse:
        raise ZeroDivisionError("a secret")

    async def smuggle(head: RequestHead, body: bytes) -> WireResponse:
        return WireResponse(status=200, headers=(("X-Evil", "a\r\nSet-Cookie: b"),))

    house.site.answers |= {"/fail": fail, "/smuggle": smuggle}
    caller = await house.call(get("/fail") + get("/after"))
    reply = await caller.reply()
    assert (reply.status, reply.json()["code"]) == (500, "internal")
    assert b"secret" not in reply.body
    assert (await caller.reply()).status == 200
    smuggled = await house.call(get("/smuggle"))
    assert await smuggled.rest() == b""  # cut: nothing of it was sent
    assert "ZeroDivisionError" in caplog.text


async def test_a_client_that_hangs_up_cancels_the_wait_and_frees_the_slot(
    open_house: Callable[..., Any],
) -> None:
    house = await open_house()
    house.site.answers["/poll"] = never
    caller = await house.call(get("/poll?slot"))
    await aeventually(lambda: house.site.slots.taken == 1)
    await caller.hang_up()
    await aeventually(lambda: house.site.slots.taken == 0)
    assert house.site.cancelled == 1
    assert house.server.connections == 0


async def test_no_slot_no_reply(open_house: Callable[..., Any]) -> None:
    house = await open_house()
    house.site.slots = Slots(per_stream=0)
    with pytest.raises(SlotsExhausted):
        house.site.slots.claim("a", "b")
    reply = await (await house.call(get("/?slot"))).reply()
    assert (reply.status, reply.json()["code"]) == (429, "too-many-readers")


async def test_more_connections_than_there_may_be(open_house: Callable[..., Any]) -> None:
    house = await open_house(connections=2)
    one = await house.call(get("/"))
    assert (await one.reply()).status == 200
    two = await house.call(get("/"))
    assert (await two.reply()).status == 503
    await two.hang_up()
    await aeventually(lambda: house.server.connections == 1)
    one.send(get("/"))
    assert (await one.reply()).status == 200


@pytest.mark.parametrize("began", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nX-Slow: "])
async def test_a_head_that_does_not_come(open_house: Callable[..., Any], began: bytes) -> None:
    house = await open_house(head_timeout=0.1)
    assert await (await house.call(began)).rest() == b""
    assert house.server.connections == 0


async def test_a_body_that_does_not_come(open_house: Callable[..., Any]) -> None:
    house = await open_house(TestSite(body_timeout=0.1))
    caller = await house.call(get("/", "Content-Length: 5", method="POST") + b"abc")
    assert (await caller.reply()).status == 408
    await caller.hang_up()
    await aeventually(lambda: house.server.connections == 0)
    assert not house.site.asked


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(open_house: Callable[..., Any]) -> None:
    house = await open_house(keep_alive=0.1, head_timeout=0.1)
    opened = asyncio.Event()

    async def slow(head: RequestHead, body: bytes) -> WireResponse:
        await opened.wait()
        return WireResponse(status=204)

    house.site.answers["/slow"] = slow
    busy = await house.call(get("/slow"))
    idle = await house.call(get("/"))
    assert (await idle.reply()).status == 200
    assert await idle.rest() == b""
    assert house.server.connections == 1
    opened.set()
    assert (await busy.reply()).status == 204


async def test_stopping_lets_replies_end_and_takes_no_more(open_house: Callable[..., Any]) -> None:
    house = await open_house()
    opened = asyncio.Event()

    async def slow(head: RequestHead, body: bytes) -> WireResponse:
        await opened.wait()
        return WireResponse(status=204)

    house.site.answers |= {"/slow": slow, "/never": never}
    idle, busy, stuck = [await house.call(get(path)) for path in ("/", "/slow", "/never")]
    await aeventually(lambda: len(house.site.asked) == 3)
    assert (await idle.reply()).status == 200
    stopping = asyncio.create_task(house.server.aclose(grace=1.0))
    assert await idle.rest() == b""
    opened.set()
    reply = await busy.reply()
    assert (reply.status, reply.headers["connection"]) == (204, "close")
    with pytest.raises(ConnectionRefusedError):
        await house.call()
    await stopping
    assert house.site.cancelled == 1  # what did not end in time was cut
    assert house.server.connections == 0
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await stuck.reply()
