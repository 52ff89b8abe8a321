"""What a request handler may use: everything the lifespan has opened, in one value.

Litestar injects it by the name ``services``; handlers take from it what they need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency

from webapp.chat.catalog import Catalog
from webapp.chat.deletions import Deletions
from webapp.chat.excerpts import Excerpts
from webapp.chat.feeds import Feeds
from webapp.chat.forks import Forks
from webapp.chat.marks import Marks
from webapp.chat.overview import Overview
from webapp.chat.presence import Presence
from webapp.chat.roster import Roster
from webapp.chat.runs import Supervisor
from webapp.chat.search import Search
from webapp.chat.sessions import Sessions
from webapp.settings import Settings
from webapp.sharing.capabilities import Capabilities
from webapp.sharing.losses import Losses
from webapp.sharing.shares import Sharing
from webapp.streams.clients.base import StreamClient
from webapp.streams.engine import Engine
from webapp.streams.limits import Drain, Slots
from webapp.web.cookies import CookieSigner
from webapp.web.render import Pages

_KEY = "services"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: Settings
    streams: StreamClient
    engine: Engine | None
    """The embedded stream server; None when the streams are elsewhere."""
    catalog: Catalog
    capabilities: Capabilities
    losses: Losses
    sharing: Sharing
    deletions: Deletions
    sessions: Sessions
    search: Search
    excerpts: Excerpts
    supervisor: Supervisor
    marks: Marks
    feeds: Feeds
    forks: Forks
    overview: Overview
    roster: Roster
    presence: Presence
    cookies: CookieSigner
    pages: Pages
    slots: Slots
    drain: Drain
    clock: Callable[[], float]
    """Seconds since the epoch."""
    ids: Callable[[], str]
    """A fresh id of 128 random bits."""


AppServices: TypeAlias = NamedDependency[Services]
"""The type of a handler's ``services`` parameter."""


def install(state: State, services: Services | None) -> None:
    """Make ``services`` the app's, or take them away when they close."""
    state[_KEY] = services


def provide_services(state: State) -> Services:
    """Litestar dependency ``services``."""
    services: Services = state[_KEY]
    return services


def services_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Services:
    """The same where Litestar does not inject."""
    return provide_services(connection.app.state)
