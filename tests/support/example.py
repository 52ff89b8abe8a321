"""A file of ``examples/`` as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.server import ROOT, clean_environ
from tests.support.waiting import eventually, free_port


class Example:
    """``with Example("plain_asgi", "--data-dir", path, log=tmp_path / "log") as app: app.http.get("/")``."""

    def __init__(self, name: str, *arguments: str, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=20, trust_env=False)
        self._command = [sys.executable, "-m", f"examples.{name}", "--port", str(self.port), *arguments]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Everything it has printed."""
        return self._log.read_text()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=clean_environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._answers, timeout=25, what=f"{self._command} answers")

    def kill9(self) -> None:
        self._end(signal.SIGKILL)

    def sigterm(self) -> None:
        self._end(signal.SIGTERM)

    def send(self, chat_id: str, text: str, **body: Any) -> httpx.Response:
        """Say something, as the published client does."""
        message = {"id": f"m-{text}", "role": "user", "parts": [{"type": "text", "content": text}]}
        return self.http.post("/api/chat", params={"id": chat_id}, json={"messages": [message], **body})

    def snapshot(self, chat_id: str) -> dict[str, Any]:
        """Messages, offset and active runs, as a page would get them."""
        reply = self.http.get("/api/chats", params={"id": chat_id})
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def events(self, chat_id: str, offset: str = "-1") -> list[dict[str, Any]]:
        """What is in the session after ``offset``."""
        reply = self.http.get("/api/chat-stream", params={"id": chat_id, "offset": offset})
        assert reply.status_code == 200, reply.text
        found: list[dict[str, Any]] = reply.json()
        return found

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"it exited with {self._process.returncode}:\n{self.log}")
        try:
            return bool(self.http.get("/").status_code)
        except httpx.TransportError:
            return False

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(15)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(15)
