"""A process of the app that need not import it first: it is forked from one that has, and does nothing else.

Owns the fork and what a command line would have given: arguments, folder, environment and log. It has an id
of its own and can be killed, as any other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["webapp.cli"])


class WarmProcess:
    """``python -m webapp ARGUMENTS``, with what ``subprocess.Popen`` has to tell and to steer it."""

    def __init__(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> None:
        self._process = _FORKS.Process(target=_run, args=(list(arguments), cwd, dict(env), log), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal that ended it, if one did."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if (code := self.returncode) is None:
            raise subprocess.TimeoutExpired("webapp", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], cwd: Path, env: dict[str, str], log: Path) -> None:
    from webapp.cli import main

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    with log.open("ab") as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    main(arguments, prog_name="durable-chat")
