"""What the tabs of one browser cost the server: connections, and bytes for each token of an answer.

Real Chromium on plain HTTP/1.1, through a proxy that counts. Bytes are all that the server sends while the
answer is written, beats of presence and what tells the list of chats too.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Request, sync_playwright

from benchmarks.report import percentile, table
from tests.support.fault_proxy import FaultProxy
from tests.support.server import ROOT, ServerProcess

sys.path.insert(0, str(ROOT / "playwright"))
from support.chat_page import ChatPage
from support.chromium import launch_options
from support.people import People, Person

TOKENS = 500
PER_SECOND = 100
CASES = ((1, 1), (20, 1), (20, 20))
"""Tabs, and chats that they show."""


def measure(browser: Browser, server: ServerProcess, *, tabs: int, chats: int) -> list[object]:
    with FaultProxy(server.port) as proxy, People(browser, proxy.url) as people:
        person = people.join()
        following: set[Request] = set()

        def begun(request: Request) -> None:
            if "live=sse" in request.url:
                following.add(request)

        def ended(request: Request) -> None:
            following.discard(request)

        person.context.on("request", begun)
        person.context.on("requestfinished", ended)
        person.context.on("requestfailed", ended)
        urls = [new_chat(person) for _ in range(chats)]
        pages = [person.open(urls[number % chats]) for number in range(tabs)]
        asked, before = pages[0], proxy.passed
        open_now: list[tuple[int, int]] = []
        asked.send(f"/long {TOKENS}")
        while not written(asked):
            open_now.append((len(following), proxy.open_links))
            asked.page.wait_for_timeout(100)
        spent = proxy.passed - before
        for page in pages[::chats]:
            page.wait_rows(2)
        replies, links = zip(*open_now, strict=True)
        return [tabs, chats, max(replies), percentile(links, 0.5), max(links), spent / TOKENS]


def new_chat(person: Person) -> str:
    reply = person.context.request.post(f"{person.origin}/api/chats", data={})
    return f"{person.origin}/chat/{reply.json()['id']}"


def written(page: ChatPage) -> bool:
    rows = page.rows
    return len(rows) == 2 and all(row.state == "done" for row in rows)


def main() -> None:
    env = {"DURABLE_CHAT_DEMO_WORD_DELAY": str(1 / PER_SECOND), "DURABLE_CHAT_TITLES": "off"}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())  # type: ignore[arg-type]
        with ServerProcess(Path(folder) / "data", env=env) as server:
            rows = [measure(browser, server, tabs=tabs, chats=chats) for tabs, chats in CASES]
        browser.close()
    header = ("tabs", "chats", "open replies", "connections p50", "most", "bytes per token")
    table(f"The tabs of one browser, one answer of {TOKENS} tokens at {PER_SECOND} a second", header, rows)


if __name__ == "__main__":
    main()
