"""The published ``ChatClient`` over durable connections, ours and the published one, against the app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.node_tests import run_node_tests
from tests.support.server import ServerProcess

SCRIPT = Path(__file__).with_name("session-clients.test.js")
CUTS = 3

SESSIONS = {"durableStreamConnection": 15, "sharedConnection": 15, "published": 10}
RUNS = {"fetchServerSentEvents": 8, "fetchHttpStream": 8, "webSocket": 8}


@pytest.fixture
def server(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server(
        env={
            "DURABLE_CHAT_ACCESS": "open",
            "DURABLE_CHAT_DEMO_WORD_DELAY": "0.01",
            "DURABLE_CHAT_PING_INTERVAL": "0.1",
        },
    )


def drive(server: ServerProcess, adapter: str, *, cases: int, **env: str) -> None:
    """Run every case of ``adapter``; there are so many."""
    run_node_tests(SCRIPT, passes=cases, timeout=110, APP_URL=server.url, ADAPTERS=adapter, **env)
    assert "Traceback" not in server.log


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("adapter", "cases"), SESSIONS.items())
def test_everybody_hears_everything(adapter: str, cases: int, server: ServerProcess) -> None:
    drive(server, adapter, cases=cases)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("adapter", "cases"), RUNS.items())
def test_a_run_per_request_or_frame(
    adapter: str, cases: int, server: ServerProcess, start_proxy: Callable[[int], FaultProxy]
) -> None:
    proxy = start_proxy(server.port)
    # In the middle of an event, whatever the transport: no event is this short.
    proxy.cut_after(1507, connections=CUTS)
    drive(server, adapter, cases=cases, **{f"CUT_URL_{adapter}": proxy.url})
    assert proxy.accepted == CUTS + 1
