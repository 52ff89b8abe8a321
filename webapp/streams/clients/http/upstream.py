"""One stream server over HTTP: requests out, replies in, refusals as types.

Owns the connections, the tokens, time-outs and repeated tries. Knows the protocol's status codes and nothing
of pages or readers. Tokens and headers are in no repr, no error and no log line; text of the server is in no
error.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import TypeVar
from urllib.parse import quote, urlencode

import httpx

from webapp.streams.clients.http.patience import Patience
from webapp.streams.clients.http.refusals import Reply, Transient, refusal
from webapp.streams.protocol import paths
from webapp.streams.protocol.errors import StreamsUnavailable

T = TypeVar("T")

_TOKEN = re.compile(r"[!-~]*")
_NAME = re.compile(r"[A-Za-z0-9-]+")
_VALUE = re.compile(r"[ -~]*")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F))).translate({ord("?"): None, ord("#"): None})
_READS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request on a stream. ``pause`` is the longest silence in its reply, in seconds; None: the usual."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    pause: float | None = None


class Incoming:
    """A reply that is still arriving. Whoever opened it closes it, with ``aclose``."""

    def __init__(
        self, response: httpx.Response, see_through: Callable[[Coroutine[None, None, None]], Awaitable[None]]
    ) -> None:
        self._response = response
        self._see_through = see_through
        self._pieces = response.aiter_raw()
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    async def read(self) -> bytes:
        """The next piece of the body, ``b""`` at its end. Raises Transient if it is cut or pauses."""
        try:
            return await anext(self._pieces, b"")
        except httpx.TransportError as error:
            raise _trouble(error) from None

    async def aclose(self) -> None:
        await self._see_through(self._response.aclose())


class Upstream:
    """The stream server at ``base_url`` (scheme, host, path: ``http://host:4437/v1/stream``).

    ``headers`` go with every request. Raises ValueError for a base URL, token or header that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        read_token: str = "",
        write_token: str = "",
        headers: Mapping[str, str] | None = None,
        patience: Patience,
        rng: Random,
        sleep: Callable[[float], Awaitable[None]],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not _TOKEN.fullmatch(read_token) or not _TOKEN.fullmatch(write_token):
            raise ValueError("A token is one word of printable ASCII.")
        self._origin, self._base_path = paths.split_base(base_url)
        self._tokens = {"read": read_token or write_token, "write": write_token}
        self._headers = dict(headers or {})
        if not all(_NAME.fullmatch(name) and _VALUE.fullmatch(self._headers[name]) for name in self._headers):
            raise ValueError("A header has a name of letters, digits and hyphens, and a printable value.")
        self._patience = patience
        self._rng = rng
        self._sleep = sleep
        self._closing: set[asyncio.Task[None]] = set()
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=_trusted(),
            follow_redirects=False,
            trust_env=False,
            # Live reads hold a connection each, so a bound on connections would be one on readers; and a
            # connection is given up before the server does, or a request would meet its end.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=4.0),
            timeout=httpx.Timeout(patience.reply, connect=patience.connect, pool=None),
        )

    def url_path(self, path: str) -> str:
        """The path of a stream's URL. Raises InvalidRequest if ``path`` may not name one."""
        return f"{self._base_path}/{quote(paths.check(path), safe=_PRINTABLE)}"

    @asynccontextmanager
    async def opened(self, call: Call) -> AsyncIterator[Incoming]:
        """The reply as it arrives, whatever its status. Raises Transient if there is none."""
        incoming = await self.open(call)
        try:
            yield incoming
        finally:
            await incoming.aclose()

    async def open(self, call: Call) -> Incoming:
        """``opened`` for replies that outlive the block; the caller closes them."""
        request = self._request(call)
        if self._http.is_closed:
            raise StreamsUnavailable("The connections to the stream server are closed.")
        try:
            response = await self._http.send(request, stream=True)
        except httpx.TransportError as error:
            raise _trouble(error) from None
        incoming = Incoming(response, self._see_through)
        if incoming.headers.get("content-encoding", "identity") != "identity":
            await incoming.aclose()
            raise StreamsUnavailable("The stream server compressed a reply that was not to be compressed.")
        return incoming

    async def ask(self, call: Call) -> Reply:
        """The whole reply, whatever its status, after one try. Raises Transient or StreamsUnavailable."""
        async with self.opened(call) as incoming:
            body = bytearray()
            while piece := await incoming.read():
                body += piece
                if len(body) > self._patience.max_reply:
                    raise StreamsUnavailable("The stream server sent more than can be taken at once.")
        return Reply(status=incoming.status, headers=incoming.headers, body=bytes(body))

    async def call(self, call: Call, *, repeatable: bool = True) -> Reply:
        """A reply that is not a refusal. Raises what the server refuses with as the types of
        ``protocol.errors``.

        What is not ``repeatable`` is tried again only if the server has certainly not done it.
        """

        async def once() -> Reply:
            reply = await self.ask(call)
            if not 200 <= reply.status < 300:
                raise refusal(reply)
            return reply

        return await self.patiently(once, repeatable=repeatable)

    async def patiently(self, once: Callable[[], Awaitable[T]], *, repeatable: bool = True) -> T:
        """What ``once`` returns, tried as often as patience allows."""
        clock = asyncio.get_running_loop().time
        ends = clock() + self._patience.total
        retry = self._patience.retry
        for attempt in range(1, retry.attempts):
            try:
                return await once()
            except Transient as trouble:
                if not (repeatable or trouble.undone):
                    raise
                delay = retry.delay(attempt, floor=trouble.retry_after, rng=self._rng)
                if clock() + delay > ends:
                    raise
                await self._sleep(delay)
        return await once()

    async def aclose(self) -> None:
        """Close every connection, also those of replies that are still arriving."""
        while self._closing:
            await asyncio.wait(self._closing)
        await self._http.aclose()

    def _request(self, call: Call) -> httpx.Request:
        target = self.url_path(call.path)
        if call.query:
            target += f"?{urlencode(call.query)}"
        headers = {**self._headers, "Accept": "*/*", "Accept-Encoding": "identity", **call.headers}
        token = self._tokens["read" if call.method in _READS else "write"]
        if token:
            headers["Authorization"] = f"Bearer {token}"
        timeout = self._http.timeout.as_dict()
        if call.pause is not None:
            timeout["read"] = call.pause
        # As ``target`` the path goes out byte for byte: a URL would be normalised, and name another stream.
        return self._http.build_request(
            call.method,
            self._origin,
            headers=headers,
            content=call.body or None,
            extensions={"target": target.encode("latin-1"), "timeout": timeout},
        )

    async def _see_through(self, work: Coroutine[None, None, None]) -> None:
        """Do ``work`` to its end even if the caller is cancelled meanwhile: a reply that is half closed keeps
        its connection for ever.
        """
        closing = asyncio.create_task(work)
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        await asyncio.shield(closing)


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted. Reading them takes longer than all the rest of making a client."""
    return httpx.create_ssl_context(trust_env=False)


def _trouble(error: Exception) -> Transient:
    """Trouble on the way, without the exception that tells it: that one carries the request and its token."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Transient("The stream server cannot be reached.", undone=True)
    if isinstance(error, httpx.TimeoutException):
        return Transient("The stream server takes too long to answer.")
    return Transient("The connection to the stream server was lost.")
