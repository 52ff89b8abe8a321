"""The protocol's reference server, from npm: another implementation, in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from tests.support.server import Process

SCRIPT = Path(__file__).with_name("node_stream_server.mjs")


@cache
def node() -> str:
    """The Node executable itself: what is found first may be a launcher, and no signal would get through."""
    found = shutil.which("node")
    assert found, "Node is needed to run the reference server"
    asked = subprocess.run([found, "-p", "process.execPath"], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


class NodeStreamServer(Process):
    """``@durable-streams/server``. With ``memory``, nothing of it outlives the process."""

    ready = ("/", 404)

    def __init__(self, data_dir: Path, *, memory: bool = False, port: int | None = None) -> None:
        super().__init__(data_dir, port=port)
        self.memory = memory

    def command_line(self) -> Sequence[str]:
        kept = [] if self.memory else [str(self.data_dir)]
        return [node(), str(SCRIPT), str(self.port), *kept]

    def inject(self, stream: str, **fault: Any) -> None:
        """Have the server break its next replies about ``stream``: its own faults, such as ``status=503,
        retryAfter=1, count=3`` or ``dropConnection=True``.
        """
        path = f"{self.streams_url}/{stream}".removeprefix(self.url)
        httpx.post(f"{self.url}/_test/inject-error", json={"path": path, **fault}).raise_for_status()
