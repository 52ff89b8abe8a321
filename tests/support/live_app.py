"""The application inside the test's process: a real server on a real socket, in a thread with its own loop.

For what must look inside (services, slots, tasks) or would be slow with a process each. Litestar's test
clients buffer event streams, so they are no use here.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx
import uvicorn
from litestar import Litestar

from tests.support.waiting import aeventually
from webapp.agents.base import Agent
from webapp.agents.cast import Member
from webapp.agents.scripted import EchoAgent
from webapp.app import create_app
from webapp.settings import Settings
from webapp.streams.clients.base import StreamClient
from webapp.web.bodies import MAX_BODY_BYTES
from webapp.web.server import bind, websockets
from webapp.web.services import Services, provide_services

T = TypeVar("T")


class LiveApp:
    """``with LiveApp(tmp_path, env={"DURABLE_CHAT_ACCESS": "open"}) as app: app.client().get("/")``."""

    def __init__(
        self,
        data_dir: Path,
        *,
        env: Mapping[str, str] | None = None,
        agent: Agent | None = None,
        agents: Sequence[Agent | Member] | None = None,
        streams: Callable[[], StreamClient] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``streams`` makes a stream client to use instead of the embedded server."""
        self.settings = Settings.from_environ(
            # Whoever tests a model counts what it is asked.
            {"DURABLE_CHAT_DATA_DIR": str(data_dir), "DURABLE_CHAT_TITLES": "off"} | dict(env or {})
        )
        self._agents = agents or [agent or EchoAgent(word_delay=0)]
        self._streams = streams
        self._clock = clock
        self._started: Future[None] = Future()
        self._clients: list[httpx.Client] = []
        self.app: Litestar
        self.loop: asyncio.AbstractEventLoop
        self.url = ""

    @property
    def services(self) -> Services:
        return provide_services(self.app.state)

    def client(self, **options: Any) -> httpx.Client:
        """A browser without cookies. Closed with the app."""
        client = httpx.Client(base_url=self.url, timeout=20, trust_env=False, **options)
        self._clients.append(client)
        return client

    def run(self, call: Callable[[Services], Awaitable[T]]) -> T:
        """Await ``call(services)`` on the app's own loop."""

        async def inside() -> T:
            return await call(self.services)

        return asyncio.run_coroutine_threadsafe(inside(), self.loop).result(20)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="live-app")
        self._thread.start()
        self._started.result(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        self.loop.call_soon_threadsafe(self._stop)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the app did not stop"

    def _stop(self) -> None:
        self.app.state["drain"].set()
        self._server.should_exit = True

    async def _main(self) -> None:
        try:
            self.loop = asyncio.get_running_loop()
            streams = self._streams() if self._streams else None
            self.app = create_app(self.settings, clock=self._clock, agents=self._agents, streams=streams)
            listen = bind("127.0.0.1", 0, stall_timeout=self.settings.streams.write_timeout)
            self.url = f"http://127.0.0.1:{listen.getsockname()[1]}"
            config = uvicorn.Config(
                self.app,
                http="httptools",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                **websockets(MAX_BODY_BYTES),
                timeout_graceful_shutdown=3,
            )
            self._server = uvicorn.Server(config)
            async with self.app.lifespan():
                serving = asyncio.create_task(self._server.serve(sockets=[listen]))
                await aeventually(lambda: self._server.started, interval=0.005)
                self._started.set_result(None)
                await serving
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)


class App(Protocol):
    """A LiveApp, or a ServerProcess."""

    def client(self, **options: Any) -> httpx.Client: ...


class Chatter:
    """A participant of an app: a browser with its cookie, and the calls a test makes most."""

    def __init__(self, app: App, *, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.app = app
        self.http = app.client(headers=headers)
        if token is None:
            self.http.get("/")

    def create_chat(self, **body: Any) -> str:
        reply = self.http.post("/api/chats", json=body)
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"])

    def send(
        self, chat_id: str, text: str, *, message_id: str = "", mode: str = "await", **body: Any
    ) -> httpx.Response:
        message = {"id": message_id, "role": "user", "parts": [{"type": "text", "content": text}]}
        return self.http.post(
            "/api/chat", params={"id": chat_id, "mode": mode}, json={"messages": [message], **body}
        )

    def link(self, chat_id: str, role: str) -> str:
        reply = self.http.post(f"/api/chats/{chat_id}/shares", json={"role": role})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["url"])

    def invited(self, chat_id: str, role: str) -> Chatter:
        """Somebody else, let in by a link of mine."""
        other = Chatter(self.app)
        assert other.http.get(self.link(chat_id, role)).status_code == 303
        return other

    def at(self, app: App) -> Chatter:
        """The same person at another app, which has the same secret and the same catalog."""
        there = Chatter(app)
        there.http.cookies.clear()
        there.http.cookies.update(self.http.cookies)
        return there

    def stop(self, chat_id: str, run_id: str | None = None) -> httpx.Response:
        return self.http.post("/api/chat/stop", json={"id": chat_id, "runId": run_id})

    def snapshot(self, chat_id: str) -> dict[str, Any]:
        reply = self.http.get(f"/api/chats/{chat_id}/snapshot")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def messages(self, chat_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.snapshot(chat_id)["messages"]
        return found
