"""A chat without a web server: streams, catalog, and supervisors that can be killed and booted again."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.appends import stored
from tests.support.waiting import aeventually
from webapp.agents.base import Agent, AgentTurn, Event
from webapp.agents.cast import Member
from webapp.agents.pieces import Piece
from webapp.agents.registry import OwnAgent
from webapp.agents.scripted import EchoAgent
from webapp.chat.catalog import Catalog
from webapp.chat.messages import NewMessage, Participant
from webapp.chat.runs import Accepted, RunLimits, Supervisor
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import AppendReceipt, ProducerTuple, StreamClient
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.store.base import StreamStore

ANA = Participant("ana", "Ana")
BEN = Participant("ben", "Ben")
CHAT = "chat-under-test"

Script = Callable[[AgentTurn], AsyncIterator[Piece]]


def agent(script: Script, *, id: str = "kermit") -> Agent:
    """An agent that does what ``script`` does."""
    return OwnAgent(id=id, name=id.capitalize(), run=script)


class Gate:
    """An agent that says a word, waits to be let go on, and says another."""

    def __init__(self, *, id: str = "gate") -> None:
        self.id = id
        self.name = id.capitalize()
        self.waiting: list[str] = []
        self.let_go: list[str] = []
        self.open = asyncio.Event()

    async def run(self, turn: AgentTurn) -> AsyncIterator[Piece]:
        message = {"messageId": "1"}
        yield {"type": "TEXT_MESSAGE_START", **message}
        yield {"type": "TEXT_MESSAGE_CONTENT", "delta": f"{turn.text}: ", **message}
        self.waiting.append(turn.text)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.let_go.append(turn.text)
            raise
        yield {"type": "TEXT_MESSAGE_CONTENT", "delta": "done", **message}


class Streams:
    """A stream client with failpoints: a condition on a batch of events, before or after it is appended.

    At a failpoint the process dies, as it were: nothing that follows is appended.
    """

    def __init__(self, inner: StreamClient) -> None:
        self._inner = inner
        self.refuse: Callable[[list[Event]], Exception | None] = lambda events: None
        self.halt_before: Callable[[list[Event]], bool] = lambda events: False
        self.halt_after: Callable[[list[Event]], bool] = lambda events: False
        self.reached = asyncio.Event()
        self._dying = False
        self.appends: list[tuple[ProducerTuple | None, list[Event]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(
        self,
        path: str,
        messages: Sequence[bytes],
        *,
        producer: ProducerTuple | None = None,
        close: bool = False,
    ) -> AppendReceipt:
        events = [json.loads(message) for message in messages]
        if (error := self.refuse(events)) is not None:
            raise error
        if self._dying:
            await asyncio.Event().wait()
        before, after = self.halt_before(events), self.halt_after(events)
        self._dying = before or after
        if before:
            await self._die()
        receipt = await self._inner.append(path, messages, producer=producer, close=close)
        self.appends.append((producer, events))
        if after:
            await self._die()
        return receipt

    async def _die(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()


class World:
    """Durable things that outlive supervisors: one stream store, one catalog file."""

    def __init__(self, store: StreamStore, directory: Path) -> None:
        self.client = LocalStreamClient(Engine(store))
        self.url = f"sqlite:///{directory / 'catalog.db'}"
        self._before = asyncio.all_tasks()
        self._catalogs: list[Catalog] = []
        self._supervisors: list[Supervisor] = []

    async def boot(
        self,
        *agents: Agent | Member,
        limits: RunLimits | None = None,
        streams: Streams | StreamClient | None = None,
        shared: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> Supervisor:
        """A new process, as it were; it has recovered what the last one left.

        ``shared``: those before it may live, and it leaves their runs alone until a lease ends.
        """
        catalog = await Catalog.open(self.url)
        self._catalogs.append(catalog)
        await catalog.create_chat(CHAT, owner=ANA)
        client: Any = streams or self.client
        chosen = agents or (EchoAgent(word_delay=0),)
        supervisor = Supervisor(
            streams=client,
            sessions=Sessions(streams=client, cache=catalog.snapshots),
            catalog=catalog,
            agents={each.id: each for each in chosen},
            shared=shared,
            limits=limits or RunLimits(window=0.005),
            clock=clock,
        )
        self._supervisors.append(supervisor)
        await supervisor.start()
        return supervisor

    async def crash(self) -> None:
        """Everything that runs stops where it is, and says nothing."""
        self._supervisors.clear()
        while tasks := asyncio.all_tasks() - self._before - {asyncio.current_task()}:
            for task in tasks:
                # The database driver gives its connections back in tasks of its own.
                work = task.get_coro()
                if not inspect.iscoroutine(work) or "sqlalchemy" not in work.cr_code.co_filename:
                    task.cancel()
            await asyncio.wait(tasks)

    async def crash_at(self, streams: Streams, sending: Coroutine[Any, Any, object]) -> None:
        """Send, and die at the failpoint of ``streams``."""
        task = asyncio.create_task(sending)
        await asyncio.wait_for(streams.reached.wait(), 15)
        await self.crash()
        with suppress(asyncio.CancelledError):
            await task

    async def quiet(self, chat_id: str = CHAT) -> list[Event]:
        """The whole stream once every run in it is over, each as it should be."""

        async def over() -> bool:
            return not await self.catalog.runs.unfinished(chat_id=chat_id)

        is_over: bool = await aeventually(over, what="every run is over")
        assert is_over
        events = await self.events(chat_id)
        check_runs(events)
        return events

    async def aclose(self) -> None:
        for supervisor in self._supervisors:
            await supervisor.aclose(grace=5)
        for catalog in self._catalogs:
            await catalog.aclose()

    @property
    def catalog(self) -> Catalog:
        return self._catalogs[-1]

    async def events(self, chat_id: str = CHAT) -> list[Event]:
        """The whole stream."""
        return [json.loads(message) for message in await stored(self.client, f"chats/{chat_id}")]


async def say(
    supervisor: Supervisor,
    text: str,
    *,
    id: str = "m1",
    run_id: str | None = None,
    by: Participant = ANA,
    wait: bool = True,
    data: Mapping[str, Any] | None = None,
    tools: Sequence[dict[str, Any]] = (),
) -> Accepted:
    """Send a message and, if ``wait``, see it answered."""
    accepted = await supervisor.accept(
        chat_id=CHAT, participant=by, message=NewMessage(id, text), run_id=run_id, data=data, tools=tools
    )
    if wait:
        await supervisor.wait(accepted.run_id)
    return accepted


async def said(world: World, text: str) -> bool:
    """Whether an agent or a person has said just that in one event."""
    return any(event["delta"] == text for event in of(await world.events(), "TEXT_MESSAGE_CONTENT"))


def of(events: Sequence[Event], kind: str) -> list[Event]:
    """The events of one type."""
    return [event for event in events if event["type"] == kind]


def text_of(events: Sequence[Event], run_id: str) -> str:
    """What a run said."""
    ids = {
        event["messageId"]
        for event in of(events, "TEXT_MESSAGE_START")
        if event.get("metadata", {}).get("runId") == run_id
    }
    return "".join(
        event["delta"] for event in of(events, "TEXT_MESSAGE_CONTENT") if event["messageId"] in ids
    )


def questions(events: Sequence[Event]) -> list[str]:
    """The ids of what people said, in order."""
    return [event["messageId"] for event in of(events, "TEXT_MESSAGE_START") if event["role"] == "user"]


def check_runs(events: Sequence[Event]) -> None:
    """G9: every run that started has one end, after its start; it left nothing open and says no more."""
    started = Counter(event["runId"] for event in of(events, "RUN_STARTED"))
    ended = Counter(event["runId"] for event in events if event["type"] in ("RUN_FINISHED", "RUN_ERROR"))
    assert started == ended
    assert all(count == 1 for count in started.values())
    for run_id in started:
        mine = [event for event in events if run_id in (event.get("runId"), _run_of(event, events))]
        assert mine[0]["type"] == "RUN_STARTED"
        assert mine[-1]["type"] in ("RUN_FINISHED", "RUN_ERROR")
        for opening, closing, key in _PAIRS:
            assert sorted(e[key] for e in of(mine, opening)) == sorted(e[key] for e in of(mine, closing))


_PAIRS = (
    ("TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "messageId"),
    ("TOOL_CALL_START", "TOOL_CALL_END", "toolCallId"),
    ("REASONING_START", "REASONING_END", "messageId"),
)


def _run_of(event: Event, events: Sequence[Event]) -> str | None:
    """The run that owns the text message an event is about."""
    for start in of(events, "TEXT_MESSAGE_START"):
        if start["messageId"] == event.get("messageId"):
            run_id: str | None = start.get("metadata", {}).get("runId")
            return run_id
    return None
