"""Our own stream server for others: mounted only if a token is configured, and then only for bearers."""

from __future__ import annotations

from typing import Any

from litestar import asgi
from litestar.handlers import ASGIRouteHandler, BaseRouteHandler
from litestar.types import Receive, Scope, Send

from webapp.chat.errors import Unauthorised
from webapp.settings import Secret, StreamSettings
from webapp.streams.asgi import StreamsApp
from webapp.web.guards import ANY_HOST, Connection, method_of
from webapp.web.identity import bearer_token
from webapp.web.security import STREAM_MOUNT
from webapp.web.services import provide_services

_READS = frozenset({"GET", "HEAD"})


def stream_mount(settings: StreamSettings) -> list[ASGIRouteHandler]:
    """The handler of ``/v1/stream``, or nothing, as without a token or with the streams elsewhere.

    The write token reads too; the read token only reads.
    """
    read, write = settings.server_read_token, settings.server_write_token
    if settings.url or not (read or write):
        return []

    async def bearer_only(connection: Connection, handler: BaseRouteHandler) -> None:
        token = Secret(bearer_token(connection.headers.get("authorization")) or "")
        accepted = [write, read] if method_of(connection) in _READS else [write]
        if not token or token not in accepted:
            raise Unauthorised("A token of this stream server is needed.")

    @asgi(STREAM_MOUNT, is_mount=True, copy_scope=True, guards=[bearer_only], opt={ANY_HOST: True})
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        engine = provide_services(scope["litestar_app"].state).engine
        assert engine is not None
        # Two spellings of the same ASGI types: Litestar's are narrower.
        app: Any = StreamsApp(engine, base_path=STREAM_MOUNT)
        await app(scope, receive, send)

    return [streams]
