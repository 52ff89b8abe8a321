"""How a run's events become appends."""

from __future__ import annotations

from tests.support.chats import Streams, World
from webapp.chat.runs.writer import RunWriter

END = {"type": "RUN_FINISHED"}


async def test_an_ending_is_never_torn_apart(world: World) -> None:
    streams = Streams(world.client)
    await streams.ensure("chats/c")
    writer = RunWriter(streams, "chats/c", run_id="r", epoch=3)
    batch = [{"type": "CUSTOM", "name": "x", "value": "y" * 500_000} for _ in range(5)]

    await writer.append(batch, ending=[END, END])
    await writer.append([{"type": "CUSTOM"}] * 1200)
    await writer.append([])
    await writer.append([], ending=[END])

    assert [len(events) for _, events in streams.appends] == [2, 2, 3, 500, 500, 200, 1]
    producers = [producer for producer, _ in streams.appends]
    assert {(producer.id, producer.epoch) for producer in producers if producer} == {("run:r", 3)}
    assert [producer.seq for producer in producers if producer] == list(range(7))
