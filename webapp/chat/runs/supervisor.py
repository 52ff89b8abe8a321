"""The supervisor: accepts messages, runs agents, stops them, and recovers what a crash left behind.

Owns the life of every run and its lease. A run lives here, never in a request: no disconnect ends it. Must
not know HTTP, roles or how a stream is stored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4
from weakref import WeakValueDictionary

from webapp.agents.base import Agent
from webapp.agents.cast import Cast, Member
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.runs import RunRow, RunStatus
from webapp.chat.endings import INTERRUPTED
from webapp.chat.errors import ChatError, InvalidMessage, Unavailable
from webapp.chat.messages import NewMessage, Participant, check_id
from webapp.chat.roster import Presence
from webapp.chat.runs.acceptance import Acceptance, Request
from webapp.chat.runs.continuation import Continuation, Resumption
from webapp.chat.runs.decisions import Decisions
from webapp.chat.runs.desk import Desk
from webapp.chat.runs.extension import Extension, Extensions
from webapp.chat.runs.failpoints import Step, reached
from webapp.chat.runs.hand_offs import HandOffs
from webapp.chat.runs.lanes import Lanes
from webapp.chat.runs.limits import RunLimits
from webapp.chat.runs.pauses import Answer
from webapp.chat.runs.queue import Change, Queue
from webapp.chat.runs.recovery import Recovery, Startable
from webapp.chat.runs.run import MissingAgent, Run
from webapp.chat.runs.stop_requests import StopRequests
from webapp.chat.runs.stops import Stops
from webapp.chat.runs.titles import Titles
from webapp.chat.runs.trace import STREAM_IS_GONE, start_of
from webapp.chat.runs.turns import Turns
from webapp.chat.runs.watch import Watch
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import StaleEpoch, StreamClient, StreamError

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
    catalog. ``clock`` gives seconds since the epoch, ``ids`` a new unique run id. Call ``start`` before
    anything else.
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
        limits: RunLimits | None = None,
        clock: Callable[[], float] = time.time,
        ids: Callable[[], str] = lambda: f"run-{uuid4().hex}",
    ) -> None:
        self._streams = streams
        self._sessions = sessions
        self._catalog = catalog
        self._inbox = catalog.runs
        self._cast = Cast.of(agents)
        self._shared = shared
        self._titles = titles
        self._limits = limits or RunLimits()
        self._clock = clock
        self._owner = uuid4().hex
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
        self._decisions = Decisions(streams=streams, sessions=sessions, answers=catalog.answers)
        self._continuation = Continuation(desk, self._decisions)
        self._extensions = Extensions(desk)
        self._hand_offs = HandOffs(streams=streams, desk=desk, presence=presence)
        self._turns = Turns(
            sessions=sessions,
            inbox=self._inbox,
            presence=presence,
            limits=self._limits,
        )
        self._lanes = Lanes(self._perform, apart=shared)
        patience = 2 * self._limits.agent_farewell
        self._stops = Stops(
            lanes=self._lanes,
            inbox=self._inbox,
            elsewhere=StopRequests(streams=streams, sessions=sessions, patience=patience) if shared else None,
            patience=patience,
        )
        self._queue = Queue(
            streams=streams,
            sessions=sessions,
            inbox=self._inbox,
            lanes=self._lanes,
            stop=lambda row, by: self.stop(chat_id=row.chat_id, run_id=row.run_id, participant=by),
            clock=clock,
            ids=ids,
        )
        self._recovery = Recovery(
            streams=streams,
            sessions=sessions,
            inbox=self._inbox,
            acceptance=self._acceptance,
            queue=self._queue,
            finish=self._finish,
            clock=clock,
        )
        self._chat_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._closing = False
        self._hurried = asyncio.Event()

    @property
    def busy(self) -> int:
        """How many answers are being written."""
        return len(self._lanes.running())

    async def start(self) -> None:
        """Recover what an earlier process left, then keep leases.

        Runs of others have a lease that goes on; with nobody else there, whoever owned a run is dead.
        """
        await self._recover(take_all=not self._shared)
        self._keeper = asyncio.create_task(self._keep_leases())

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
        return await asyncio.shield(self._spawn(self._accept_message(request)))

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
        if self._closing:
            raise Unavailable("The server is restarting. Please send the message again.")
        if run_id is not None:
            check_id(run_id, "run")
        if parent_run_id is not None:
            check_id(parent_run_id, "run", known=True)

    async def wait(self, run_id: str) -> None:
        """Return once the run's terminal event is durable, or at shutdown."""
        while not self._closing:
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
        await asyncio.shield(self._spawn(self._queue.change(change)))

    async def _recover(self, *, take_all: bool) -> None:
        """Tell what is untold, and take over runs without an owner: those with an expired lease, or all that
        are not ours.
        """
        try:
            await self._decisions.tell_all()
        except (ChatError, StreamError) as error:
            logger.warning("a decision is not told yet: %s", error)
        for row in await self._inbox.unfinished(leases_before=None if take_all else self._clock()):
            if self._lanes.get(row.run_id) is not None:
                continue
            claimed = await self._inbox.claim(row, owner=self._owner, lease_until=self._lease_end())
            if claimed is None:
                continue
            reached(Step.CLAIMED)
            try:
                startable = await self._recovery.settle(claimed)
            except (ChatError, StreamError) as error:
                logger.warning("run %s is not recovered yet: %s", row.run_id, error)
            else:
                if startable is not None:
                    self._enqueue(startable)

    def hurry(self) -> None:
        """Give running answers no more grace: ``aclose``, now or later, interrupts them at once."""
        self._hurried.set()

    async def aclose(self, *, grace: float = 5.0) -> None:
        """Let runs finish for ``grace`` seconds, then interrupt them. Queued ones wait for the next boot."""
        self._closing = True
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
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_LAST_WORDS)
            for task in late:
                task.cancel()
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
            self._spawn(self._catalog.touch_chat(request.chat_id, title=request.message.text))
        return accepted

    async def _accept_one(
        self, chat_id: str, accept: Callable[[], Awaitable[tuple[RunRow, bool]]]
    ) -> Accepted:
        async def rows() -> tuple[list[RunRow], bool]:
            row, duplicate = await accept()
            return [row], duplicate

        return await asyncio.shield(self._spawn(self._accept(chat_id, rows)))

    async def _accept(self, chat_id: str, accept: Accept) -> Accepted:
        async with self._chat_lock(chat_id):
            rows, duplicate = await accept()
            # A duplicate finds its run in its lane, unless an error kept it from being put there.
            for row in rows:
                if row.status is RunStatus.APPENDED and row.owner == self._owner:
                    self._enqueue(Startable(row, self._recovery.writer(row)))
        first, *further = rows
        return Accepted(first.run_id, duplicate, start_of(first), tuple(row.run_id for row in further))

    def _enqueue(self, startable: Startable) -> None:
        row = startable.row
        if self._closing or self._lanes.get(row.run_id) is not None:
            return
        member = self._cast.get(row.agent_id)
        agent = member.agent if member else MissingAgent(row.agent_id)
        run = Run(row, agent=agent, writer=startable.writer, limits=self._limits, clock=self._clock)
        self._lanes.add(run)
        if startable.wanted_by is not None and run.stop(startable.wanted_by):
            self._lanes.hurry(run)

    async def _perform(self, run: Run) -> None:
        row = run.row
        try:
            if not self._shared:
                await self._carry_out(run, self._queue.begin(row))
                return
            path = self._sessions.path(row.chat_id)
            async with Watch(run, streams=self._streams, path=path, queue=self._queue) as watch:
                await self._carry_out(run, watch.turn())
        except StaleEpoch:
            logger.info("run %s has another owner", row.run_id)
        except STREAM_IS_GONE:
            await self._inbox.mark_done(row, outcome="lost", now=self._clock())
        except Exception:
            # Its lease runs out, and whoever takes it over finds out from the stream how far it came.
            logger.exception("run %s broke", row.run_id)

    async def _carry_out(self, run: Run, its_turn: Awaitable[bool]) -> None:
        if await its_turn:
            reached(Step.MARKED_RUNNING)
            if lineage := await self._inbox.lineage(run.row):
                run.continues(lineage[-1])
            outcome = await run.perform(lambda: self._turns.of(run.row))
            await self._finish(run.row, outcome)
            reached(Step.MARKED_DONE)
            self._spawn(self._sessions.save(run.row.chat_id))
            if self._titles is not None and outcome == "success":
                self._spawn(self._titles.after(run.row))

    async def _finish(self, row: RunRow, outcome: str) -> None:
        """The end of the run is in the stream; whom it addresses is next."""
        following = await self._hand_offs.finish(row, outcome=outcome)
        if self._closing and following:
            await self._inbox.release([each.run_id for each in following], owner=self._owner)
        for each in following:
            self._enqueue(Startable(each, self._recovery.writer(each)))

    async def _keep_leases(self) -> None:
        """Renew what is ours and take what is nobody's. A run that cannot be renewed is let go."""
        renewed_at = self._clock()
        while True:
            await asyncio.sleep(self._limits.lease / 3)
            try:
                if runs := self._lanes.all():
                    ids = [run.row.run_id for run in runs]
                    held = await self._inbox.renew(ids, owner=self._owner, lease_until=self._lease_end())
                    self._lanes.drop(run for run in runs if run.row.run_id not in held)
                renewed_at = self._clock()
                await self._recover(take_all=False)
            except Exception:
                logger.exception("leases could not be renewed")
                if self._clock() > renewed_at + self._limits.lease:
                    self._lanes.drop(self._lanes.all())

    def _lease_end(self) -> float:
        return self._clock() + self._limits.lease

    def _chat_lock(self, chat_id: str) -> asyncio.Lock:
        return self._chat_locks.setdefault(chat_id, asyncio.Lock())

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # Whoever waited for it has the refusal; asking for it here keeps the loop from reporting it as lost.
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ChatError):
            logger.error("a background task failed", exc_info=error)
