"""A browser with a window of its own, driven from outside: only one tab is in view, and others can be frozen.

The browsers that Playwright starts tell every tab that it is in view, and forget pages that are left.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, BrowserType, CDPSession

from support import chromium
from support.chat_page import ChatPage
from support.people import Person

LAN_NAME = "chat.test"
"""Leads to this machine, and is no secure context."""


@contextmanager
def window(browser_type: BrowserType, profile: Path) -> Iterator[BrowserContext]:
    options: dict[str, Any] = chromium.launch_options()
    command = [
        options.get("executable_path") or browser_type.executable_path,
        "--headless=new",
        *options["args"],
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        f"--host-resolver-rules=MAP {LAN_NAME} 127.0.0.1",
        "about:blank",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = next(found[0] for line in process.stderr if (found := re.search(r"ws://\S+", line)))
        browser = browser_type.connect_over_cdp(address, no_defaults=True)
        try:
            yield browser.contexts[0]
        finally:
            browser.close()
            process.terminate()


@contextmanager
def at_window(context: BrowserContext, origin: str) -> Iterator[Person]:
    """Whoever sits there; their tabs are closed when they leave."""
    context.set_default_timeout(15_000)
    person = Person(context, origin)
    person.expect_broken_network()
    blank = context.pages[0]
    yield person
    for page in context.pages:
        if page is not blank:
            page.close()
    person.guard.check()


def freeze(tab: ChatPage) -> CDPSession:
    """As browsers do with tabs that are not in view, until ``wake``."""
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    return session


def wake(session: CDPSession) -> None:
    session.send("Page.setWebLifecycleState", {"state": "active"})
    session.detach()
