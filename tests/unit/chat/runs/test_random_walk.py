"""Anything in any order: people send, repeat, stop, retry, answer, edit, drop and steer, and processes die.

A model that is a few dictionaries says what must have come of it. The seed is printed; TEST_SEED repeats it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.appends import stored
from tests.support.chats import ANA, BEN, CHAT, Streams, World, agent, check_runs, of, questions
from tests.support.waiting import aeventually
from webapp.agents.base import AgentTurn, Event
from webapp.agents.pieces import Piece
from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.errors import ChatError
from webapp.chat.events import MESSAGE_DROPPED, MESSAGE_EDITED
from webapp.chat.messages import NewMessage
from webapp.chat.reducer import Reducer, Snapshot, materialize
from webapp.chat.runs import RunLimits, Supervisor
from webapp.chat.runs.queue import Action, Change
from webapp.streams.clients.base import AppendReceipt

STEPS = 70
LIMITS = RunLimits(
    lease=0.4,
    window=0.002,
    agent_farewell=0.2,
    max_active_per_participant=1000,
    max_queued_per_chat=1000,
    max_hourly_per_participant=0,
)
PATH = f"chats/{CHAT}"


class Slow(Streams):
    """A stream server that takes its time, so that much happens meanwhile."""

    def __init__(self, world: World, rng: random.Random) -> None:
        super().__init__(world.client)
        self._rng = rng

    async def append(self, path: str, messages: Sequence[bytes], **options: Any) -> AppendReceipt:
        changes = any(name.encode() in messages[0] for name in (MESSAGE_EDITED, MESSAGE_DROPPED))
        await asyncio.sleep(self._rng.random() * (0.06 if changes else 0.006))
        receipt = await super().append(path, messages, **options)
        await asyncio.sleep(self._rng.random() * 0.006)
        return receipt


@dataclass
class Model:
    """What was promised: what calls have returned. Whoever died before that has promised nothing."""

    accepted: dict[str, tuple[str, str | None, str]] = field(default_factory=dict)
    """By run id: message, agent (None: those that the text names) and text of what was accepted first."""
    further: set[str] = field(default_factory=set)
    retried: set[str] = field(default_factory=set)
    resumed: set[str] = field(default_factory=set)
    edits: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: set[str] = field(default_factory=set)
    asked: dict[str, str] = field(default_factory=dict)
    """By run id: the text that the agent was asked."""


class Walk:
    def __init__(self, world: World, rng: random.Random, *, shared: bool) -> None:
        self.world = world
        self.rng = rng
        self.shared = shared
        self.model = Model()
        self.processes: list[Supervisor] = []
        self.underway: set[asyncio.Task[None]] = set()
        self.sent = 0
        self.log: list[str] = []
        self.steps: dict[str, tuple[int, Callable[[], Awaitable[None]]]] = {
            "send": (10, self.send),
            "again": (3, self.again),
            "retry": (3, self.retry),
            "stop": (4, self.stop),
            "resume": (4, self.resume),
            "edit": (4, lambda: self.change(Action.EDIT)),
            "drop": (3, lambda: self.change(Action.DROP)),
            "steer": (2, lambda: self.change(Action.STEER)),
        }

    # What people do. Whatever is refused by a ChatError was not promised.

    async def send(self) -> None:
        self.sent += 1
        number, who = self.sent, self.rng.choice((ANA, BEN))
        text = f"{self.rng.choice(('say', 'say', 'ask'))} {number}"
        name = self.rng.choice(("one", "two", None))
        if name is None:
            text += ", @One and @Two"
        run_id = f"r{number}"
        accepted = await self.any_process().accept(
            chat_id=CHAT,
            participant=who,
            message=NewMessage(f"m{number}", text),
            run_id=run_id,
            agent_id=name,
        )
        self.model.accepted[run_id] = (f"m{number}", name, text)
        assert len(accepted.further) == (name is None)
        self.model.further.update(accepted.further)

    async def again(self) -> None:
        if not self.model.accepted:
            return
        run_id, (message_id, name, text) = self.rng.choice(list(self.model.accepted.items()))
        accepted = await self.any_process().accept(
            chat_id=CHAT,
            participant=ANA,
            message=NewMessage(message_id, text),
            run_id=run_id,
            agent_id=name,
        )
        assert (accepted.run_id, accepted.duplicate) == (run_id, True)

    async def retry(self) -> None:
        if not self.model.accepted:
            return
        message_id, name, text = self.rng.choice(list(self.model.accepted.values()))
        self.sent += 1
        run_id = f"retry{self.sent}"
        await self.any_process().accept(
            chat_id=CHAT,
            participant=BEN,
            message=NewMessage(message_id, text),
            run_id=run_id,
            agent_id=name,
        )
        self.model.retried.add(run_id)

    async def stop(self) -> None:
        run_id = self.rng.choice([*self.model.accepted, None])
        await self.any_process().stop(chat_id=CHAT, run_id=run_id, participant=BEN)

    async def resume(self) -> None:
        if not self.model.accepted:
            return
        runs = materialize(await self.world.events()).runs.values()
        waiting = [run for run in runs if run["status"] == "awaiting-approval"]
        if not waiting:
            return
        run = self.rng.choice(waiting)
        answers = [
            {"interruptId": each["id"], "status": "resolved", "payload": {"approved": True}}
            for each in run["interrupts"]
        ]
        accepted = await self.any_process().resume(
            chat_id=CHAT, participant=ANA, answers=answers, may_approve=True, parent_run_id=run["runId"]
        )
        self.model.resumed.add(accepted.run_id)

    async def change(self, action: Action) -> None:
        if not self.model.accepted:
            return
        self.sent += 1
        text = f"say {self.sent}, edited"  # said once only, whatever else happens meanwhile
        # Mostly of one that waits, or did a moment ago.
        rows = await self.world.catalog.runs.unfinished(chat_id=CHAT)
        waiting = [row.message_id for row in rows if row.status is RunStatus.APPENDED]
        known = [message_id for message_id, _, _ in self.model.accepted.values()]
        message_id = self.rng.choice(waiting or known)
        change = Change(chat_id=CHAT, message_id=message_id, participant=BEN, action=action, text=text)
        await self.any_process().change_queued(change)
        if action is Action.EDIT:
            self.model.edits[message_id, text] += 1
        elif action is Action.DROP:
            self.model.dropped.add(message_id)

    # What happens to them.

    async def run(self) -> list[Event]:
        await self.boot()
        names, weights = zip(*((name, weight) for name, (weight, _) in self.steps.items()), strict=True)
        for _ in range(STEPS):
            if self.rng.random() < 0.05:
                self.log.append("crash")
                await self.world.crash()
                self.underway.clear()
                await self.boot()
            [name] = self.rng.choices(names, weights)
            self.log.append(name)
            task = asyncio.create_task(self.step(self.steps[name][1], len(self.log) - 1))
            self.underway.add(task)
            if self.rng.random() < 0.7:
                await asyncio.wait({task})
            if self.rng.random() < 0.5:
                await asyncio.sleep(self.rng.random() * 0.02)
        for task in self.underway:
            await task

        async def all_over() -> bool:
            return await self.world.catalog.runs.unfinished() == []

        await aeventually(all_over, timeout=25, what="every run to end")
        return await self.world.events()

    async def step(self, do: Callable[[], Awaitable[None]], number: int) -> None:
        try:
            await do()
        except ChatError as refused:
            self.log[number] += f" ({refused.code})"

    async def boot(self) -> None:
        agents = [agent(self.script(name), id=name) for name in ("one", "two")]
        self.processes = [
            await self.world.boot(
                *agents, limits=LIMITS, shared=self.shared, streams=Slow(self.world, self.rng)
            )
            for _ in range(2 if self.shared else 1)
        ]

    def any_process(self) -> Supervisor:
        return self.rng.choice(self.processes)

    def script(self, name: str) -> Callable[[AgentTurn], AsyncIterator[Piece]]:
        """Says a few words, some of them slowly; on ``ask`` it wants an approval first."""

        async def speak(turn: AgentTurn) -> AsyncIterator[Piece]:
            self.model.asked[turn.run_id] = turn.text
            for word in range(self.rng.randrange(6)):
                yield f"{name}{word} "
                await asyncio.sleep(self.rng.random() * 0.01)
            if turn.text.startswith("ask") and not turn.resume:
                call = f"{turn.run_id}-call"
                yield {"type": "TOOL_CALL_START", "toolCallId": call, "toolCallName": "act"}
                yield {"type": "TOOL_CALL_END", "toolCallId": call}
                about = {"id": f"{call}-approval", "reason": "tool_call", "toolCallId": call}
                yield {"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": [about]}}

        return speak


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "two processes"])
@pytest.mark.parametrize(
    "number", [0, 1, 2, *(pytest.param(number, marks=pytest.mark.long) for number in range(3, 20))]
)
async def test_whatever_happens_nothing_accepted_is_lost_or_doubled(
    world: World, rng: random.Random, shared: bool, number: int
) -> None:
    walk = Walk(world, rng, shared=shared)
    try:
        events = await walk.run()
        rows = {
            row.run_id: row
            for message_id in questions(events)
            for row in await world.catalog.runs.attempts(CHAT, message_id)
        }
        check_runs(events)
        check_promises(walk.model, events, rows)
        check_turns(events, rows)
        check_changes(walk.model, events)
        await check_readers(world, events, rng)
    except AssertionError:
        print(" · ".join(walk.log))
        raise


def check_promises(model: Model, events: list[Event], rows: dict[str, RunRow]) -> None:
    """Every message is there once, and was answered once for every attempt that was accepted."""
    assert all(count == 1 for count in Counter(questions(events)).values())
    started = {event["runId"] for event in of(events, "RUN_STARTED")}
    assert all(row.status is RunStatus.DONE for row in rows.values())
    assert started == {row.run_id for row in rows.values() if not row.is_dropped}
    for run_id, (message_id, name, _) in model.accepted.items():
        assert rows[run_id].message_id == message_id
        assert name in (None, rows[run_id].agent_id)
    assert model.further | model.retried | model.resumed <= rows.keys()
    attempts = Counter((row.message_id, row.agent_id, row.attempt) for row in rows.values())
    assert all(count == 1 for count in attempts.values())
    answered = Counter(row.continues for row in rows.values() if row.resume)
    assert all(count == 1 for count in answered.values()), "a question was answered twice"


def check_turns(events: list[Event], rows: dict[str, RunRow]) -> None:
    """An agent does one thing at a time, save to say that what it has not begun was stopped."""
    wrote = {event.get("metadata", {}).get("runId") for event in of(events, "TEXT_MESSAGE_START")}
    running: dict[str, str] = {}
    for event in events:
        run_id = str(event.get("runId"))
        if not event["type"].startswith("RUN_"):
            continue
        row = rows[run_id]
        if row.outcome == "cancelled" and run_id not in wrote:
            continue
        if event["type"] == "RUN_STARTED":
            assert row.agent_id not in running, f"{run_id} began while {running[row.agent_id]} was running"
            running[row.agent_id] = run_id
        else:
            assert running.pop(row.agent_id) == run_id


def check_changes(model: Model, events: list[Event]) -> None:
    """What was changed is told once and before the answer; the agent was asked what everybody sees."""
    started = {
        event["metadata"]["triggerId"]: place
        for place, event in reversed(list(enumerate(events)))
        if event["type"] == "RUN_STARTED"
    }
    told: Counter[tuple[str, str]] = Counter()
    texts: dict[str, str] = {}
    dropped: defaultdict[str, int] = defaultdict(int)
    for place, event in enumerate(events):
        if event["type"] == "TEXT_MESSAGE_CONTENT" and event["messageId"].startswith("m"):
            texts[event["messageId"]] = event["delta"]
        value: Any = event.get("value")
        if event.get("name") in (MESSAGE_EDITED, MESSAGE_DROPPED):
            assert place < started.get(value["messageId"], len(events)), "changed after its answer had begun"
        if event.get("name") == MESSAGE_EDITED:
            told[value["messageId"], value["text"]] += 1
            texts[value["messageId"]] = value["text"]
        elif event.get("name") == MESSAGE_DROPPED:
            dropped[value["messageId"]] += 1
    assert all(count == 1 for count in (*told.values(), *dropped.values()))
    assert model.edits.keys() <= told.keys()
    assert model.dropped <= dropped.keys()
    assert not dropped.keys() & started.keys()

    shown = [message for message in materialize(events).messages if message["role"] == "user"]
    assert {message["id"]: message["parts"][0]["content"] for message in shown} == {
        message_id: text for message_id, text in texts.items() if message_id not in dropped
    }
    for event in of(events, "RUN_STARTED"):
        asked = model.asked.get(event["runId"])
        assert asked in (None, texts[event["metadata"]["triggerId"]])


async def check_readers(world: World, events: list[Event], rng: random.Random) -> None:
    """From wherever one reads on, one comes to the same."""
    whole = materialize(events)
    for split in [rng.randrange(len(events) + 1) for _ in range(10)]:
        kept = json.loads(json.dumps(materialize(events[:split]).to_json()))
        reducer = Reducer(Snapshot.from_json(kept))
        for event in events[split:]:
            reducer.apply(event)
        assert reducer.snapshot().to_json() == whole.to_json()
    log = await stored(world.client, PATH)
    offset, seen = "-1", 0
    while True:
        page = await world.client.read(PATH, offset=offset)
        assert list(page.messages) == list(log[seen : seen + len(page.messages)])
        offset, seen = page.next_offset, seen + len(page.messages)
        if page.up_to_date:
            break
    assert seen == len(log)
