"""A model's server as its provider runs it, on a real socket, saying what a test tells it to."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.model_wire import DIALECTS, Cut, End, Hang, Piece, Step


@dataclass(frozen=True, slots=True)
class Answer:
    """A streamed answer. ``drip``: so many bytes at a time, with a breath in between."""

    pieces: tuple[Piece, ...]
    finish: str = "stop"
    drip: int = 0

    @classmethod
    def of(cls, *pieces: Piece, finish: str = "stop", drip: int = 0) -> Answer:
        return cls(pieces, finish, drip)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer with another status than 200. ``text`` is what the provider says about it."""

    status: int
    text: str = "refused"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that arrived, at ``at`` on the monotonic clock. Names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    at: float


class ModelServer:
    """``with ModelServer() as model: model.will(Answer.of(Text("Hello")), Refusal(500))``.

    It answers each request with the next thing it was told. ``asked`` are the requests so far; ``left``
    counts connections that the other side closed while they hung.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.left = 0
        self._replies: deque[Answer | Refusal] = deque()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """Without ``/v1``: Anthropic's clients add that themselves."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environ(self, key: str) -> dict[str, str]:
        """What leads the providers' own clients here, with ``key`` for all of them."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": key,
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": key,
            "OLLAMA_BASE_URL": f"{self.url}/v1",
            "OLLAMA_API_KEY": key,
        }

    def will(self, *replies: Answer | Refusal) -> None:
        """Answer the next requests so, after those it was told before."""
        self._replies.extend(replies)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def reply(self, asked: Asked) -> Answer | Refusal:
        self.asked.append(asked)
        return self._replies.popleft() if self._replies else Refusal(418, "nothing was said about this one")

    def hang(self, connection: socket.socket) -> None:
        """Return when the other side closes, or this one does."""
        while not self._closing.is_set():
            if select.select([connection], [], [], 0.02)[0] and not connection.recv(65536):
                self.left += 1
                return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are the point of some tests."""


def _handler(model: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.path.partition("?")[0], headers, body, time.monotonic())
            reply = model.reply(asked)
            if isinstance(reply, Refusal):
                self._refuse(reply)
            else:
                self._stream(DIALECTS[asked.path](reply.pieces, reply.finish), reply.drip)

        def _refuse(self, refusal: Refusal) -> None:
            error = {"message": refusal.text, "type": "refused", "code": "refused"}
            body = json.dumps({"type": "error", "error": error}).encode()
            self.send_response(refusal.status)
            for name, value in {"Content-Type": "application/json", **refusal.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, steps: Iterable[Step], drip: int) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for step in steps:
                if isinstance(step, Hang):
                    model.hang(self.connection)
                if isinstance(step, Hang | Cut):
                    self.close_connection = True
                    return
                if isinstance(step, End):
                    break
                size = drip or len(step)
                for at in range(0, len(step), size):
                    part = step[at : at + size]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                    if drip:
                        time.sleep(0.002)
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: Any) -> None:
            """Not on stderr."""

    return Handler
