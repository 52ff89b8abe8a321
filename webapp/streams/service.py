"""The stream server as others reach it, whatever carries the bytes: below a base path, perhaps behind tokens.

Owns what a public address adds to the engine: who is admitted, how large a body may be, slots of live reads,
headers for browsers. Must not know sockets or ASGI; ``http1`` and ``asgi`` carry it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from urllib.parse import parse_qsl

from msgspec import structs

from webapp.streams.engine import Engine
from webapp.streams.limits import Scope, Slot, Slots, SlotsExhausted
from webapp.streams.protocol import names, paths, replies
from webapp.streams.protocol.errors import (
    InvalidRequest,
    PayloadTooLarge,
    RequestTimeout,
    StreamError,
    StreamNotFound,
    Unauthorised,
)
from webapp.streams.wire import Headers, RequestHead, WireRequest, WireResponse

ANYONE = 1000
"""Live reads of one address, and of one stream: readers of a stream server are mostly other servers."""

MAX_PARAMETERS = 32


class StreamsService:
    """The streams of ``engine`` at ``base_path``. Live reads of one client address share its slots.

    ``admit`` says by method and ``Authorization`` header whether a request is served. Open to every origin,
    because streams are addressed by unguessable paths or guarded by a token, which no browser adds by itself.
    """

    headers: Headers = (
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", ", ".join(names.EXPOSED_HEADERS)),
    )
    """Sent with every reply, whoever made it."""

    def __init__(
        self,
        engine: Engine,
        *,
        base_path: str = "/v1/stream",
        slots: Slots | None = None,
        admit: Callable[[str, str | None], bool] = lambda method, authorization: True,
    ) -> None:
        self.limits = engine.limits
        self.drain = engine.drain
        self._engine = engine
        self._base_path = base_path
        self._slots = slots or Slots(per_principal=ANYONE, per_stream=ANYONE)
        self._admit = admit

    def answer_early(self, head: RequestHead) -> WireResponse | None:
        """The reply that needs no body: to a browser's preflight, which has no token, or a refusal."""
        if head.method == "OPTIONS":
            return _PREFLIGHT
        if not self._admit(head.method, head.headers.get(_AUTHORIZATION)):
            return replies.refused(Unauthorised())
        announced = head.headers.get(_CONTENT_LENGTH, "0")
        honest = announced.isascii() and announced.isdigit()
        return None if honest and int(announced) <= self.limits.max_append_bytes else self.too_large()

    def too_large(self) -> WireResponse:
        """To a body that is, or says it is, larger than ``limits.max_append_bytes``."""
        return replies.refused(PayloadTooLarge(f"A body holds at most {self.limits.max_append_bytes} bytes."))

    def too_slow(self) -> WireResponse:
        """To a body that did not arrive within ``limits.body_timeout``."""
        return replies.refused(
            RequestTimeout(f"The body did not arrive within {self.limits.body_timeout:g} s.")
        )

    def claim(self, head: RequestHead) -> Slot | None:
        """The slot that a live read holds for as long as its reply lasts. Raises SlotsExhausted."""
        if head.method != "GET" or ("live" not in head.query and "%" not in head.query):
            return None
        try:
            if not any(item in _LIVE for item in _parameters(head)):
                return None
        except InvalidRequest:
            return None  # ``answer`` says so
        return self._slots.claim(head.client, paths.below(self._base_path, head.path) or "")

    async def answer(self, head: RequestHead, body: bytes) -> WireResponse:
        """What the engine replies, with ``Location`` where something was created."""
        try:
            request = self._request(head, body)
        except StreamError as refusal:
            return replies.refused(refusal)
        response = await self._engine.handle(request)
        if response.status == 201:
            url = f"{head.scheme}://{head.headers.get('host', '')}{head.path}"
            return structs.replace(response, headers=(*response.headers, (names.LOCATION, url)))
        return response

    def _request(self, head: RequestHead, body: bytes) -> WireRequest:
        path = paths.below(self._base_path, head.path)
        if path is None:
            raise StreamNotFound
        headers = head.headers
        source = headers.get(_FORKED_FROM)
        if source is not None:
            headers = {**headers, _FORKED_FROM: paths.below(self._base_path, source) or ""}
        return WireRequest(method=head.method, path=path, query=_parameters(head), headers=headers, body=body)


def too_many_readers(exhausted: SlotsExhausted) -> WireResponse:
    """To a live read that got no slot."""
    body = json.dumps({"error": str(exhausted), "code": "too-many-readers"})
    headers = ((names.CONTENT_TYPE, names.JSON), (names.RETRY_AFTER, str(math.ceil(exhausted.retry_after))))
    status = 503 if exhausted.scope is Scope.TOTAL else 429
    return WireResponse(status=status, headers=headers, body=body.encode())


_AUTHORIZATION = names.AUTHORIZATION.lower()
_CONTENT_LENGTH = "content-length"
_FORKED_FROM = names.STREAM_FORKED_FROM.lower()
_LIVE = ((names.QUERY_LIVE, names.LIVE_SSE), (names.QUERY_LIVE, names.LIVE_LONG_POLL))
_PREFLIGHT = WireResponse(
    status=204,
    headers=(
        ("Access-Control-Allow-Methods", replies.METHODS),
        ("Access-Control-Allow-Headers", ", ".join(names.REQUEST_HEADERS)),
        ("Access-Control-Max-Age", "86400"),
    ),
)


def _parameters(head: RequestHead) -> tuple[tuple[str, str], ...]:
    if not head.query:
        return ()
    try:
        return tuple(parse_qsl(head.query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS))
    except ValueError:
        raise InvalidRequest("There are too many parameters.") from None
