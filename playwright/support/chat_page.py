"""One chat in one tab, as a person uses it. The only place that knows the page's ids and attributes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, Self

from playwright.sync_api import Locator, Page

from support.guard import Guard
from tests.support.waiting import eventually

PATIENCE = 20.0

ROWS = """
() => [...document.querySelectorAll('#transcript article[data-message-id]')].map(row => ({
  id: row.dataset.messageId,
  state: row.dataset.state ?? '',
  text: [...row.querySelectorAll('.message-body')].map(body => body.innerText).join('\\n'),
}))
"""

# What a reader could tell apart: structure, text and attributes, less what changes with the clock.
STRUCTURE = """
() => [...document.querySelectorAll('#transcript [data-message-id]')].map(row => {
  const copy = row.cloneNode(true);
  for (const time of copy.querySelectorAll('time')) time.replaceChildren();
  for (const node of copy.querySelectorAll('pre, code')) node.normalize();
  const walk = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT);
  const blanks = [];
  while (walk.nextNode()) {
    const text = walk.currentNode;
    if (text.parentElement.closest('pre, code')) continue;
    if (!text.data.trim()) blanks.push(text);
    else text.data = text.data.replace(/\\s+/g, ' ');
  }
  blanks.forEach(text => text.remove());
  for (const element of [copy, ...copy.querySelectorAll('*')]) {
    const attributes = [...element.attributes].map(a => [a.name, a.value]).sort();
    for (const [name] of attributes) element.removeAttribute(name);
    for (const [name, value] of attributes) element.setAttribute(name, value);
  }
  return copy.outerHTML;
})
"""

# Every frame: how many rows there are, and whether the text of any row ever became shorter.
WATCH = """
(() => {
  const seen = window.__watch = {frames: 0, fewest: Infinity, shrunk: []};
  const lengths = new Map();
  const look = () => {
    const list = document.querySelector('#transcript');
    if (list && document.readyState !== 'loading') {
      const rows = [...list.querySelectorAll('article[data-message-id]')];
      seen.frames += 1;
      seen.fewest = Math.min(seen.fewest, rows.length);
      for (const row of rows) {
        const id = row.dataset.messageId, size = row.textContent.replace(/\\s/g, '').length;
        if (size < (lengths.get(id) ?? 0) / 2) seen.shrunk.push([id, lengths.get(id), size]);
        lengths.set(id, size);
      }
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})()
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A message as it is on the screen."""

    id: str
    state: str
    text: str

    @property
    def words(self) -> list[str]:
        return self.text.split()


class ChatPage:
    """A tab on one chat. Everything waits; nothing sleeps."""

    def __init__(self, page: Page, url: str, guard: Guard) -> None:
        self.page = page
        self.url = url
        self.guard = guard

    @property
    def id(self) -> str:
        return self.url.rstrip("/").rsplit("/", 1)[-1]

    def open(self) -> Self:
        self.page.goto(self.url)
        return self.wait_live()

    def reload(self) -> Self:
        self.page.reload()
        return self

    def wait_live(self) -> Self:
        eventually(lambda: self.live == "live", timeout=PATIENCE, what=f"{self.url} is live")
        return self

    @property
    def live(self) -> str:
        return self.page.locator("#chat").get_attribute("data-live") or ""

    @property
    def offset(self) -> str:
        return self.page.locator("#chat").get_attribute("data-offset") or ""

    @property
    def composer(self) -> Locator:
        return self.page.locator("#composer-input")

    def send(self, text: str) -> None:
        self.composer.fill(text)
        self.composer.press("Enter")

    @property
    def rows(self) -> list[Row]:
        return [Row(**row) for row in self.page.evaluate(ROWS)]

    def structure(self) -> list[str]:
        """Each row's HTML, normalised, so that a live page can be compared with a fresh one."""
        return list(self.page.evaluate(STRUCTURE))

    def wait_rows(self, count: int, *, state: str = "done") -> list[Row]:
        """Wait until there are ``count`` rows and all are in ``state``."""

        def settled() -> list[Row] | None:
            rows = self.rows
            assert len(rows) == count, [(row.id, row.state, row.text[:40]) for row in rows]
            assert all(row.state == state for row in rows), [(row.state, row.text[:40]) for row in rows]
            return rows

        return eventually(settled, timeout=PATIENCE, what=f"{count} rows {state}") or []

    def wait_words(self, count: int) -> list[str]:
        """Wait until the last row has at least ``count`` words."""

        def enough() -> list[str] | None:
            rows = self.rows
            return rows[-1].words if rows and len(rows[-1].words) >= count else None

        return eventually(enough, timeout=PATIENCE, what=f"{count} words") or []

    def wait_text(self, pattern: str) -> Row:
        """Wait for a row whose text matches the regular expression; return the last such row."""
        found = eventually(
            lambda: [row for row in self.rows if re.search(pattern, row.text)],
            timeout=PATIENCE,
            what=f"a row with {pattern!r}",
        )
        return found[-1]

    def wait_state(self, state: str, *, index: int = -1) -> Row:
        def reached() -> Row | None:
            rows = self.rows
            assert rows
            assert rows[index].state == state, [(row.state, row.text[:40]) for row in rows]
            return rows[index]

        row = eventually(reached, timeout=PATIENCE, what=f"row {index} {state}")
        assert row is not None
        return row

    def snapshot(self) -> dict[str, Any]:
        """The server's own account of the chat, with this tab's cookie."""
        reply = self.page.context.request.get(f"{self.origin}/api/chats/{self.id}/snapshot")
        assert reply.ok, reply.status
        return dict(reply.json())

    @property
    def origin(self) -> str:
        return self.url.split("/chat/")[0]

    def share(self, role: Literal["view", "chat", "approve"] = "chat") -> str:
        """A link for somebody else."""
        reply = self.page.context.request.post(
            f"{self.origin}/api/chats/{self.id}/shares", data={"role": role}
        )
        assert reply.status == 201, (reply.status, reply.text())
        return str(reply.json()["url"])

    def copy_link(self, role: Literal["view", "chat"]) -> None:
        """Choose what people with the link may do, press "Copy link", and wait until it says so."""
        self.open_share()
        self.page.locator("#share-role").select_option(role)
        self.page.locator("#copy-link").click()
        self.page.locator("#copy-link", has_text="Copied").wait_for()
        self.page.keyboard.press("Escape")

    def open_share(self) -> Locator:
        """The share dialog, opened by its button."""
        self.page.locator("#share").click()
        dialog = self.page.locator("#share-dialog")
        dialog.wait_for()
        return dialog

    def clipboard(self) -> str:
        """What was copied last (the context needs clipboard permissions)."""
        read = "() => navigator.clipboard.readText()"
        return str(eventually(lambda: self.page.evaluate(read), timeout=PATIENCE, what="something copied"))

    def retry_now(self) -> None:
        """Do not wait for the next attempt: what a device says when it has a network again."""
        self.page.evaluate("() => { window.dispatchEvent(new Event('online')) }")

    def assert_steady(self, rows: int) -> None:
        """In no frame since this document was loaded were there fewer rows, or did a text fall back."""
        seen = self.page.evaluate("window.__watch")
        assert seen["frames"] > 0
        assert seen["fewest"] >= rows, f"a frame showed {seen['fewest']} of {rows} rows"
        assert not seen["shrunk"], f"text became shorter (id, before, after): {seen['shrunk']}"

    def mark(self) -> None:
        """Leave a note in the document: a reload would wipe it."""
        self.page.evaluate("() => { window.__mark = true }")

    @property
    def marked(self) -> bool:
        return bool(self.page.evaluate("() => window.__mark === true"))


def text_of(message: dict[str, Any]) -> str:
    """The text parts of a UIMessage."""
    return "".join(part.get("content", "") for part in message["parts"] if part["type"] == "text")


def same_everywhere(*pages: ChatPage) -> None:
    """All tabs converge to one transcript, and it is the server's."""
    expected = [message["id"] for message in pages[0].snapshot()["messages"]]

    def equal() -> bool:
        for page in pages:
            assert [row.id for row in page.rows] == expected
        structures = [[(row.id, row.words) for row in page.rows] for page in pages]
        assert all(structure == structures[0] for structure in structures)
        return True

    eventually(equal, what="equal transcripts")
