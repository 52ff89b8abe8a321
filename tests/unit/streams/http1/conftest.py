"""Servers that are closed with the test, which leaves no task behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.http1 import House, TestSite
from tests.support.waiting import aeventually
from webapp.streams.http1 import HttpLimits, HttpServer


@pytest.fixture
async def open_house() -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def opened(site: TestSite | None = None, **limits: Any) -> House:
            site = site or TestSite()
            listen = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            server = HttpServer(site, limits=HttpLimits(**limits))
            await server.start(listen)
            stack.push_async_callback(server.aclose, grace=0.0)
            return House(site, server, listen.getsockname()[1], stack)

        yield opened


@pytest.fixture(autouse=True)
async def no_task_is_left_behind() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await aeventually(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})
