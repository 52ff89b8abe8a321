"""One run out of a busy chat: exactly its events, and every place in it can be gone on from."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.support.chats import ANA, CHAT, World, agent, say
from webapp.agents.base import AgentTurn, Event
from webapp.agents.scripted import DemoAgent
from webapp.chat import events
from webapp.chat.echo import message_echo
from webapp.chat.errors import InvalidMessage
from webapp.chat.following import RunCursor, RunEvent, RunFilter, RunReader, follow
from webapp.chat.messages import NewMessage
from webapp.chat.runs.stamp import Stamper
from webapp.streams.clients.base import StreamsUnavailable

AG_UI: TypeAdapter[Any] = TypeAdapter(AgUiEvent)
NOW = 1_700_000_000_000

# Whatever an agent may say; the ids are its own and the same in every run.
SAID: list[list[Event]] = [
    [
        {"type": events.TEXT_MESSAGE_START, "messageId": "1"},
        {"type": events.TEXT_MESSAGE_CONTENT, "messageId": "1", "delta": "Hm\u2028\n\r"},
        {"type": events.TEXT_MESSAGE_END, "messageId": "1"},
    ],
    [
        {"type": events.REASONING_MESSAGE_START, "messageId": "2", "role": "reasoning"},
        {"type": events.REASONING_MESSAGE_CONTENT, "messageId": "2", "delta": "…"},
        {"type": events.REASONING_MESSAGE_END, "messageId": "2"},
    ],
    [
        {"type": events.TOOL_CALL_START, "toolCallId": "t", "toolCallName": "roll", "parentMessageId": "1"},
        {"type": events.TOOL_CALL_ARGS, "toolCallId": "t", "delta": "{}"},
        {"type": events.TOOL_CALL_END, "toolCallId": "t"},
        {"type": events.TOOL_CALL_RESULT, "toolCallId": "t", "messageId": "3", "content": "6"},
    ],
    [{"type": events.STEP_STARTED, "stepName": "s"}, {"type": events.STEP_FINISHED, "stepName": "s"}],
    [{"type": events.CUSTOM, "name": "of.an-agent", "value": {"runId": "nobody's"}}],
]


def run_of(run_id: str, said: Sequence[list[Event]], *, stopped: bool) -> list[Event]:
    """What a run leaves in its chat."""
    stamper = Stamper(
        run_id=run_id, agent_id="a", agent_name="A", trigger_id=f"m-{run_id}", clock=lambda: NOW / 1000
    )
    started = events.run_started(
        "c", run_id, agent_id="a", agent_name="A", trigger_id="m", attempt=1, timestamp=NOW
    )
    signals = [events.stopped_by(run_id, participant_id="p", name="Ana")] if stopped else []
    spoken = [piece for part in said for event in part for piece in stamper.stamp(event)]
    return [started, *spoken, *signals, events.run_finished("c", run_id, timestamp=NOW)]


def noise_of(run_id: str) -> list[Event]:
    """What is in the chat because of a run, and not of it."""
    message = NewMessage(f"m-{run_id}", "Hi", ({"type": "image", "source": {"type": "url", "value": "x"}},))
    return [*message_echo(message, name="Ana", participant_id="p", created_at_ms=NOW)]


@st.composite
def chats(draw: st.DrawFn) -> tuple[dict[str, list[Event]], list[bytes]]:
    """Some runs, and the log in which they and people's messages are interleaved."""
    runs = {
        run_id: run_of(run_id, draw(st.lists(st.sampled_from(SAID), max_size=5)), stopped=draw(st.booleans()))
        for run_id in draw(st.sampled_from((["r1"], ["r1", "r2"], ["r1", "r10", "r2"])))
    }
    lanes = [list(run) for run in runs.values()]
    lanes += [noise_of(run_id) for run_id in runs]
    lanes.append([events.claimed(run_id, epoch=1) for run_id in runs])
    lanes.append([events.stop_requested(run_id, participant_id="p", name="Ana") for run_id in runs])
    log: list[bytes] = []
    while lanes := [lane for lane in lanes if lane]:
        log.append(events.encode(draw(st.sampled_from(lanes)).pop(0)))
    return runs, log


