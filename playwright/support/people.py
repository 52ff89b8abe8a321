"""People, each with a browser context of their own: cookies, storage, and a guard over all it does."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from playwright.sync_api import Browser, BrowserContext

from support.chat_page import WATCH, ChatPage
from support.guard import NETWORK, Guard
from tests.support.waiting import eventually

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


class Person:
    """One guest. The first page they open gives them their cookie."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context = context
        self.origin = origin
        self.guard = Guard(context, origins={origin})
        context.add_init_script(WATCH)

    def new_chat(self) -> ChatPage:
        """Make a chat of one's own and open it in a tab."""
        reply = self.context.request.post(f"{self.origin}/api/chats", data={})
        assert reply.status == 201, (reply.status, reply.text())
        return self.open(f"{self.origin}/chat/{reply.json()['id']}")

    def open(self, url: str) -> ChatPage:
        """Open a chat or a share link in a new tab."""
        page = self.context.new_page()
        page.goto(url)
        return ChatPage(page, page.url, self.guard).wait_live()

    def equals_fresh(self, chat: ChatPage) -> None:
        """The live tab comes to show exactly what a tab shows that was just loaded, row by row."""
        fresh = self.open(chat.url)
        loaded = fresh.structure()
        cut = fresh.page.locator(".older").count() > 0
        fresh.page.close()

        def equal() -> bool:
            rows = chat.structure()[-len(loaded) if cut else 0 :]  # the live tab may show more of a long chat
            for number, (live, row) in enumerate(zip(rows, loaded, strict=True)):
                assert live == row, f"row {number}\nlive:   {live}\nloaded: {row}"
            return True

        eventually(equal, timeout=8, what="the live tab equals a fresh one")

    def expect_broken_network(self) -> None:
        self.guard.allow(NETWORK)


class People:
    """Makes people and, at the end, checks that none of their pages misbehaved."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self.browser = browser
        self.origin = origin
        self._present: list[Person] = []

    def join(self, **options: Any) -> Person:
        context = self.browser.new_context(**{**DESKTOP, **options})
        context.set_default_timeout(15_000)
        person = Person(context, self.origin)
        self._present.append(person)
        return person

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for person in self._present:
            person.context.close()
        if error is None:
            for person in self._present:
                person.guard.check()
