"""Bytes on the wire per token: one answer over every transport at once, each through a proxy that counts.

Everything from the server to the client counts: heads, framing, ids and what the events are wrapped in. A
token is what the agent yields, here a word; at speed several are stored, and sent, as one event.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
from websockets.sync.client import connect

from benchmarks.report import table
from tests.support.fault_proxy import FaultProxy
from tests.support.run_transports import TRANSPORTS, Chunk, Transport, run_input
from tests.support.server import ServerProcess
from tests.support.sse import batches, follow
from webapp.agents.scripted_texts import long_text

TOKENS = 500
RATES = (30, 100, 500)
"""Tokens a second: what people read along with, and faster."""

END = ("RUN_FINISHED", "RUN_ERROR")


class Chat:
    """A chat of its own, and the one message that is sent over every transport."""

    def __init__(self, server: ServerProcess) -> None:
        chat = httpx.post(f"{server.url}/api/chats", json={}).json()
        self.id: str = chat["id"]
        self.headers = {"Authorization": f"Bearer {chat['token']}"}
        self.asked = run_input(f"/long {TOKENS}", message_id="m1", run_id=f"run-{self.id}")

    def client(self, url: str) -> httpx.Client:
        return httpx.Client(base_url=url, headers=self.headers, timeout=60, trust_env=False)

    def over(self, transport: Transport, url: str) -> Iterator[Chunk]:
        """A request that is answered with the run."""
        with self.client(url) as http, transport.post(http, self.id, self.asked) as reply:
            yield from (chunk for _, chunk in reply.read())

    def over_websocket(self, url: str) -> Iterator[Chunk]:
        address = f"{url.replace('http', 'ws', 1)}/api/chat/ws?id={self.id}"
        with connect(address, additional_headers=self.headers, proxy=None) as socket:
            socket.send(json.dumps(self.asked))
            for text in socket:
                if chunk := json.loads(text).get("chunk"):
                    yield chunk

    def over_durable(self, url: str) -> Iterator[Chunk]:
        """The message by one request, the stream by another."""
        with self.client(url) as http:
            http.post("/api/chat", params={"id": self.id}, json=self.asked).raise_for_status()
            for batch in batches(follow(http, "/api/chat-stream", id=self.id, offset="-1", live="sse")):
                yield from batch.items


def read(chunks: Iterator[Chunk]) -> tuple[str, int]:
    """What was said until the end of the run, and in how many events."""
    said = []
    asked = None
    for chunk in chunks:
        if chunk["type"] == "TEXT_MESSAGE_START" and chunk.get("role") == "user":
            asked = chunk["messageId"]
        if chunk["type"] == "TEXT_MESSAGE_CONTENT" and chunk["messageId"] != asked:
            said.append(chunk["delta"])
        if chunk["type"] in END:
            break
    return "".join(said), len(said)


def measure(rate: int, folder: Path) -> Iterator[list[object]]:
    env = {"DURABLE_CHAT_DEMO_WORD_DELAY": str(1 / rate)}
    with ExitStack() as stack:
        server = stack.enter_context(ServerProcess(folder / f"data-{rate}", env=env))
        chat = Chat(server)
        ways: dict[str, Callable[[str], Iterator[Chunk]]] = {
            **{transport.name: partial(chat.over, transport) for transport in TRANSPORTS},
            "websocket": chat.over_websocket,
            "durable sse": chat.over_durable,
        }
        proxies = {name: stack.enter_context(FaultProxy(server.port)) for name in ways}
        with ThreadPoolExecutor(len(ways)) as pool:
            readers = {name: pool.submit(read, way(proxies[name].url)) for name, way in ways.items()}
        text = long_text(TOKENS)
        for name, reader in readers.items():
            said, events = reader.result()
            assert said == text, f"{name} did not bring the whole answer"
            proxy = proxies[name]
            per_token = proxy.passed / TOKENS
            yield [
                rate,
                name,
                proxy.accepted,
                events,
                proxy.passed,
                per_token,
                proxy.passed / len(text.encode()),
            ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for rate in RATES for row in measure(rate, Path(folder))]
    header = ("tokens/s", "transport", "connections", "events", "bytes", "bytes/token", "per byte of text")
    table(f"Bytes from the server to one client, an answer of {TOKENS} tokens", header, rows)


if __name__ == "__main__":
    main()
