"""Our own stream server for others: mounted only if a token is configured, and then only for bearers."""

from __future__ import annotations

from typing import Any

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from webapp.settings import StreamSettings
from webapp.streams.asgi import StreamsApp
from webapp.streams.limits import Slots
from webapp.streams.service import ANYONE, StreamsService
from webapp.web.guards import ANY_HOST
from webapp.web.security import STREAM_MOUNT
from webapp.web.services import provide_services
from webapp.web.stream_tokens import StreamTokens


def stream_mount(settings: StreamSettings) -> list[ASGIRouteHandler]:
    """The handler of ``/v1/stream``, or nothing: without a token, or with the streams elsewhere."""
    tokens = StreamTokens.of(settings)
    if settings.url or not tokens:
        return []
    slots = Slots(per_principal=ANYONE, per_stream=ANYONE)

    @asgi(STREAM_MOUNT, is_mount=True, copy_scope=True, opt={ANY_HOST: True})
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        engine = provide_services(scope["litestar_app"].state).engine
        assert engine is not None
        # Two spellings of the same ASGI types: Litestar's are narrower.
        app: Any = StreamsApp(StreamsService(engine, base_path=STREAM_MOUNT, slots=slots, admit=tokens.admit))
        await app(scope, receive, send)

    return [streams]
