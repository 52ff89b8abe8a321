"""A PostgreSQL of our own, for as long as the tests run: a catalog may live there as well as in SQLite."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import free_port

USER = "postgres"


def programs() -> Path | None:
    """The directory of ``initdb`` and ``postgres``; Debian keeps them off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Postgres:
    """A running server. It must not run as root, and need not outlive a crash."""

    def __init__(self, directory: Path, port: int) -> None:
        self._port = port
        self._directory = directory
        self._numbers = itertools.count()

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"catalog{next(self._numbers)}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", USER, name)
        return f"postgresql://{USER}@127.0.0.1:{self._port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        bin_directory = programs()
        assert bin_directory is not None
        command = [str(bin_directory / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", USER, "--", *command]
        done = subprocess.run(
            command,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}\n{done.stderr}"

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Postgres]:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            if os.geteuid() == 0:
                shutil.chown(directory, USER)
            server = cls(directory, free_port())
            data = str(directory / "data")
            server._run("initdb", "-D", data, "-A", "trust", "-U", USER, "--no-sync")
            options = f"-p {server._port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off"
            # With its output in a file: it would hold on to ours.
            server._run("pg_ctl", "-D", data, "-o", options, "-l", str(directory / "log"), "-w", "start")
            try:
                yield server
            finally:
                server._run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
