"""Which Firefox the key flows are driven with: one that is installed, as Debian's is, over WebDriver BiDi."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Playwright

NAMES = ("firefox-esr", "firefox")

# What a cut connection is to its console, though not to the page.
NETWORK = r"NetworkError|NS_ERROR_|Cross-Origin Request Blocked|was interrupted while the page was loading"


@contextmanager
def launched(playwright: Playwright) -> Iterator[Browser]:
    """Skips without one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("Firefox is missing")
    browser = playwright.firefox.launch(channel="moz-firefox", executable_path=found)
    try:
        yield browser
    finally:
        browser.close()
