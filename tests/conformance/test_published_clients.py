"""Clients that others wrote and published, against our server: one from npm, one from PyPI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path
from typing import Literal

import pytest
from durable_streams import AsyncDurableStream, DurableStream, SeqConflictError, StreamNotFoundError, astream

from tests.support.node_tests import run_node_tests
from tests.support.server import ServerProcess

SCRIPT = Path(__file__).with_name("published-client.test.js")
JSON = "application/json"
names = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data_dir = tmp_path_factory.mktemp("published") / "data"
    with ServerProcess(
        data_dir, command="streams", env={"DURABLE_CHAT_STREAMS_LONG_POLL_TIMEOUT": "1"}
    ) as process:
        yield process


@pytest.fixture
def url(server: ServerProcess) -> str:
    return f"{server.url}/v1/stream/pypi/{next(names)}"


def test_the_client_from_npm(server: ServerProcess) -> None:
    written = len(re.findall(r"^ *test\(", SCRIPT.read_text(), re.M))
    # One of them is run for two live modes.
    run_node_tests(SCRIPT, passes=written + 1, timeout=28, STREAMS_URL=server.url)


def test_the_client_from_pypi_creates_appends_reads_and_deletes(url: str) -> None:
    with DurableStream.create(url, content_type=JSON, ttl_seconds=60) as handle:
        offsets = [handle.append({"n": n}, seq=f"w-{n}").next_offset for n in range(5)]
        assert offsets == sorted(set(offsets))
        with handle.stream(live=False) as reply:
            assert reply.read_json() == [{"n": n} for n in range(5)]
        with handle.stream(offset=offsets[2], live=False) as reply:
            assert reply.read_json() == [{"n": 3}, {"n": 4}]
        head = handle.head()
        assert (head.offset, head.content_type) == (offsets[-1], JSON)
        with pytest.raises(SeqConflictError):
            handle.append({"n": 9}, seq="w-0")
        handle.delete()
        with pytest.raises(StreamNotFoundError):
            handle.head()


@pytest.mark.parametrize("live", ["sse", "long-poll"])
def test_the_client_from_pypi_follows(url: str, live: Literal["sse", "long-poll"]) -> None:
    with DurableStream.create(url, content_type=JSON) as handle, ThreadPoolExecutor(1) as pool:
        handle.append(0)

        def write() -> None:
            for n in range(1, 20):
                handle.append(n)

        with handle.stream(offset="-1", live=live) as reply:
            items = reply.iter_json()
            assert next(items) == 0  # it is live now
            writing = pool.submit(write)
            assert list(islice(items, 19)) == list(range(1, 20))
            writing.result()


async def test_the_async_client_from_pypi_batches_and_follows_with_offsets(url: str) -> None:
    async with await AsyncDurableStream.create(url, content_type=JSON) as handle:
        for n in range(10):
            await handle.append(n)
        found: list[int] = []
        async with astream(url, offset="-1", live="sse") as reply:
            async for event in reply.iter_events(mode="json"):
                found += event.data
                if len(found) == 10:
                    break
        assert found == list(range(10))
        assert event.next_offset == (await handle.head()).offset


def test_the_client_from_pypi_reads_text_and_bytes(url: str) -> None:
    said = "line\r\nnext\r\u2028 grüße\n\n"
    with DurableStream.create(f"{url}-text", content_type="text/plain") as handle:
        handle.append(said)
        with handle.stream(live=False) as reply:
            assert reply.read_text() == said
    with DurableStream.create(f"{url}-bytes", content_type="application/octet-stream") as handle:
        handle.append(bytes(range(256)))
        with handle.stream(live=False) as reply:
            assert reply.read_bytes() == bytes(range(256))
