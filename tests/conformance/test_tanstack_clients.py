"""TanStack's published ``ChatClient`` with its published adapters, against our three transports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.node_tests import run_node_tests
from tests.support.server import ServerProcess

SCRIPT = Path(__file__).with_name("tanstack-clients.test.js")
ADAPTERS = ("fetchServerSentEvents", "fetchHttpStream", "webSocket")
CUTS = 3


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_the_published_client(
    start_server: Callable[..., ServerProcess], start_proxy: Callable[[int], FaultProxy]
) -> None:
    server = start_server(
        env={"DURABLE_CHAT_DEMO_WORD_DELAY": "0.01", "DURABLE_CHAT_PING_INTERVAL": "0.1"},
    )
    proxies = {name: start_proxy(server.port) for name in ADAPTERS}
    for proxy in proxies.values():
        # In the middle of an event, whatever the transport: no event is this short.
        proxy.cut_after(1507, connections=CUTS)
    urls = {f"CUT_URL_{name}": proxy.url for name, proxy in proxies.items()}
    run_node_tests(SCRIPT, passes=8 * len(ADAPTERS) + 2, timeout=80, APP_URL=server.url, **urls)
    # Each was cut so often and came back every time.
    assert {name: proxy.accepted for name, proxy in proxies.items()} == dict.fromkeys(ADAPTERS, CUTS + 1)
    assert "Traceback" not in server.log
