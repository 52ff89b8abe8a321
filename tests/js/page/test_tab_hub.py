"""The tabs of a browser, run by Node, against a real server, also through a network that breaks."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.live_app import Chatter
from tests.support.node_tests import run_node_tests
from tests.support.server import ServerProcess

SCRIPT = Path(__file__).with_name("tab-hub-server.js")
TESTS = 10
TOKEN = "writes-any-stream"
ENV = {
    "DURABLE_CHAT_AGENT": "echo",
    "DURABLE_CHAT_TITLES": "off",
    "DURABLE_CHAT_STREAMS_SERVER_WRITE_TOKEN": TOKEN,
    "DURABLE_CHAT_PING_INTERVAL": "1",
    "DURABLE_CHAT_RUNS_PER_PERSON": "0",
    "DURABLE_CHAT_RUNS_PER_CHAT": "0",
    "DURABLE_CHAT_SLOTS_PER_PRINCIPAL": "100",
}


@contextmanager
def cutting(proxy: FaultProxy, rng: random.Random) -> Iterator[None]:
    """Cut whatever is open now and then."""
    done = threading.Event()

    def cut() -> None:
        while not done.wait(rng.uniform(0.1, 0.6)):
            rng.choice((proxy.cut, proxy.reset))()

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.timeout(100)
def test_tabs_of_a_browser(
    start_server: Callable[..., ServerProcess],
    start_proxy: Callable[[int], FaultProxy],
    rng: random.Random,
) -> None:
    run(start_server, start_proxy, rng, steps=40)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_tabs_of_a_browser_for_long(
    start_server: Callable[..., ServerProcess],
    start_proxy: Callable[[int], FaultProxy],
    rng: random.Random,
) -> None:
    run(start_server, start_proxy, rng, steps=1000)


def run(
    start_server: Callable[..., ServerProcess],
    start_proxy: Callable[[int], FaultProxy],
    rng: random.Random,
    *,
    steps: int,
) -> None:
    server = start_server(env=ENV)
    proxy = start_proxy(server.port)
    ana = Chatter(server)
    chat_id = ana.create_chat()
    ana.send(chat_id, "hello")
    seed = rng.randrange(2**31)
    print(f"seed {seed}")
    settings = {
        "URL": server.url,
        "CUT_URL": proxy.url,
        "COOKIE": f"durable-chat={ana.http.cookies['durable-chat']}",
        "TOKEN": TOKEN,
        "ME": ana.messages(chat_id)[0]["metadata"]["participantId"],
        "SEED": str(seed),
        "STEPS": str(steps),
    }
    with cutting(proxy, rng):
        run_node_tests(SCRIPT, passes=TESTS, timeout=90 + steps / 4, **settings)
    assert "Traceback" not in server.log
