"""Fixtures for every test but those of the browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.server import ServerProcess


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
