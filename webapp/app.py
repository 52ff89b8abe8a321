"""The app factory: settings and seams in, a Litestar application out. Opens nothing; the lifespan does."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from webapp.agents.base import Agent
from webapp.agents.cast import Cast, Member
from webapp.assets import Assets, locate
from webapp.lifespan import Parts, open_services
from webapp.settings import Settings
from webapp.streams.clients.base import StreamClient
from webapp.streams.limits import Drain
from webapp.web import (
    api_chat,
    api_chat_runs,
    api_chat_stream,
    api_chat_ws,
    api_chats,
    api_forks,
    api_live,
    api_presence,
    api_search,
    api_shares,
    chat_list,
    debugging,
    decisions,
    health,
    lab,
    pages,
    people,
    shares,
    static_files,
)
from webapp.web.bodies import MAX_BODY_BYTES
from webapp.web.cookies import add_pending_cookie
from webapp.web.errors import handle_error
from webapp.web.guards import same_origin, trusted_host
from webapp.web.identity import provide_visitor
from webapp.web.mount import stream_mount
from webapp.web.render import Pages
from webapp.web.security import LOOPBACK_NAMES, add_security_headers
from webapp.web.services import provide_services


def new_id() -> str:
    """128 random bits, in characters that fit a path segment."""
    return secrets.token_urlsafe(16)


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    ids: Callable[[], str] = new_id,
    agents: Cast | Mapping[str, Agent | Member] | Iterable[Agent | Member],
    streams: StreamClient | None = None,
) -> Litestar:
    """The application. Of ``agents`` the first answers when nobody else is asked; ``clock`` gives seconds
    since the epoch. Raises BadCast.

    ``streams`` replaces the embedded stream server. ``app.state.drain`` ends live replies when it is set,
    which a server should do before it stops.
    """
    assets = Assets(locate("static"))
    cast = Cast.of(agents)
    parts = Parts(
        settings=settings,
        clock=clock,
        ids=ids,
        cast=cast,
        streams=streams,
        drain=Drain(),
        pages=Pages(templates=locate("templates"), assets=assets, cast=cast),
    )
    chat = [
        api_chat,
        api_chat_runs,
        api_chat_stream,
        api_chat_ws,
        api_chats,
        api_forks,
        api_live,
        api_presence,
        api_search,
        api_shares,
        chat_list,
    ]
    routes = [*chat, debugging, decisions, health, lab, pages, people, shares, static_files]
    return Litestar(
        [*(handler for module in routes for handler in module.ROUTES), *stream_mount(settings.streams)],
        lifespan=[lambda app: open_services(app, parts)],
        state=State(
            {
                "assets": assets,
                "pages": parts.pages,
                "drain": parts.drain,
                "allowed_hosts": (*LOOPBACK_NAMES, *settings.server.allowed_hosts),
            }
        ),
        dependencies={
            "services": Provide(provide_services, sync_to_thread=False),
            "visitor": Provide(provide_visitor),
        },
        guards=[trusted_host, same_origin],
        before_send=[add_security_headers, add_pending_cookie],
        exception_handlers={Exception: handle_error},
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
