"""What a page of a long chat weighs: as much as what it shows, not as what was ever said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.long_chat import seed
from tests.support.server import ServerProcess

LONG, SHORT, TOKENS = "two-thousand-messages", "two-hundred-messages", "many-tokens"
WORDS = "word " * 95


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data_dir: Path = tmp_path_factory.mktemp("long") / "data"
    data_dir.mkdir()
    seed(data_dir, {LONG: 1000, SHORT: 100}, pieces=10, words=WORDS)
    seed(data_dir, {TOKENS: 100}, pieces=10, words=WORDS, split=8)
    with ServerProcess(data_dir, env={"DURABLE_CHAT_ACCESS": "open"}) as server:
        yield server


def page(http: httpx.Client, chat_id: str) -> str:
    reply = http.get(f"/chat/{chat_id}")
    reply.raise_for_status()
    return reply.text


def test_a_page_of_2000_messages(server: ServerProcess) -> None:
    """AC-42, the bytes of it; how long it takes is in ``make bench``."""
    http = server.client()
    long = page(http, LONG)
    said = sum(
        len(part["content"])
        for message in http.get(f"/api/chats/{LONG}/snapshot").json()["messages"]
        for part in message["parts"]
    )
    assert said > 4_900_000
    assert len(long.encode()) <= 200_000
    assert len(long) <= 1.02 * len(page(http, SHORT)), "a page is as long as its window"
    assert 2 <= len(re.findall(r"<article [^>]*data-message-id=\"[aq]", long)) <= 60


def test_a_page_does_not_grow_with_tokens(server: ServerProcess) -> None:
    """AC-43: eight times the events, the same page."""
    http = server.client()
    assert len(page(http, TOKENS)) <= 1.02 * len(page(http, SHORT))
