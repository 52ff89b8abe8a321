"""Fixtures for every test but those of the browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.fault_proxy import FaultProxy
from tests.support.live_app import Chatter, LiveApp
from tests.support.postgres import Postgres, programs
from tests.support.server import ServerProcess

# How fast a machine is decides no test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start real server processes that end with the test: ``start_server(env={…})``."""
    with ExitStack() as stack:

        def start(name: str = "data", **options: object) -> ServerProcess:
            return stack.enter_context(ServerProcess(tmp_path / name, **options))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def start_proxy() -> Iterator[Callable[[int], FaultProxy]]:
    """Put a fault proxy in front of a port; it ends with the test."""
    with ExitStack() as stack:
        yield lambda target: stack.enter_context(FaultProxy(target))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, upstream: Mapping[str, str]) -> Iterator[LiveApp]:
    """One running app per test module, answering with an echo: most tests only ask it something."""
    with LiveApp(tmp_path_factory.mktemp("data"), env=upstream) as live:
        yield live


@pytest.fixture
def ana(app: LiveApp) -> Chatter:
    """A participant of ``app``."""
    return Chatter(app)


@pytest.fixture
def ben(app: LiveApp) -> Chatter:
    """Another participant of ``app``."""
    return Chatter(app)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with Postgres.running() as server:
        yield server
