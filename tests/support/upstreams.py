"""The stream servers that the app runs on, unchanged: its own within it, its own elsewhere, and another's.

A pytest plugin. A test that is marked ``converge`` runs on each of them, any other on the embedded one; both
take their app, directly or not, from a fixture that starts it with the settings of ``upstream``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.support.node_streams import NodeStreamServer
from tests.support.server import Process, ServerProcess

EMBEDDED = pytest.param("embedded", id=pytest.HIDDEN_PARAM)
ELSEWHERE = ("durable-chat", "node")

LEASE = "3"
"""Seconds after which the run of a killed app is taken over. On the embedded server that needs no wait."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = metafunc.definition.get_closest_marker("converge") is not None
    if marked or "upstream" in metafunc.fixturenames:
        metafunc.parametrize("upstream", [EMBEDDED, *(ELSEWHERE if marked else ())], indirect=True)


@pytest.fixture(scope="module")
def upstream(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """The settings of an app that keeps its streams at one of the upstreams."""
    if request.param == "embedded":
        yield {}
        return
    data_dir = tmp_path_factory.mktemp("upstream") / "data"
    server: Process = (
        NodeStreamServer(data_dir) if request.param == "node" else ServerProcess(data_dir, command="streams")
    )
    with server:
        yield {"DURABLE_CHAT_STREAMS_URL": server.streams_url, "DURABLE_CHAT_LEASE": LEASE}
