"""An app whose agent waits at a door until a test lets it through, and a person in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import Door


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.fixture(scope="module")
def gated(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    """It pings often, and lets nobody hold many connections."""
    env = {"DURABLE_CHAT_PING_INTERVAL": "0.05", "DURABLE_CHAT_SLOTS_PER_PRINCIPAL": "3"}
    with LiveApp(tmp_path_factory.mktemp("gated"), env=env, agent=door) as live:
        yield live


@pytest.fixture
def dora(gated: LiveApp) -> Chatter:
    return Chatter(gated)
