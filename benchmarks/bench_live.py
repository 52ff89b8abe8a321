"""From a POST to another browser's DOM, while 1, 10 and 100 readers follow the same chat.

One reader is a real Chromium page; the others are plain HTTP readers in this process, so at 100 the readers
themselves take a share of the machine. Then the same with ten browsers, each of somebody else.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.report import percentile, table
from tests.support.server import ROOT, ServerProcess
from tests.support.sse import afollow
from tests.support.waiting import eventually

sys.path.insert(0, str(ROOT / "playwright"))
from support.chromium import launch_options

READERS = (1, 10, 100)
BROWSERS = 10
MESSAGES = 60

# Date.now() and time.time() read one clock here; performance gives it fractions of a millisecond.
OBSERVE = """
() => {
  window.__arrived = {};
  const now = () => performance.timeOrigin + performance.now();
  new MutationObserver(records => {
    for (const record of records) for (const node of record.addedNodes)
      if (node.dataset?.messageId) window.__arrived[node.dataset.messageId] ??= now();
  }).observe(document.querySelector('#transcript'), {childList: true, subtree: true});
}
"""


@contextmanager
def plain_readers(count: int, url: str, query: dict[str, str], headers: dict[str, str]) -> Iterator[None]:
    """Keep ``count`` HTTP readers on a stream, from a thread of their own."""
    loop = asyncio.new_event_loop()
    ready = threading.Semaphore(0)

    async def read(client: httpx.AsyncClient) -> None:
        async for event in afollow(client, url, **query, live="sse"):
            if event.event == "control":
                ready.release()

    async def all_readers() -> None:
        async with httpx.AsyncClient(headers=headers, limits=httpx.Limits(max_connections=None)) as client:
            await asyncio.gather(*(read(client) for _ in range(count)))

    task = loop.create_task(all_readers())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()
    for _ in range(count):
        assert ready.acquire(timeout=30)
    yield
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
    loop.close()


def measure(page: Page, server: ServerProcess, readers: int) -> list[object]:
    chat = httpx.post(f"{server.url}/api/chats", json={}).json()
    headers = {"Authorization": f"Bearer {chat['token']}"}
    open_chat(page, server, chat["id"])
    acks: list[float] = []
    sent: dict[str, float] = {}
    query = {"id": chat["id"], "offset": page.locator("#chat").get_attribute("data-offset") or "-1"}
    stream = f"{server.url}/api/chat-stream"
    with plain_readers(readers - 1, stream, query, headers), httpx.Client(headers=headers) as client:
        for number in range(MESSAGES):
            message_id, sent_at = say(client, server, chat["id"], number)
            sent[message_id] = sent_at
            acks.append((time.time() - sent[message_id]) * 1000)
            eventually(partial(page.evaluate, "key => key in window.__arrived", message_id))
        arrived = page.evaluate("window.__arrived")
    delays = [arrived[key] - moment * 1000 for key, moment in sent.items()]
    both = (acks, delays)
    return [readers, *(percentile(values, share) for values in both for share in (0.5, 0.99))]


def everywhere(browser: Browser, server: ServerProcess) -> list[object]:
    """A message at all of ``BROWSERS`` people, each with a browser, and at the last of them."""
    chat = httpx.post(f"{server.url}/api/chats", json={}).json()
    pages = [browser.new_context().new_page() for _ in range(BROWSERS)]
    for page in pages:
        open_chat(page, server, chat["id"])
    delays: list[float] = []
    last: list[float] = []
    with httpx.Client(headers={"Authorization": f"Bearer {chat['token']}"}) as client:
        for number in range(MESSAGES):
            message_id, sent_at = say(client, server, chat["id"], number)
            for page in pages:
                eventually(partial(page.evaluate, "key => key in window.__arrived", message_id))
            arrived = [page.evaluate("key => window.__arrived[key]", message_id) for page in pages]
            delays += [moment - sent_at * 1000 for moment in arrived]
            last.append(max(arrived) - sent_at * 1000)
    return [BROWSERS, *(percentile(values, share) for values in (delays, last) for share in (0.5, 0.99))]


def open_chat(page: Page, server: ServerProcess, chat_id: str) -> None:
    page.goto(f"{server.url}/chat/{chat_id}")
    page.locator("#chat[data-live=live]").wait_for()
    page.evaluate(OBSERVE)


def say(client: httpx.Client, server: ServerProcess, chat_id: str, number: int) -> tuple[str, float]:
    """The message's id, and when it was on its way."""
    message_id = secrets.token_hex(8)
    text = {"type": "text", "content": f"/silent {number}"}
    body = {"messages": [{"id": message_id, "role": "user", "parts": [text]}]}
    sent_at = time.time()
    client.post(f"{server.url}/api/chat?id={chat_id}", json=body).raise_for_status()
    return message_id, sent_at


def main() -> None:
    env = {"DURABLE_CHAT_SLOTS_PER_PRINCIPAL": "1000", "DURABLE_CHAT_ACCESS": "open"}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())  # type: ignore[arg-type]
        with ServerProcess(Path(folder) / "data", env=env) as server:
            page = browser.new_page()
            measure(page, server, 1)  # warm-up
            rows = [measure(page, server, readers) for readers in READERS]
            page.close()
            ten = everywhere(browser, server)
        browser.close()
    header = ("readers", "ack p50", "ack p99", "DOM p50", "DOM p99")
    table(f"POST to acknowledgement and to another browser's DOM, ms ({MESSAGES} messages)", header, rows)
    header = ("browsers", "DOM p50", "DOM p99", "last DOM p50", "last DOM p99")
    table(f"POST to the DOM of ten browsers, ms ({MESSAGES} messages)", header, [ten])


if __name__ == "__main__":
    main()
