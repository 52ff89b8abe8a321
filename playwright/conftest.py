"""Real Chromium, a real server per module, and people: each a browser context of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from playwright.sync_api import Browser

from support import chromium
from support.people import People
from tests.support.fault_proxy import FaultProxy
from tests.support.server import ServerProcess


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return chromium.launch_options()


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream: Mapping[str, str]
) -> Iterator[ServerProcess]:
    """The module's server. ``SERVER_ENV`` in the module sets its environment."""
    env = {**upstream, **getattr(request.module, "SERVER_ENV", {})}
    with ServerProcess(tmp_path_factory.mktemp("server") / "data", env=env) as server:
        yield server


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[FaultProxy]:
    with FaultProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def people(browser: Browser, server: ServerProcess) -> Iterator[People]:
    """People at the server's own address."""
    with People(browser, server.url) as people:
        yield people


@pytest.fixture
def people_behind(browser: Browser, proxy: FaultProxy) -> Iterator[People]:
    """People whose every connection goes through the fault proxy."""
    with People(browser, proxy.url) as people:
        yield people
