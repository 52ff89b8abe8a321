"""The supervisor: accepts messages, runs agents, stops them, and recovers what a crash left behind.

Owns the life of every run and its lease. A run lives here, never in a request: no disconnect ends it. Must
not know HTTP, roles or how a stream is stored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4
from weakref import WeakValueDictionary

from webapp.agents.base import Agent
from webapp.agents.cast import Cast, Member
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.endings import INTERRUPTED
from webapp.chat.errors import InvalidMessage, Unavailable
from webapp.chat.messages import NewMessage, Participant, check_id
from webapp.chat.overview import Changed, Said, unnoticed
from webapp.chat.roster import Presence
from webapp.chat.runs.acceptance import Acceptance, Request
from webapp.chat.runs.background import Background
from webapp.chat.runs.continuation import Continuation, Resumption
from webapp.chat.runs.decisions import Decisions
from webapp.chat.runs.desk import Desk
from webapp.chat.runs.extension import Extension, Extensions
from webapp.chat.runs.hand_offs import HandOffs
from webapp.chat.runs.lanes import Lanes
from webapp.chat.runs.leases import Leases
from webapp.chat.runs.limits import RunLimits
from webapp.chat.runs.pauses import Answer
from webapp.chat.runs.performer import Performer
from webapp.chat.runs.queue import Change, Queue
from webapp.chat.runs.recovery import Recovery, Startable
from webapp.chat.runs.run import Run
from webapp.chat.runs.stop_requests import StopRequests
from webapp.chat.runs.stops import Stops
from webapp.chat.runs.titles import Titles
from webapp.chat.runs.trace import start_of
from webapp.chat.runs.turns import Turns
from webapp.chat.runs.writer import RunWriter
from webapp.chat.sessions import Sessions
from webapp.chat.telling import Telling
from webapp.chat.titles import unmarked
from webapp.streams.clients.base import StreamClient

logger = logging.getLogger(__name__)

T = TypeVar("T")
Accept = Callable[[], Awaitable[tuple[list[RunRow], bool]]]

# How long, after their grace, runs may take to say that they were interrupted.
_LAST_WORDS = 2.0

# How often ``wait`` looks at the row of a run that another process has.
_GLANCE = 0.25


@dataclass(frozen=True, slots=True)
class Accepted:
    """``duplicate``: an earlier request had started this run; before ``offset`` there is nothing of it.
    ``further`` are the runs of other agents that are addressed too.
    """

    run_id: str
    duplicate: bool
    offset: str
    further: tuple[str, ...] = ()


class Supervisor:
    """Runs agents on messages. Of ``agents`` the first answers unless others are addressed.

    ``titles`` names chats once they have an answer. ``shared``: other processes may use the same streams and
    catalog. ``changed`` hears of every chat in which something was said, begun or ended. ``clock`` gives
    seconds since the epoch, ``ids`` a new unique run id. Call ``start`` before anything else.
    """

    def __init__(
        self,
        *,
        streams: StreamClient,
        sessions: Sessions,
        catalog: Catalog,
        agents: Cast | Mapping[str, Agent | Member],
        shared: bool = False,
        titles: Titles | None = None,
        changed: Changed = unnoticed,
        limits: RunLimits | None = None,
        clock: Callable[[], float] = time.time,
        ids: Callable[[], str] = lambda: f"run-{uuid4().hex}",
    ) -> None:
        self._catalog = catalog
        self._inbox = catalog.runs
        self._cast = Cast.of(agents)
        self._shared = shared
        self._changed = changed
        self._limits = limits or RunLimits()
        self._clock = clock
        self._owner = uuid4().hex
        self._background = Background()
        self._writer = partial(RunWriter.of, streams, sessions)
        desk = Desk(
            sessions=sessions,
            inbox=self._inbox,
            choices=catalog.choices,
            answers=catalog.answers,
            limits=self._limits,
            owner=self._owner,
            clock=clock,
            ids=ids,
        )
        presence = Presence(self._cast)
        self._acceptance = Acceptance(streams=streams, desk=desk, addressed=presence.addressed)
        telling = Telling(streams=streams, sessions=sessions)
        decisions = Decisions(telling=telling, answers=catalog.answers)
        self._continuation = Continuation(desk, decisions)
        self._extensions = Extensions(desk)
        self._lanes = Lanes(self._perform, apart=shared)
        patience = 2 * self._limits.agent_farewell
        self._stops = Stops(
            lanes=self._lanes,
            inbox=self._inbox,
            elsewhere=StopRequests(streams=streams, sessions=sessions, patience=patience) if shared else None,
            patience=patience,
        )
        self._queue = Queue(
            telling=telling,
            inbox=self._inbox,
            lanes=self._lanes,
            stop=lambda row, by: self.stop(chat_id=row.chat_id, run_id=row.run_id, participant=by),
            clock=clock,
            ids=ids,
        )
        self._performer = Performer(
            cast=self._cast,
            streams=streams,
            sessions=sessions,
            inbox=self._inbox,
            lanes=self._lanes,
            queue=self._queue,
            turns=Turns(sessions=sessions, presence=presence, limits=self._limits),
            hand_offs=HandOffs(telling=telling, desk=desk, presence=presence),
            titles=titles,
            changed=changed,
            writer=self._writer,
            background=self._background,
            limits=self._limits,
            owner=self._owner,
            shared=shared,
            clock=clock,
        )
        recovery = Recovery(
            streams=streams,
            sessions=sessions,
            inbox=self._inbox,
            acceptance=self._acceptance,
            queue=self._queue,
            finish=self._performer.finish,
            writer=self._writer,
            clock=clock,
        )
        self._leases = Leases(
            inbox=self._inbox,
            lanes=self._lanes,
            decisions=decisions,
            recovery=recovery,
            start=self._performer.enqueue,
            limits=self._limits,
            owner=self._owner,
            clock=clock,
        )
        self._chat_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._keeper: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()

    @property
    def busy(self) -> int:
        """How many answers are being written."""
        return len(self._lanes.running())

    async def start(self) -> None:
        """Recover what an earlier process left, then keep leases.

        Runs of others have a lease that goes on; with nobody else there, whoever owned a run is dead.
        """
        await self._leases.recover(take_all=not self._shared)
        self._keeper = asyncio.create_task(self._leases.keep())

    async def accept(
        self,
        *,
        chat_id: str,
        participant: Participant,
        message: NewMessage,
        run_id: str | None = None,
        data: Mapping[str, Any] | None = None,
        tools: Sequence[dict[str, Any]] = (),
        parent_run_id: str | None = None,
        agent_id: str | None = None,
    ) -> Accepted:
        """Take a message: when this returns, it is stored and will be answered, whatever happens, by
        ``agent_id`` or by those that its text addresses.

        The same ``message.id`` and ``run_id`` again are the same request; a new ``run_id`` asks for another
        answer to the same message; without one, the message is the same request until ``duplicate_window``
        after the answer. Raises Conflict, LimitReached, TooLarge, InvalidMessage, ChatNotFound and
        Unavailable.
        """
        self._check(run_id, parent_run_id)
        if agent_id is not None and self._cast.get(agent_id) is None:
            raise InvalidMessage("There is no such agent here.", code="unknown-agent")
        request = Request(
            chat_id=chat_id,
            participant=participant,
            message=message,
            agent_id=agent_id,
            run_id=run_id,
            data=data or {},
            tools=tuple(tools),
            parent_run_id=parent_run_id,
        )
        # A sender that hangs up does not undo what was begun.
        return await asyncio.shield(self._background.spawn(self._accept_message(request)))

    async def resume(
        self,
        *,
        chat_id: str,
        participant: Participant,
        answers: Sequence[Answer],
        may_approve: bool = False,
        run_id: str | None = None,
        data: Mapping[str, Any] | None = None,
        tools: Sequence[dict[str, Any]] = (),
        parent_run_id: str | None = None,
    ) -> Accepted:
        """Answer what a paused run asks, or some of it. With the last answer a run begins that knows them
        all; until then the one that asked is given back.

        The first answer to each question counts; the same one again is the same request. Raises Forbidden and
        what ``accept`` does.
        """
        self._check(run_id, parent_run_id)
        request = Resumption(
            chat_id=chat_id,
            participant=participant,
            answers=tuple(answers),
            may_approve=may_approve,
            run_id=run_id,
            data=data or {},
            tools=tuple(tools),
            parent_run_id=parent_run_id,
        )
        return await self._accept_one(chat_id, lambda: self._continuation.accept(request))

    async def go_on(self, *, chat_id: str, run_id: str, participant: Participant) -> Accepted:
        """Have an answer that broke off go on, once. Raises Conflict, LimitReached and Unavailable."""
        self._check(None, run_id)
        request = Extension(chat_id=chat_id, run_id=run_id, participant=participant)
        return await self._accept_one(chat_id, lambda: self._extensions.accept(request))

    def _check(self, run_id: str | None, parent_run_id: str | None) -> None:
        if self._performer.closing:
            raise Unavailable("The server is restarting. Please send the message again.")
        if run_id is not None:
            check_id(run_id, "run")
        if parent_run_id is not None:
            check_id(parent_run_id, "run", known=True)

    async def wait(self, run_id: str) -> None:
        """Return once the run's terminal event is durable, or at shutdown."""
        while not self._performer.closing:
            run = self._lanes.get(run_id)
            if run is not None:
                await run.over.wait()
            row = await self._inbox.get(run_id)
            if row is None or row.status is RunStatus.DONE:
                return
            if run is None:
                await asyncio.sleep(_GLANCE)

    async def stop(self, *, chat_id: str, run_id: str | None, participant: Participant) -> bool:
        """Stop one run of the chat, queued or running, or with no ``run_id`` all that are running: ours, and
        those of other processes.

        Returns whether this call stopped any; a run that is over or being stopped is left as it is. The
        text so far stays. Returns when the end is durable, or after some seconds if the stream cannot be
        reached or the process that has the run is silent. Raises StreamsUnavailable if another process
        cannot be asked.
        """
        return await self._stops.stop(chat_id=chat_id, run_id=run_id, participant=participant)

    async def change_queued(self, change: Change) -> None:
        """Edit, drop or put first a message that waits. Raises as ``Queue.change`` does."""
        await asyncio.shield(self._background.spawn(self._queue.change(change)))
        self._changed(change.chat_id)

    def hurry(self) -> None:
        """Give running answers no more grace: ``aclose``, now or later, interrupts them at once."""
        self._hurried.set()

    async def aclose(self, *, grace: float = 5.0) -> None:
        """Let runs finish for ``grace`` seconds, then interrupt them. Queued ones wait for the next boot."""
        self._performer.closing = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        left = self._lanes.drop_queued()
        await self._grant(grace)
        # Some were only just looking whose turn it is.
        left += self._lanes.drop_queued()
        for run in self._lanes.all():
            run.fail(*INTERRUPTED)
        await self._lanes.idle(within=_LAST_WORDS)
        self._lanes.drop(self._lanes.all())
        await self._lanes.idle()
        await self._background.aclose(within=_LAST_WORDS)
        if left:
            await self._inbox.release([run.row.run_id for run in left], owner=self._owner)

    async def _grant(self, grace: float) -> None:
        """Return when no run is left, the grace is over, or somebody is in a hurry."""
        finished = asyncio.create_task(self._lanes.idle(within=grace))
        hurried = asyncio.create_task(self._hurried.wait())
        await asyncio.wait({finished, hurried}, return_when=asyncio.FIRST_COMPLETED)
        finished.cancel()
        hurried.cancel()

    async def _accept_message(self, request: Request) -> Accepted:
        accepted = await self._accept(request.chat_id, lambda: self._acceptance.accept(request))
        if not accepted.duplicate:
            self._background.spawn(self._tell_lists(request))
        return accepted

    async def _tell_lists(self, request: Request) -> None:
        await self._catalog.touch_chat(request.chat_id, title=unmarked(request.message.text))
        self._changed(request.chat_id, Said(request.participant.id, request.message.id))

    async def _accept_one(
        self, chat_id: str, accept: Callable[[], Awaitable[tuple[RunRow, bool]]]
    ) -> Accepted:
        async def rows() -> tuple[list[RunRow], bool]:
            row, duplicate = await accept()
            return [row], duplicate

        return await asyncio.shield(self._background.spawn(self._accept(chat_id, rows)))

    async def _accept(self, chat_id: str, accept: Accept) -> Accepted:
        async with self._chat_lock(chat_id):
            rows, duplicate = await accept()
            # A duplicate finds its run in its lane, unless an error kept it from being put there.
            for row in rows:
                if row.status is RunStatus.APPENDED and row.owner == self._owner:
                    self._performer.enqueue(Startable(row, self._writer(row)))
        first, *further = rows
        return Accepted(first.run_id, duplicate, start_of(first), tuple(row.run_id for row in further))

    async def _perform(self, run: Run) -> None:
        await self._performer.perform(run)

    def _chat_lock(self, chat_id: str) -> asyncio.Lock:
        return self._chat_locks.setdefault(chat_id, asyncio.Lock())