def cut(log: Sequence[bytes], rng: random.Random) -> Iterator[Sequence[bytes]]:
    """The log in pages of any size."""
    at = 0
    while at < len(log):
        size = rng.choice((1, 1, 2, 3, 7, 50))
        yield log[at : at + size]
        at += size


def read(log: Sequence[bytes], run_id: str, *, after: RunCursor, rng: random.Random) -> list[RunEvent]:
    reader = RunReader(run_id, after=after)
    return [event for page in cut(log, rng) for event in reader.read(page)]


@given(chats(), st.randoms(use_true_random=False))
def test_a_reader_gets_the_whole_run_and_nothing_else(
    chat: tuple[dict[str, list[Event]], list[bytes]], rng: random.Random
) -> None:
    runs, log = chat
    for run_id, expected in runs.items():
        found = read(log, run_id, after=RunCursor("o"), rng=rng)
        assert [json.loads(event.body) for event in found] == expected
        assert len({event.id for event in found}) == len(found)


@given(chats(), st.randoms(use_true_random=False))
def test_every_event_can_be_gone_on_from(
    chat: tuple[dict[str, list[Event]], list[bytes]], rng: random.Random
) -> None:
    """However the pages are cut this time: no gap, no repeat, and the same ids."""
    runs, log = chat
    for run_id in runs:
        whole = read(log, run_id, after=RunCursor("o"), rng=rng)
        for place, event in enumerate(whole, 1):
            assert read(log, run_id, after=RunCursor.parse(event.id), rng=rng) == whole[place:]


@given(chats())
def test_nothing_follows_the_end(chat: tuple[dict[str, list[Event]], list[bytes]]) -> None:
    runs, log = chat
    reader = RunReader("r1", after=RunCursor("o"))
    found = reader.read([*log, *log])
    assert reader.ended
    assert len(found) == len(runs["r1"])
    assert reader.read(log) == []


def test_a_delta_that_names_another_run_is_still_the_messages() -> None:
    """An agent may say what it likes in a delta; whose a message is was settled when it began."""
    mine, others = RunFilter("r1"), RunFilter("r2")
    start = {"type": events.TEXT_MESSAGE_START, "messageId": "r1~1", "metadata": {"runId": "r1"}}
    delta = {"type": events.TEXT_MESSAGE_CONTENT, "messageId": "r1~1", "delta": "x", "runId": "r3"}
    assert [mine.admits(start), mine.admits(delta)] == [True, True]
    assert [others.admits(start), others.admits(delta)] == [False, False]


def test_tool_calls_of_two_runs_may_have_one_id() -> None:
    mine = RunFilter("r1")
    assert mine.admits({"type": events.TOOL_CALL_START, "toolCallId": "t", "runId": "r1"})
    assert not mine.admits({"type": events.TOOL_CALL_ARGS, "toolCallId": "t", "runId": "r2", "delta": "{"})
    assert mine.admits({"type": events.TOOL_CALL_ARGS, "toolCallId": "t", "delta": "{"})


FIELDS = ("type", "runId", "messageId", "toolCallId", "metadata", "value", "name")
ODD = st.sampled_from((None, 1, "r2", "CUSTOM", [], ["r1"], {}, {"runId": 1}, {"runId": ["r1"]}))


@given(st.dictionaries(st.sampled_from(FIELDS), ODD))
def test_anything_may_be_in_a_stream(event: dict[str, Any]) -> None:
    mine = {**event, "runId": "r1"}
    typed = isinstance(event.get("type"), str)
    reader = RunReader("r1", after=RunCursor("o"))
    assert reader.read([events.encode(event), b"1", b"[", b"\xff"]) == []
    assert len(reader.read([events.encode(mine)])) == typed


