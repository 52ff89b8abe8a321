"""What the page costs a browser: what it loads, a chat of 2,000 messages, typing, and an answer that streams.

Real Chromium, without the policy that would keep the measuring out. Times are of the machine it runs on,
and of a page that has the machine's other core to itself.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.report import percentile, table
from tests.support.long_chat import seed
from tests.support.server import ROOT, ServerProcess

sys.path.insert(0, str(ROOT / "playwright"))
from support import chromium

LONG = "two-thousand-messages"
TURNS = 1000
WORDS = "word " * 95  # with the ten pieces of an answer: 5 MB in all
LOADS = 5
KEYS = 60
TOKENS = 3000

PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
# From the key to the frame that shows it.
TYPING = """
() => {
  window.__typing = [];
  document.querySelector('#composer-input').addEventListener('keydown', ({timeStamp}) => {
    requestAnimationFrame(() => setTimeout(() => window.__typing.push(performance.now() - timeStamp)));
  });
}
"""


def weight(browser: Browser, url: str) -> list[list[object]]:
    """What an empty chat loads before anybody does anything, and what an answer adds."""
    context = browser.new_context(bypass_csp=True)
    loaded: dict[str, bytes] = {}
    kinds = {"text/html", "text/css", "text/javascript", "image/svg+xml"}
    context.on(
        "response",
        lambda reply: (
            loaded.__setitem__(urlsplit(reply.url).path, reply.body())
            if reply.headers.get("content-type", "").partition(";")[0] in kinds
            else None
        ),
    )
    page = open_chat(context.new_page(), url, chat_id=None)
    rows: list[list[object]] = []
    for when in ("at once", "with an answer"):
        if when != "at once":
            ask(page, "Hello")
            page.locator("#transcript [data-state=done].agent").wait_for()
        packed = {path: len(gzip.compress(body, 9)) / 1000 for path, body in loaded.items()}
        by_kind = [
            sum(size for path, size in packed.items() if path.rpartition(".")[2] == kind)
            for kind in ("js", "css")
        ]
        rows.append([when, len(packed), *by_kind, sum(packed.values())])
    context.close()
    return rows


def long_chat(browser: Browser, server: ServerProcess) -> list[object]:
    """The first load, then loads of a warm server; what they weigh, show and feel like."""
    http = server.client()
    times = []
    for _ in range(LOADS + 1):
        started = time.perf_counter()
        reply = http.get(f"/chat/{LONG}")
        reply.raise_for_status()
        times.append((time.perf_counter() - started) * 1000)
    paints = []
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    for _ in range(LOADS):
        open_chat(page, server.url, chat_id=LONG)
        page.wait_for_function(PAINTED)
        paints.append(float(page.evaluate(PAINTED)))
    fill_the_page(page)
    page.evaluate(TYPING)
    page.locator("#composer-input").press_sequentially("a word " * (KEYS // 7), delay=30)
    page.wait_for_function(f"window.__typing.length > {KEYS // 7 * 7 - 2}")
    delays = [float(each) for each in page.evaluate("window.__typing")]
    context.close()
    kilobytes = len(reply.content) / 1000
    typing = percentile(delays, 0.5), percentile(delays, 0.99)
    return [times[0], percentile(times[1:], 0.5), kilobytes, percentile(paints, 0.5), *typing]


def fill_the_page(page: Page) -> None:
    """As many rows as a page ever has, with the end in view."""
    for _ in range(60):
        count = page.locator("#transcript article").count()
        if count > 300 or page.locator(".newer").count():
            break
        page.evaluate("document.querySelector('#scroller').scrollTop = 0")
        page.wait_for_function(f"document.querySelectorAll('#transcript article').length > {count}")
    page.evaluate("document.querySelector('#scroller').scrollTop = 1e9")


def streaming(browser: Browser, url: str, *, per_second: float) -> list[object]:
    """What the main thread does while an answer is written."""
    context = browser.new_context(bypass_csp=True)
    page = open_chat(context.new_page(), url, chat_id=None)
    devtools = context.new_cdp_session(page)
    devtools.send("Performance.enable")
    ask(page, f"/long {TOKENS}")
    page.wait_for_function(
        "document.querySelector('#transcript .agent .message-body')?.innerText.length > 100"
    )
    before, began, said = busy(devtools), time.monotonic(), words(page)
    while time.monotonic() - began < 10 and page.locator("#stop").is_visible():
        page.wait_for_timeout(500)
    spent, seconds, tokens = busy(devtools) - before, time.monotonic() - began, words(page) - said
    context.close()
    return [per_second, tokens / seconds, spent / tokens * 1e6, 100 * spent / seconds]


def busy(devtools: Any) -> float:
    """Seconds that the main thread has worked."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def words(page: Page) -> int:
    return int(
        page.evaluate(
            "document.querySelector('#transcript .agent .message-body').innerText.split(/\\s+/).length"
        )
    )


def open_chat(page: Page, origin: str, *, chat_id: str | None) -> Page:
    if chat_id is None:
        chat_id = page.context.request.post(f"{origin}/api/chats", data={}).json()["id"]
    page.goto(f"{origin}/chat/{chat_id}")
    page.locator("#chat[data-live=live]").wait_for()
    return page


def ask(page: Page, text: str) -> None:
    page.locator("#composer-input").fill(text)
    page.locator("#send").click()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(**chromium.launch_options())  # type: ignore[arg-type]
        data_dir = Path(folder) / "data"
        data_dir.mkdir()
        seed(data_dir, {LONG: TURNS}, pieces=10, words=WORDS)
        with ServerProcess(data_dir, env={"DURABLE_CHAT_ACCESS": "open"}) as server:
            rows = weight(browser, server.url)
            table(
                "What a chat page loads, gzipped", ("", "files", "kB scripts", "kB styles", "kB in all"), rows
            )
            long = ("first ms", "then p50 ms", "kB", "first paint ms", "typing p50 ms", "p99 ms")
            table("A chat of 2,000 messages and 5 MB", long, [long_chat(browser, server)])
        rates = []
        for per_second in (100, 500):
            env = {"DURABLE_CHAT_DEMO_WORD_DELAY": str(1 / per_second)}
            with ServerProcess(Path(folder) / f"at-{per_second}", env=env) as server:
                rates.append(streaming(browser, server.url, per_second=per_second))
        header = ("tokens/s wanted", "tokens/s", "main thread ms per 1,000", "busy %")
        table("An answer that streams", header, rates)
        browser.close()


if __name__ == "__main__":
    main()
