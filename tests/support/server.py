"""Servers as their users run them: each a process of its own, with its own data directory and port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.waiting import eventually, free_port

ROOT = Path(__file__).resolve().parents[2]


def clean_environ(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without the application's own settings, plus ``extra``.

    The repository root is importable, so that ``DURABLE_CHAT_AGENT=tests.support.agents:name`` works.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DURABLE_CHAT_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | dict(extra or {})


def ask(url: str, text: str) -> str:
    """Say ``text`` in a new chat of the server at ``url``, as a program would; return the answer."""
    chat = httpx.post(f"{url}/api/chats", json={}).json()
    with httpx.Client(headers={"Authorization": f"Bearer {chat['token']}"}, timeout=20) as http:
        message = {"id": "m-1", "role": "user", "parts": [{"type": "text", "content": text}]}
        reply = http.post(f"{url}/api/chat?id={chat['id']}&mode=await", json={"messages": [message]})
        assert reply.status_code == 200, reply.text
        snapshot = http.get(f"{url}/api/chats/{chat['id']}/snapshot").json()
    return "".join(part["content"] for part in snapshot["messages"][-1]["parts"])


class Process(ABC):
    """A server process that can be killed, frozen and started again. It lives as long as the ``with``."""

    ready = ("/readyz", 200)
    """A path, and the status it has once the server is ready."""

    def __init__(
        self,
        data_dir: Path,
        *,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        cwd: Path = ROOT,
    ) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.env = dict(env or {})
        self.cwd = cwd
        self.log_path = data_dir.parent / f"{data_dir.name}-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[httpx.Client] = []

    def client(self, **options: Any) -> httpx.Client:
        """A browser without cookies. Closed with the server."""
        client = httpx.Client(base_url=self.url, timeout=20, trust_env=False, **options)
        self._clients.append(client)
        return client

    @abstractmethod
    def command_line(self) -> Sequence[str]:
        """The words that start the server, in the foreground, as one process."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def streams_url(self) -> str:
        """The base address of its streams, if it is a stream server."""
        return f"{self.url}/v1/stream"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything all incarnations of this server have written to stdout and stderr."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self, *, wait: bool = True, timeout: float = 25.0) -> Self:
        """Start the process and wait until it is ready (unless ``wait`` is False)."""
        assert self._process is None or self._process.poll() is not None, "the server runs already"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command_line(),
                cwd=self.cwd,
                env=clean_environ(self.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_ready(timeout=timeout)
        return self

    def wait_ready(self, *, timeout: float = 25.0) -> None:
        path, status = self.ready

        def ready() -> bool:
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"the server exited with {self._process.returncode}:\n{self.log}")
            try:
                with urllib.request.urlopen(self.url + path, timeout=2) as reply:
                    return bool(reply.status == status)
            except urllib.error.HTTPError as refusal:
                with refusal:
                    return refusal.code == status

        try:
            eventually(ready, timeout=timeout, interval=0.05, what=f"readiness of {self.url}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from error

    def kill9(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed by the process itself."""
        self._signal(signal.SIGKILL)
        self.wait()

    def freeze(self) -> None:
        """SIGSTOP: it hangs. Connections are still taken by the kernel, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """End a ``freeze``."""
        self._signal(signal.SIGCONT)

    def sigterm(self, *, timeout: float = 15.0) -> int:
        """Ask politely; return the exit code."""
        self._signal(signal.SIGTERM)
        return self.wait(timeout=timeout)

    def restart(self) -> Self:
        """Start again on the same port and data directory; a running process is killed first."""
        if self._process is not None and self._process.poll() is None:
            self.kill9()
        return self.start()

    def wait(self, *, timeout: float = 15.0) -> int:
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self) -> None:
        """End the process whatever state it is in."""
        for client in self._clients:
            client.close()
        if self._process is None or self._process.poll() is not None:
            return
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        try:
            self._process.wait(12)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class ServerProcess(Process):
    """``python -m webapp serve`` under test.

    >>> with ServerProcess(tmp_path / "data", env={"DURABLE_CHAT_AGENT": "echo"}) as server:
    ...     server.url  # http://127.0.0.1:PORT
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        env: Mapping[str, str] | None = None,
        args: Sequence[str] = (),
        port: int | None = None,
        command: str = "serve",
        wrapper: Sequence[str] = (),
        executable: Sequence[str] = (sys.executable, "-m", "webapp"),
        cwd: Path = ROOT,
    ) -> None:
        """``wrapper`` goes in front of the command line (``strace …``); ``command`` may be ``streams``."""
        super().__init__(data_dir, env=env, port=port, cwd=cwd)
        self.args = tuple(args)
        self.command = command
        self.wrapper = tuple(wrapper)
        self.executable = tuple(executable)

    def command_line(self) -> Sequence[str]:
        line = [*self.wrapper, *self.executable, self.command, "--port", str(self.port)]
        return [*line, "--data-dir", str(self.data_dir), *self.args]
