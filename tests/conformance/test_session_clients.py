"""TanStack's published ``ChatClient`` over durable connections, ours and theirs, against the app."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import ROOT, ServerProcess

SCRIPT = Path(__file__).with_name("session-clients.test.js")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("adapter", "cases"), [("durableStreamConnection", 15), ("sharedConnection", 15), ("published", 10)]
)
def test_the_published_client_over(
    adapter: str, cases: int, start_server: Callable[..., ServerProcess]
) -> None:
    node = shutil.which("node")
    assert node, "Node is needed to run the client"
    server = start_server(
        env={"DURABLE_CHAT_ACCESS": "open", "DURABLE_CHAT_DEMO_WORD_DELAY": "0.01"},
    )
    done = subprocess.run(
        # The published transport keeps its connections for as long as the process lives.
        [node, "--test", "--test-force-exit", "--test-reporter=tap", str(SCRIPT)],
        cwd=ROOT,
        env=os.environ | {"APP_URL": server.url, "ADAPTERS": adapter},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.M)
    assert passed
    assert int(passed[1]) == cases
    assert "Traceback" not in server.log
