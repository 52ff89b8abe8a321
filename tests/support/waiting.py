"""Polling, so that no test depends on how fast the machine is."""

from __future__ import annotations

import asyncio
import inspect
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(check: Callable[[], T], *, timeout: float = 15.0, interval: float = 0.02, what: str = "") -> T:
    """Call ``check`` until it returns something true and return that.

    An AssertionError or OSError inside ``check`` counts as "not yet". After ``timeout`` seconds the last
    value or error becomes the failure.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = check()
            problem: object = value
            if value:
                return value
        except (AssertionError, OSError) as error:
            problem = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'condition'} did not hold within {timeout} s; last: {problem!r}")
        time.sleep(interval)


async def aeventually(
    check: Callable[[], T | Awaitable[T]], *, timeout: float = 15.0, interval: float = 0.02, what: str = ""
) -> T:
    """``eventually`` for a running event loop; ``check`` may be a coroutine function."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            found = check()
            value: T = await found if inspect.isawaitable(found) else found
            problem: object = value
            if value:
                return value
        except (AssertionError, OSError) as error:
            problem = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'condition'} did not hold within {timeout} s; last: {problem!r}")
        await asyncio.sleep(interval)
