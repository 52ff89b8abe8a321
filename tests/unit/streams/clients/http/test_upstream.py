"""Requests and refusals, against a transport that says what it is told to say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
import pytest

from webapp.streams.clients.base import (
    InvalidRequest,
    PayloadTooLarge,
    ProducerTuple,
    SequenceGap,
    StaleEpoch,
    StreamClosed,
    StreamConflict,
    StreamError,
    StreamGone,
    StreamNotFound,
    StreamsUnavailable,
)
from webapp.streams.clients.http import HttpStreamClient, Patience
from webapp.streams.wire import WireRequest

READ, WRITE = "read-token-secret", "write-token-secret"
UPSTREAM_TEXT = "upstream-text"
OK = {"Stream-Next-Offset": "7", "Content-Type": "application/json"}
PRODUCER = ProducerTuple("p", 2, 5)


class Scripted(httpx.AsyncBaseTransport):
    """Answers with ``answers`` in turn, the last one for ever; an exception is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        stream = httpx.ByteStream(answer.content)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream)


class Waits(list[float]):
    """A sleep that only notes for how long."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client_of(transport: Scripted, waits: Waits | None = None, **options: Any) -> HttpStreamClient:
    return HttpStreamClient(
        "http://upstream:4437/v1/stream/",
        read_token=READ,
        write_token=WRITE,
        rng=Random(1),
        sleep=Waits() if waits is None else waits,
        transport=transport,
        **options,
    )


def answer(status: int, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, headers=headers or {}, content=UPSTREAM_TEXT.encode())


@pytest.mark.parametrize(
    ("reply", "kind", "data"),
    [
        (answer(400), InvalidRequest, {}),
        (answer(403, {"Producer-Epoch": "9"}), StaleEpoch, {"current_epoch": 9}),
        (answer(404), StreamNotFound, {}),
        (answer(409), StreamConflict, {}),
        (answer(409, {"Stream-Closed": "true", "Stream-Next-Offset": "12"}), StreamClosed, {"tail": "12"}),
        (answer(409, {"Producer-Expected-Seq": "3", "Producer-Received-Seq": "5"}), SequenceGap,
         {"expected": 3, "received": 5}),
        (answer(410), StreamGone, {}),
        (answer(413), PayloadTooLarge, {}),
        (answer(401), StreamsUnavailable, {}),
        (answer(403), StreamsUnavailable, {}),
        (answer(301, {"Location": "http://evil.example/"}), StreamsUnavailable, {}),
        (answer(418), StreamsUnavailable, {}),
        (answer(503, {"Retry-After": "17"}), StreamsUnavailable, {"retry_after": 17.0}),
        (answer(200), StreamsUnavailable, {}),
        (httpx.Response(200, headers={**OK, "Content-Encoding": "gzip"}), StreamsUnavailable, {}),
    ],
)  # fmt: skip
async def test_refusals_are_types_with_their_data(
    reply: httpx.Response, kind: type[StreamError], data: dict[str, object]
) -> None:
    transport = Scripted(reply)
    client = client_of(transport)
    with pytest.raises(StreamError) as refused:
        await client.append("s", [b"1"], producer=PRODUCER)
    assert type(refused.value) is kind or issubclass(type(refused.value), kind)
    assert {name: getattr(refused.value, name) for name in data} == data
    assert UPSTREAM_TEXT not in str(refused.value)
    assert all(str(request.url).startswith("http://upstream:4437") for request in transport.requests)
    await client.aclose()


PASSING = [
    answer(429, {"Retry-After": "1"}),
    answer(502),
    answer(503, {"Retry-After": "1", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}),
    httpx.ReadError("cut"),
    httpx.RemoteProtocolError("cut"),
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
]


@pytest.mark.parametrize("trouble", PASSING)
async def test_a_producers_append_is_repeated_as_it_was(trouble: httpx.Response | Exception) -> None:
    transport, waits = Scripted(trouble, trouble, httpx.Response(200, headers=OK)), Waits()
    client = client_of(transport, waits)
    receipt = await client.append("s", [b"1", b"[2]"], producer=PRODUCER)
    assert (receipt.offset, receipt.duplicate) == ("7", False)
    assert len(transport.requests) == 3
    for request in transport.requests:
        assert request.content == b"[1,[2]]"
        assert [request.headers[f"producer-{name}"] for name in ("id", "epoch", "seq")] == ["p", "2", "5"]
    asked = isinstance(trouble, httpx.Response) and "Retry-After" in trouble.headers
    assert min(waits) >= (1.0 if asked else 0.0)
    await client.aclose()


@pytest.mark.parametrize(("trouble", "tries"), list(zip(PASSING, [3, 1, 1, 1, 1, 3, 1], strict=True)))
async def test_without_a_producer_only_what_was_not_done_is_repeated(
    trouble: httpx.Response | Exception, tries: int
) -> None:
    transport = Scripted(trouble)
    client = client_of(transport)
    with pytest.raises(StreamsUnavailable):
        await client.append("s", [b"1"])
    assert len(transport.requests) == tries
    await client.aclose()


async def test_a_long_retry_after_is_for_the_caller_to_wait() -> None:
    transport, waits = Scripted(answer(503, {"Retry-After": "60"})), Waits()
    client = client_of(transport, waits)
    with pytest.raises(StreamsUnavailable) as unavailable:
        await client.ensure("s")
    assert (unavailable.value.retry_after, waits, len(transport.requests)) == (60.0, [], 1)
    await client.aclose()


async def test_a_delete_that_was_done_at_the_first_try_is_done() -> None:
    client = client_of(Scripted(httpx.ReadError("cut"), answer(404)))
    await client.delete("s")
    with pytest.raises(StreamNotFound):
        await client.delete("s")
    await client.aclose()


async def test_a_fork_names_its_source_by_path_and_its_beginning_by_a_real_offset() -> None:
    transport = Scripted(httpx.Response(201, headers=OK))
    client = client_of(transport)
    assert await client.fork("a/b", "c", offset="-1", sub_offset=2) == "7"
    (request,) = transport.requests
    assert request.headers["stream-forked-from"] == "/v1/stream/a/b"
    assert request.headers["stream-fork-offset"] == "0000000000000000_0000000000000000"
    assert request.headers["stream-fork-sub-offset"] == "2"
    await client.aclose()


async def test_duplicates_without_an_offset_are_looked_up() -> None:
    transport = Scripted(httpx.Response(204), httpx.Response(200, headers=OK))
    client = client_of(transport)
    receipt = await client.append("s", [b"1"], producer=PRODUCER)
    assert (receipt.offset, receipt.duplicate) == ("7", True)
    assert [request.method for request in transport.requests] == ["POST", "HEAD"]
    await client.aclose()


@pytest.mark.parametrize("body", [b"{}", b"[1", b"<html>", b"[NaN]"])
async def test_what_is_not_json_is_no_page(body: bytes) -> None:
    client = client_of(Scripted(httpx.Response(200, headers=OK, content=body)))
    with pytest.raises(StreamsUnavailable):
        await client.read("s")
    await client.aclose()


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("chats/a-b_c", "/v1/stream/chats/a-b_c"),
        ("a%2Fb%20c", "/v1/stream/a%2Fb%20c"),
        ("a b?c#d", "/v1/stream/a%20b%3Fc%23d"),
        ("x|y'z", "/v1/stream/x|y'z"),
        ("é", "/v1/stream/%C3%A9"),
    ],
)
async def test_paths_go_out_as_they_are(path: str, target: str) -> None:
    transport = Scripted(httpx.Response(200, headers=OK, content=b"[]"))
    client = client_of(transport)
    await client.read(path, offset="0&b")
    assert transport.requests[0].extensions["target"] == f"{target}?offset=0%26b".encode()
    await client.aclose()


async def test_reserved_paths_are_not_found_and_go_nowhere() -> None:
    transport = Scripted(answer(200))
    client = client_of(transport)
    with pytest.raises(StreamNotFound):
        await client.ensure("__ds/x")
    assert (await client.forward(WireRequest(method="GET", path="__ds/x"))).status == 404
    assert not transport.requests
    await client.aclose()


@pytest.mark.parametrize("path", ["", "../x", "a//b", "a%0d%0ab", "a\r\nb"])
async def test_bad_paths_go_nowhere(path: str) -> None:
    transport = Scripted(answer(200))
    client = client_of(transport)
    with pytest.raises(InvalidRequest):
        await client.ensure(path)
    assert (await client.forward(WireRequest(method="GET", path=path))).status == 400
    assert not transport.requests
    await client.aclose()


@pytest.mark.parametrize(
    "make",
    [
        lambda: HttpStreamClient("ftp://host/v1"),
        lambda: HttpStreamClient("http:///v1"),
        lambda: HttpStreamClient("http://host:port/v1"),
        lambda: HttpStreamClient(f"http://user:{WRITE}@host/v1"),
        lambda: HttpStreamClient("http://host/v1", write_token=f"{WRITE}\r\nX: y"),
    ],
)
def test_bad_addresses_and_tokens_are_refused_without_being_told(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the type is the contract, the text must not be
        make()
    assert WRITE not in str(refused.value)


async def test_tokens_are_sent_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    transport = Scripted(httpx.Response(200, headers=OK, content=b"[]"))
    client = client_of(transport)
    await client.ensure("s")
    await client.read("s")
    assert [request.headers["authorization"] for request in transport.requests] == [
        f"Bearer {WRITE}",
        f"Bearer {READ}",
    ]
    transport.answers = [httpx.ReadError("cut")]
    with pytest.raises(StreamsUnavailable) as trouble:
        await client.read("s")
    error: BaseException | None = trouble.value
    assert error is not None
    assert error.__cause__ is None
    assert error.__suppress_context__
    shown = caplog.text + repr(client) + repr(vars(client)) + repr(trouble.value)
    assert READ not in shown
    assert WRITE not in shown
    await client.aclose()


async def test_replies_that_never_end_are_not_read_to_the_end() -> None:
    huge = httpx.Response(200, headers=OK, content=b"[" + b"1," * 1000)
    client = client_of(Scripted(huge), patience=Patience(max_reply=100))
    with pytest.raises(StreamsUnavailable):
        await client.read("s")
    await client.aclose()


async def test_after_closing_nothing_is_asked() -> None:
    transport = Scripted(answer(200))
    client = client_of(transport)
    await client.aclose()
    with pytest.raises(StreamsUnavailable):
        await client.read("s")
    assert not transport.requests


async def test_only_the_protocol_passes() -> None:
    reply = httpx.Response(
        200,
        headers={**OK, "Set-Cookie": "a=b", "Location": "x", "Server": "y", "ETag": '"t"'},
        content=b"[]",
    )
    transport = Scripted(reply)
    client = client_of(transport)
    request = WireRequest(
        method="GET",
        path="s",
        query=(("offset", "-1"), ("secret", "1")),
        headers={"if-none-match": '"t"', "cookie": "c", "authorization": "Bearer other"},
    )
    passed = await client.forward(request)
    assert {name for name, _ in passed.headers} == {"Stream-Next-Offset", "Content-Type", "ETag"}
    (sent,) = transport.requests
    assert sent.extensions["target"] == b"/v1/stream/s?offset=-1"
    assert sent.headers["authorization"] == f"Bearer {READ}"
    assert sent.headers["if-none-match"] == '"t"'
    assert sent.headers["accept-encoding"] == "identity"
    assert "cookie" not in sent.headers
    assert (await client.forward(WireRequest(method="POST", path="s"))).status == 405
    await client.aclose()
