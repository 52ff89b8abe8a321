"""Opens what the app runs on, in order, and closes it in reverse.

streams (a store and its engine, or a client of a server elsewhere) → catalog → agents → sessions →
supervisor, which recovers what an earlier process left behind before the first request is served.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from litestar import Litestar

from webapp.agents.base import Agent, AgentUnusable
from webapp.agents.cast import Cast
from webapp.chat.catalog import Catalog
from webapp.chat.deletions import Deletions
from webapp.chat.excerpts import Excerpts
from webapp.chat.feeds import Feeds
from webapp.chat.forks import Forks
from webapp.chat.marks import Marks
from webapp.chat.overview import Overview
from webapp.chat.presence import Presence
from webapp.chat.presence_board import LINGER
from webapp.chat.roster import Roster
from webapp.chat.runs import Supervisor
from webapp.chat.runs.limits import RunLimits
from webapp.chat.runs.titles import Titles
from webapp.chat.search import Search
from webapp.chat.sessions import Sessions
from webapp.chat.telling import Telling
from webapp.settings import Settings, secret_keys
from webapp.sharing.capabilities import Capabilities
from webapp.sharing.copies import Copies
from webapp.sharing.losses import Losses
from webapp.sharing.shares import Sharing
from webapp.streams.clients.base import StreamClient
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.limits import Drain, Slots
from webapp.web.cookies import CookieSigner
from webapp.web.embedded import open_engine
from webapp.web.remote import remote_streams
from webapp.web.render import Pages
from webapp.web.services import Services, install


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the app is made of before anything is open. ``streams`` replaces the embedded server."""

    settings: Settings
    clock: Callable[[], float]
    ids: Callable[[], str]
    cast: Cast
    streams: StreamClient | None
    drain: Drain
    pages: Pages


@asynccontextmanager
async def open_services(app: Litestar, parts: Parts) -> AsyncIterator[None]:
    """Litestar lifespan: ``app.state`` has the services inside, and not outside."""
    settings = parts.settings
    async with AsyncExitStack() as stack:
        streams, engine = await _open_streams(stack, parts)
        catalog = await Catalog.open(
            _database_url(settings), clock=parts.clock, grace=settings.security.delete_grace
        )
        stack.push_async_callback(catalog.aclose)
        for member in parts.cast:
            await _open_agent(stack, member.agent)
        sessions = Sessions(streams=streams, cache=catalog.snapshots)
        telling = Telling(streams=streams, sessions=sessions)
        feeds = Feeds(streams=streams)
        overview = Overview(sessions=sessions, catalog=catalog, feeds=feeds)
        stack.push_async_callback(overview.aclose)
        search = Search(catalog=catalog, overview=overview)
        stack.push_async_callback(search.aclose)
        marks = Marks(telling=telling, sessions=sessions, catalog=catalog, changed=overview.changed)
        titles = Titles(marks=marks, sessions=sessions, agents={each.id: each.agent for each in parts.cast})
        supervisor = Supervisor(
            streams=streams,
            sessions=sessions,
            catalog=catalog,
            agents=parts.cast,
            titles=titles if settings.agents.titles else None,
            changed=overview.changed,
            # Nobody else can be using the embedded store.
            shared=engine is None,
            limits=RunLimits(
                lease=settings.agents.lease,
                time_limit=settings.agents.run_time_limit,
                idle_limit=settings.agents.run_idle_limit,
                max_output_tokens=settings.agents.run_token_limit,
                max_hourly_per_participant=settings.agents.runs_per_person,
                max_hourly_per_chat=settings.agents.runs_per_chat,
                agent_turns=settings.agents.agent_turns,
            ),
            clock=parts.clock,
            ids=parts.ids,
        )
        stack.push_async_callback(supervisor.aclose, grace=settings.server.run_grace)
        await supervisor.start()
        presence = Presence(streams=streams, clock=parts.clock, ttl=settings.streams.presence_ttl)
        stack.push_async_callback(presence.aclose)
        losses = Losses(catalog, left=_leaving(presence, overview))
        stack.push_async_callback(losses.aclose)
        await losses.start()
        deletions = Deletions(catalog=catalog, streams=streams, sessions=sessions, supervisor=supervisor)
        stack.push_async_callback(deletions.aclose)
        await deletions.start()
        capabilities = Capabilities(catalog, access=settings.security.access)
        excerpts = Excerpts(streams=streams, sessions=sessions)
        copies = Copies(catalog=catalog, streams=streams, sessions=sessions, clock=parts.clock, ids=parts.ids)
        services = Services(
            settings=settings,
            streams=streams,
            engine=engine,
            catalog=catalog,
            capabilities=capabilities,
            losses=losses,
            sharing=Sharing(
                catalog=catalog,
                capabilities=capabilities,
                excerpts=excerpts,
                copies=copies,
                losses=losses,
                clock=parts.clock,
            ),
            deletions=deletions,
            sessions=sessions,
            excerpts=excerpts,
            supervisor=supervisor,
            marks=marks,
            feeds=feeds,
            search=search,
            forks=Forks(
                streams=streams, sessions=sessions, telling=telling, catalog=catalog, clock=parts.clock
            ),
            overview=overview,
            roster=Roster(cast=parts.cast, telling=telling, sessions=sessions),
            presence=presence,
            cookies=CookieSigner(secret_keys(settings)),
            pages=parts.pages,
            slots=Slots(
                per_principal=settings.streams.slots_per_principal,
                per_stream=settings.streams.slots_per_stream,
                total=settings.streams.slots_total,
            ),
            drain=parts.drain,
            clock=parts.clock,
            ids=parts.ids,
        )
        install(app.state, services)
        stack.callback(install, app.state, None)
        yield


def _leaving(presence: Presence, overview: Overview) -> Callable[[str, Collection[str]], None]:
    """Whoever may no longer see a chat is in it no longer, which others see, in their lists, too."""

    def left(chat_id: str, people: Collection[str]) -> None:
        presence.send_away(chat_id, people)
        overview.company_changed(chat_id, after=LINGER, at_least=1)

    return left


async def _open_agent(stack: AsyncExitStack, agent: Agent) -> None:
    """Raises AgentUnusable."""
    if isinstance(agent, AbstractAsyncContextManager):
        try:
            await stack.enter_async_context(agent)
        except Exception as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise AgentUnusable(f"The agent {agent.id} cannot be opened: {why}") from error


async def _open_streams(stack: AsyncExitStack, parts: Parts) -> tuple[StreamClient, Engine | None]:
    """The streams, and the embedded server if it is they."""
    if parts.streams is not None:
        return parts.streams, None
    if parts.settings.streams.url:
        remote = remote_streams(parts.settings, clock=parts.clock, drain=parts.drain)
        stack.push_async_callback(remote.aclose)
        return remote, None
    engine = await stack.enter_async_context(
        open_engine(parts.settings, clock=parts.clock, drain=parts.drain)
    )
    return LocalStreamClient(engine), engine


def _database_url(settings: Settings) -> str:
    """The configured database, else a file in the data directory."""
    if settings.storage.database_url:
        return settings.storage.database_url
    settings.storage.data_dir.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{settings.storage.data_dir / 'catalog.db'}"
