"""TanStack's published client against apps made with our helpers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.example import Example
from tests.support.server import ROOT, ServerProcess

SCRIPT = Path(__file__).with_name("session-helpers.test.js")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_published_client(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node, "Node is needed to run the client"
    streams = start_server("streams", command="streams")
    with (
        Example("plain_asgi", "--data-dir", str(tmp_path / "p"), log=tmp_path / "p.log") as plain,
        Example("own_database", "--data-dir", str(tmp_path / "o"), log=tmp_path / "o.log") as own,
        Example("fastapi_app", "--streams", f"{streams.url}/v1/stream", log=tmp_path / "f.log") as fast,
    ):
        apps = {"plain_asgi": plain.url, "own_database": own.url, "fastapi_app": fast.url}
        done = subprocess.run(
            [node, "--test", "--test-reporter=tap", str(SCRIPT)],
            cwd=ROOT,
            env=os.environ | {"APPS": json.dumps(apps)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        logs = plain.log + own.log + fast.log
    assert done.returncode == 0, done.stdout + done.stderr + logs
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.M)
    assert passed
    assert int(passed[1]) == 6 * len(apps) + 3
    assert "Traceback" not in logs
