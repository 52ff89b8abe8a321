"""A run goes on while its earlier words are still on their way to the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from tests.support.appends import Appends
from tests.support.chats import ANA, CHAT, Streams, World, agent, check_runs, of, say, text_of
from tests.support.scheduler import Scheduler
from tests.support.waiting import aeventually
from webapp.agents.base import AgentTurn
from webapp.agents.pieces import Piece
from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.runs import RunLimits
from webapp.chat.runs.run import Run
from webapp.chat.runs.writer import RunWriter
from webapp.streams.clients.base import AppendReceipt, PayloadTooLarge, ProducerTuple, StreamClient
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.store.memory import MemoryStore


class Faraway(Appends):
    """What a run says is stored at once, but the answers that tell so are still on their way back."""

    def __init__(self, inner: StreamClient) -> None:
        super().__init__(inner)
        self.answers = asyncio.Event()

    async def interfere(
        self, path: str, messages: Sequence[bytes], producer: ProducerTuple, close: bool
    ) -> AppendReceipt:
        receipt = await super().interfere(path, messages, producer, close)
        if producer.id.startswith("run:") and producer.seq > 0:
            await self.answers.wait()
        return receipt


class Speaker:
    """An agent that says the words it is given."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[str | None] = asyncio.Queue()
        self.let_go = False

    async def speak(self, turn: AgentTurn) -> AsyncIterator[Piece]:
        try:
            while (word := await self.words.get()) is not None:
                yield word
        except asyncio.CancelledError:
            self.let_go = True
            raise


async def hears(world: World, text: str) -> None:
    async def heard() -> bool:
        return text_of(await world.events(), "r1") == text

    await aeventually(heard, what=f"text {text!r}")


async def status(world: World) -> RunStatus:
    row = await world.catalog.runs.get("r1")
    assert row is not None
    return row.status


async def test_no_word_waits_until_the_one_before_is_acknowledged(world: World) -> None:
    streams, speaker = Faraway(world.client), Speaker()
    supervisor = await world.boot(agent(speaker.speak), streams=streams)
    await say(supervisor, "go", run_id="r1", wait=False)
    text = ""
    for word in ("one ", "two ", "three "):
        speaker.words.put_nowait(word)
        text += word
        await hears(world, text)
    assert streams.under_way == 3
    speaker.words.put_nowait(None)

    async def ended() -> bool:
        return bool(of(await world.events(), "RUN_FINISHED"))

    await aeventually(ended)
    assert await status(world) is RunStatus.RUNNING  # as far as we know, half of it is lost
    streams.answers.set()
    await supervisor.wait("r1")
    assert await status(world) is RunStatus.DONE
    events = await world.events()
    assert text_of(events, "r1") == text
    check_runs(events)


async def test_what_is_said_while_too_much_is_under_way_shares_one_append(world: World) -> None:
    streams, speaker = Faraway(world.client), Speaker()
    supervisor = await world.boot(agent(speaker.speak), streams=streams)
    await say(supervisor, "go", run_id="r1", wait=False)
    text = ""
    for word in ("one ", "two ", "three ", "four ", "five "):
        speaker.words.put_nowait(word)
        text += word
        await hears(world, text)
    before = len(streams.sent)
    for word in ("six ", "seven ", "eight ", None):
        speaker.words.put_nowait(word)
    await aeventually(speaker.words.empty)
    assert len(streams.sent) == before
    streams.answers.set()
    await supervisor.wait("r1")
    events = await world.events()
    said = [event["delta"] for event in of(events, "TEXT_MESSAGE_CONTENT")]
    assert said[1:] == ["one ", "two ", "three ", "four ", "five ", "six seven eight "]
    assert streams.most_under_way == 5
    check_runs(events)


