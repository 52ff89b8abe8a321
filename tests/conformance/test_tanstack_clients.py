"""TanStack's published ``ChatClient`` with its published adapters, against our three transports."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.server import ROOT, ServerProcess

SCRIPT = Path(__file__).with_name("tanstack-clients.test.js")
ADAPTERS = ("fetchServerSentEvents", "fetchHttpStream", "webSocket")
CUTS = 3


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_the_published_client(
    start_server: Callable[..., ServerProcess], start_proxy: Callable[[int], FaultProxy]
) -> None:
    node = shutil.which("node")
    assert node, "Node is needed to run the client"
    server = start_server(
        env={"DURABLE_CHAT_DEMO_WORD_DELAY": "0.01", "DURABLE_CHAT_PING_INTERVAL": "0.1"},
    )
    proxies = {name: start_proxy(server.port) for name in ADAPTERS}
    for proxy in proxies.values():
        # In the middle of an event, whatever the transport: no event is this short.
        proxy.cut_after(1507, connections=CUTS)
    urls = {f"CUT_URL_{name}": proxy.url for name, proxy in proxies.items()}
    done = subprocess.run(
        # The published webSocket() keeps its connection for ever, which would keep the script running.
        [node, "--test", "--test-force-exit", "--test-reporter=tap", str(SCRIPT)],
        cwd=ROOT,
        env=os.environ | urls | {"APP_URL": server.url},
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.M)
    assert passed
    assert int(passed[1]) == 9 * len(ADAPTERS) + 2
    # Each was cut so often and came back every time.
    assert {name: proxy.accepted for name, proxy in proxies.items()} == dict.fromkeys(ADAPTERS, CUTS + 1)
    assert "Traceback" not in server.log
