"""Starting: an address is printed, and whatever stops a start is one line that says what to do."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from tests.support.server import ServerProcess, ask
from tests.support.waiting import eventually
from webapp.cli import main


def start_and_fail(tmp_path: Path, *args: str, env: Mapping[str, str] | None = None) -> str:
    """Run the command, expect exit code 1 and one line on stderr; return the line."""
    arguments = [*args, "--data-dir", str(tmp_path / "data")]
    done = CliRunner().invoke(main, arguments, env=dict(env or {}))
    assert done.exit_code == 1, done.output
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("durable-chat: ")
    return done.stderr.strip()


@pytest.mark.parametrize("command", ["serve", "streams"])
def test_the_address_is_printed(start_server: Callable[..., ServerProcess], command: str) -> None:
    server = start_server(command=command)
    eventually(lambda: f"is ready: {server.url}" in server.log)
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("command", ["serve", "streams"])
def test_a_port_in_use(tmp_path: Path, command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"Port {port} on 127.0.0.1 is in use." in start_and_fail(tmp_path, command, "--port", port)


@pytest.mark.parametrize("command", ["serve", "streams"])
def test_a_data_directory_in_use(
    start_server: Callable[..., ServerProcess], tmp_path: Path, command: str
) -> None:
    server = start_server("data")
    line = start_and_fail(tmp_path, command, "--port", "0")
    assert str(tmp_path / "data") in line
    assert str(server.pid) in line
    assert httpx.get(f"{server.url}/readyz").status_code == 200


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"DURABLE_CHAT_AGENT": "nobody"}, "'nobody'"),
        ({"DURABLE_CHAT_AGENT": "tests.no_such_module:agent"}, "tests.no_such_module"),
        (
            {"DURABLE_CHAT_AGENT": "openai:gpt-5.1", "OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""},
            "'openai:gpt-5.1'",
        ),
        (
            {"DURABLE_CHAT_AGENT": "tests.support.agents:Broken"},
            "The agent broken cannot be opened: the tool server is not there",
        ),
        ({"DURABLE_CHAT_ACCESS": "public"}, "DURABLE_CHAT_ACCESS: must be private or open"),
        ({"DURABLE_CHAT_PORT": "http"}, "DURABLE_CHAT_PORT: "),
        ({"DURABLE_CHAT_DATABASE_URL": "mysql://nowhere/x"}, "DURABLE_CHAT_DATABASE_URL: "),
    ],
    ids=str,
)
def test_a_bad_setting(tmp_path: Path, env: dict[str, str], said: str) -> None:
    given = {"DURABLE_CHAT_PORT": "0"} | env
    assert said in start_and_fail(tmp_path, "serve", env=given)


def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    assert str(tmp_path / "data") in start_and_fail(tmp_path, "serve", "--port", "0")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{folder}/nowhere/catalog.db", "unable to open database file"),
        ("sqlite:///{folder}/garbage.db", "file is not a database"),
        ("postgresql://ana:hidden-password@127.0.0.1:port/chat", "cannot be read"),
        ("postgresql://ana:hidden-password@127.0.0.1:1/chat", "cannot be opened"),
    ],
)
def test_a_catalog_that_cannot_be_opened(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "garbage.db").write_text("no database, " * 100)
    env = {"DURABLE_CHAT_DATABASE_URL": url.replace("{folder}", str(tmp_path)), "DURABLE_CHAT_PORT": "0"}
    line = start_and_fail(tmp_path, "serve", env=env)
    assert said in line
    assert "hidden-password" not in line


def test_an_agent_in_the_current_folder(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    """The console script does not put the folder on the path as ``-m`` does; ``-P`` is like it."""
    (tmp_path / "own_agent.py").write_text('async def parrot(turn):\n    yield f"Parrot: {turn.text}"\n')
    executable = (sys.executable, "-P", "-m", "webapp")
    server = start_server(executable=executable, cwd=tmp_path, env={"DURABLE_CHAT_AGENT": "own_agent:parrot"})
    assert ask(server.url, "hello") == "Parrot: hello"


def test_a_host_name_is_admitted_however_it_is_written(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(args=["--host", "LocalHost"])
    assert httpx.get(f"{server.url}/", headers={"Host": "LOCALHOST"}).status_code == 200


def test_what_strangers_send_is_not_logged(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()
    upgrade = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    for junk in ("\x16\x03\x01 no HTTP\r\n\r\n", f"{upgrade}Sec-WebSocket-Key: x\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(junk.encode("latin-1"))
            assert connection.recv(65536).startswith(b"HTTP/1.1 ")
    httpx.get(f"{server.url}/nowhere")
    httpx.post(f"{server.url}/api/chats", content=b"{")
    assert server.sigterm() == 0
    assert server.log.splitlines() == [f"Durable Chat is ready: {server.url}"]


def test_the_stream_server_alone(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(command="streams")
    with httpx.Client(base_url=server.url) as http:
        headers = {"Content-Type": "application/json"}
        assert http.put("/v1/stream/a", headers=headers).status_code == 201
        assert http.post("/v1/stream/a", headers=headers, content=b"[1,2]").status_code == 204
        assert http.get("/v1/stream/a?offset=-1").json() == [1, 2]
        assert http.get("/nowhere").status_code == 404
    assert server.sigterm() == 0


def test_the_stream_server_in_memory_leaves_nothing_behind(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(command="streams", args=("--store", "memory"))
    stream = f"{server.url}/v1/stream/a"
    assert httpx.put(stream, content=b"1", headers={"Content-Type": "text/plain"}).status_code == 201
    assert not list(server.data_dir.iterdir())
    server.restart()
    assert httpx.get(stream).status_code == 404