async def test_a_stop_does_not_overtake_the_words_before_it(world: World) -> None:
    streams, speaker = Faraway(world.client), Speaker()
    supervisor = await world.boot(agent(speaker.speak), streams=streams)
    await say(supervisor, "go", run_id="r1", wait=False)
    for word in ("one ", "two "):
        speaker.words.put_nowait(word)
    await hears(world, "one two ")
    stopping = asyncio.create_task(supervisor.stop(chat_id=CHAT, run_id="r1", participant=ANA))
    await aeventually(lambda: speaker.let_go)
    assert await status(world) is RunStatus.RUNNING
    streams.answers.set()
    assert await stopping
    events = await world.events()
    assert [event["type"] for event in events[-3:]] == ["CUSTOM", "TEXT_MESSAGE_END", "RUN_FINISHED"]
    check_runs(events)


async def test_a_fenced_run_stops_although_its_agent_says_no_more(world: World) -> None:
    speaker = Speaker()
    supervisor = await world.boot(agent(speaker.speak))
    await say(supervisor, "go", run_id="r1", wait=False)
    speaker.words.put_nowait("one ")
    await hears(world, "one ")
    await world.client.append(f"chats/{CHAT}", [b"{}"], producer=ProducerTuple("run:r1", 7, 0))
    speaker.words.put_nowait("two ")
    await aeventually(lambda: supervisor.busy == 0)
    assert speaker.let_go
    assert (await world.events())[-1] == {}


async def test_nothing_follows_words_that_were_refused(world: World) -> None:
    streams, speaker = Streams(world.client), Speaker()
    streams.refuse = lambda events: PayloadTooLarge("too large") if "two " in str(events) else None
    supervisor = await world.boot(agent(speaker.speak), streams=streams)
    await say(supervisor, "go", run_id="r1", wait=False)
    speaker.words.put_nowait("one ")
    await hears(world, "one ")
    for word in ("two ", "three ", None):
        speaker.words.put_nowait(word)
    await aeventually(lambda: supervisor.busy == 0)
    assert text_of(await world.events(), "r1") == "one "
    assert not of(await world.events(), "RUN_FINISHED")

    heir = await world.boot()
    await heir.wait("r1")

    events = await world.events()
    assert events[-1]["code"] == "interrupted"
    check_runs(events)


def test_a_fast_store_gets_no_more_appends_than_there_are_windows() -> None:
    words, pause, limits = 400, 0.03, RunLimits()

    async def talk(turn: AgentTurn) -> AsyncIterator[Piece]:
        for n in range(words):
            yield f"{n} "
            await asyncio.sleep(pause)

    class Disk(Appends):
        async def interfere(
            self, path: str, messages: Sequence[bytes], producer: ProducerTuple, close: bool
        ) -> AppendReceipt:
            receipt = await super().interfere(path, messages, producer, close)
            await asyncio.sleep(0.002)
            return receipt

    async def answer() -> list[int]:
        disk = Disk(LocalStreamClient(Engine(MemoryStore())))
        await disk.ensure("chats/c")
        row = RunRow(
            run_id="r1",
            chat_id="c",
            message_id="m1",
            agent_id="kermit",
            attempt=1,
            participant_id="ana",
            content_hash=b"",
            events=None,
            status=RunStatus.RUNNING,
            owner="",
            lease_until=0,
            accepted_at=0,
        )
        writer = RunWriter(disk, "chats/c", run_id="r1", epoch=0)
        run = Run(row, agent=agent(talk), writer=writer, limits=limits, clock=lambda: 0.0)

        async def turn() -> AgentTurn:
            return AgentTurn(chat_id="c", run_id="r1", messages=[], text="", speaker="", data={})

        assert await run.perform(turn) == "success"
        return [len(messages) for _, messages in disk.sent]

    with asyncio.Runner(loop_factory=Scheduler) as runner:
        sizes = runner.run(answer())
    # The beginning and the end, and what the end interrupts, come on top of one for each window.
    assert len(sizes) <= words * pause / limits.window + 3
    assert sum(sizes) <= len(sizes) + 4  # a delta each, and the events around them