def test_an_event_is_one_line() -> None:
    (found,) = RunReader("r", after=RunCursor("o")).read([b'{\r\n"type": "RUN_STARTED",\n"runId": "r"}'])
    assert b"\n" not in found.body
    assert json.loads(found.body) == {"type": "RUN_STARTED", "runId": "r"}


@pytest.mark.parametrize("offset", ["-1", "0000000000000001_0000000000000005", "a.b.1", "~!$x"])
@pytest.mark.parametrize("seen", [0, 1, 10**14])
def test_a_cursor_reads_back(offset: str, seen: int) -> None:
    assert RunCursor.parse(str(RunCursor(offset, seen))) == RunCursor(offset, seen)


@pytest.mark.parametrize(
    "text",
    ["", "5", "o.", ".5", "o.-1", "o.5\n", "o.٣", "o .5", "o\n.5", "o.5.x", "o." + "9" * 16, "x" * 300],
)
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidMessage):
        RunCursor.parse(text)


async def followed(world: World, run_id: str, offset: str, *, seen: int = 0) -> list[RunEvent]:
    path = f"chats/{CHAT}"
    after = RunCursor(offset, seen)
    return [event async for batch in follow(world.client, path, run_id, after=after) for event in batch]


async def test_following_ends_with_the_run_and_every_place_in_it_is_exact(world: World) -> None:
    supervisor = await world.boot(DemoAgent(word_delay=0, long_word_delay=0))
    await say(supervisor, "before", id="m0")
    accepted = await say(supervisor, "/tool", run_id="r", wait=False)
    live = await asyncio.wait_for(followed(world, "r", accepted.offset), 20)
    await say(supervisor, "after", id="m2")
    kinds = [json.loads(event.body)["type"] for event in live]
    assert (kinds[0], kinds[-1]) == ("RUN_STARTED", "RUN_FINISHED")
    assert {"TOOL_CALL_START", "TOOL_CALL_RESULT", "TEXT_MESSAGE_CONTENT"} <= set(kinds)
    for event in live:
        AG_UI.validate_json(event.body)
    for place, event in enumerate(live, 1):
        cursor = RunCursor.parse(event.id)
        assert await followed(world, "r", cursor.offset, seen=cursor.seen) == live[place:]


async def test_a_queued_run_is_followed_from_its_turn(world: World) -> None:
    go = asyncio.Event()

    async def wait(turn: AgentTurn) -> Any:
        yield turn.text
        await go.wait()

    supervisor = await world.boot(agent(wait))
    await say(supervisor, "first", id="m1", run_id="r1", wait=False)
    accepted = await say(supervisor, "second", id="m2", run_id="r2", wait=False)
    reading = asyncio.ensure_future(followed(world, "r2", accepted.offset))
    go.set()
    found = [json.loads(event.body) for event in await asyncio.wait_for(reading, 20)]
    assert {event.get("runId", "r2") for event in found} == {"r2"}
    assert [event["delta"] for event in found if event["type"] == "TEXT_MESSAGE_CONTENT"] == ["second"]


async def test_a_repeated_request_is_told_the_same_place(world: World) -> None:
    supervisor = await world.boot()
    first = await say(supervisor, "Hi", run_id="r")
    again = await say(supervisor, "Hi", run_id="r")
    assert (again.duplicate, again.offset) == (True, first.offset)
    row = await world.catalog.runs.get("r")
    assert row is not None
    assert row.offset == first.offset
    assert await followed(world, "r", first.offset) == await followed(world, "r", again.offset)


async def test_a_drain_is_no_end(world: World) -> None:
    supervisor = await world.boot(agent(_speechless))
    accepted = await say(supervisor, "Hi", wait=False)
    reading = asyncio.ensure_future(followed(world, accepted.run_id, accepted.offset))
    await asyncio.sleep(0)
    world.client._engine.drain.set()
    with pytest.raises(StreamsUnavailable):
        await asyncio.wait_for(reading, 20)
    assert await supervisor.stop(chat_id=CHAT, run_id=accepted.run_id, participant=ANA)


async def _speechless(turn: AgentTurn) -> Any:
    await asyncio.Event().wait()
    yield turn.text
