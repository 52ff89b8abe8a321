"""The proxy must break things exactly as told, or the fault tests prove nothing."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import eventually

BODY = b"0123456789" * 100


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what these tests make."""


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    with FaultProxy(server.server_address[1]) as proxy:
        yield proxy
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(proxy: FaultProxy, timeout: float = 5) -> bytes:
    return httpx.get(proxy.url, timeout=timeout).content


@pytest.mark.parametrize("fault", ["none", "split", "buffer"])
def test_bytes_arrive_whole(proxy: FaultProxy, fault: str) -> None:
    if fault != "none":
        setattr(proxy, fault, True)
    assert fetch(proxy) == BODY


def test_cut_after_counts_bytes_of_one_connection(proxy: FaultProxy) -> None:
    proxy.cut_after(500)
    with pytest.raises(httpx.RemoteProtocolError):
        fetch(proxy)
    assert proxy.passed == 500
    assert fetch(proxy) == BODY


def test_down_refuses_and_up_admits_on_the_same_port(proxy: FaultProxy) -> None:
    proxy.down()
    with pytest.raises(httpx.ConnectError):
        fetch(proxy)
    proxy.up()
    assert fetch(proxy) == BODY


def test_stall_holds_bytes_back_without_closing(proxy: FaultProxy) -> None:
    proxy.stall()
    with pytest.raises(httpx.ReadTimeout):
        fetch(proxy, timeout=0.2)
    proxy.flow()
    assert fetch(proxy) == BODY


def test_what_is_lost_stays_silent_and_what_comes_after_does_not(proxy: FaultProxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        eventually(lambda: proxy.open_links == 1)
        proxy.lose()
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert fetch(proxy) == BODY
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_open_connections_end(proxy: FaultProxy, fault: str) -> None:
    proxy.stall()
    failures: list[Exception] = []

    def get() -> None:
        try:
            fetch(proxy)
        except httpx.TransportError as error:
            failures.append(error)

    thread = threading.Thread(target=get)
    thread.start()
    eventually(lambda: proxy.open_links == 1)
    getattr(proxy, fault)()
    thread.join(5)
    assert len(failures) == 1
