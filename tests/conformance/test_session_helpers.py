"""TanStack's published client against apps made with our helpers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.example import Example
from tests.support.node_tests import run_node_tests
from tests.support.server import ServerProcess

SCRIPT = Path(__file__).with_name("session-helpers.test.js")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_published_client(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    streams = start_server("streams", command="streams")
    with (
        Example("plain_asgi", "--data-dir", str(tmp_path / "p"), log=tmp_path / "p.log") as plain,
        Example("own_database", "--data-dir", str(tmp_path / "o"), log=tmp_path / "o.log") as own,
        Example("fastapi_app", "--streams", f"{streams.url}/v1/stream", log=tmp_path / "f.log") as fast,
    ):
        apps = {"plain_asgi": plain.url, "own_database": own.url, "fastapi_app": fast.url}
        try:
            run_node_tests(SCRIPT, passes=6 * len(apps) + 3, timeout=100, APPS=json.dumps(apps))
        finally:
            logs = plain.log + own.log + fast.log
            print(logs)
    assert "Traceback" not in logs
