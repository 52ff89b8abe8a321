"""What no page may ever do: log an error, throw, break its CSP, or ask another origin for anything."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Request, WebError

# A cut connection is an error to Chromium's console, though not to the page. Tests that cut allow it.
NETWORK = r"net::ERR_|the server responded with a status of 50[234]"


class Guard:
    """Watches one browser context. ``check`` raises with everything that was wrong."""

    def __init__(self, context: BrowserContext, *, origins: set[str]) -> None:
        self.requests: list[str] = []
        self._faults: list[str] = []
        self._allowed: list[str] = []
        self._origins = origins
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("dialog", self._on_dialog)

    def allow(self, pattern: str) -> None:
        """Console messages that match the regular expression are no fault in this test."""
        self._allowed.append(pattern)

    def check(self) -> None:
        faults = [fault for fault in self._faults if not any(re.search(ok, fault) for ok in self._allowed)]
        assert not faults, "the page misbehaved:\n" + "\n".join(faults)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") or "Content Security Policy" in message.text:
            self._faults.append(f"console {message.type}: {message.text} ({message.location.get('url')})")

    def _on_error(self, error: WebError) -> None:
        self._faults.append(f"uncaught: {error.error}")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        parts = urlsplit(request.url)
        local = parts.scheme in ("data", "blob", "about")
        if not local and f"{parts.scheme}://{parts.netloc}" not in self._origins:
            self._faults.append(f"foreign request: {request.url}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self._faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()
