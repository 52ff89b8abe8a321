"""``durable-chat serve`` and ``durable-chat streams``: from a command line to a running server.

Owns options, what is printed, and the exit code. Whatever stops the start is one line on stderr and exit
code 1.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click
from litestar import Litestar

from webapp import __version__
from webapp.agents.base import Agent, AgentUnusable
from webapp.agents.cast import COLORS, BadCast, Cast, Member
from webapp.agents.cast_file import load_cast
from webapp.agents.registry import AgentNotFound, Wishes, load_agent
from webapp.agents.scripted import CriticAgent, DemoAgent
from webapp.app import create_app
from webapp.chat.catalog import CatalogUnusable
from webapp.chat.runs import Supervisor
from webapp.settings import BadSetting, Settings
from webapp.streams.limits import Drain
from webapp.streams.store.sqlite import StoreError
from webapp.web.bodies import MAX_BODY_BYTES
from webapp.web.server import CannotListen, bind, serve, serve_site
from webapp.web.services import provide_services
from webapp.web.standalone import standalone_streams

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, never a default
START_ERRORS = (BadSetting, AgentNotFound, AgentUnusable, BadCast, CannotListen, StoreError, CatalogUnusable)

_data_dir = click.option("--data-dir", type=click.Path(path_type=Path), help="Where everything is kept.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="durable-chat")
def main() -> None:
    """AI chat in which the session, not the request, is the durable thing."""


@main.command("serve")
@click.option("--host", help="Address to listen on; 0.0.0.0 for the local network.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 for any free one.")
@_data_dir
@click.option(
    "--access",
    type=click.Choice(["private", "open"]),
    help="private: by invitation. open: whoever knows a chat's id may take part.",
)
@click.option("--agents", help="Who answers: a TOML file, or module:attr, a list or dict of agents.")
def serve_command(
    host: str | None, port: int | None, data_dir: Path | None, access: str | None, agents: str | None
) -> None:
    """Run the chat with everything it needs."""
    options = {"HOST": host, "PORT": port, "DATA_DIR": data_dir, "ACCESS": access, "AGENTS": agents}
    _run(lambda: _serve(_settings(options)))


@main.command("streams")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on.  [default: 4437]")
@_data_dir
@click.option(
    "--store",
    type=click.Choice(["sqlite", "memory"]),
    default="sqlite",
    show_default=True,
    help="memory: nothing outlives the process. For trying things out and for tests.",
)
def streams_command(host: str | None, port: int | None, data_dir: Path | None, store: str) -> None:
    """Run the Durable Streams server alone, at /v1/stream."""
    options = {"HOST": host, "PORT": 4437 if port is None else port, "DATA_DIR": data_dir}
    _run(lambda: _streams(_settings(options), in_memory=store == "memory"))


class _Stop:
    """What signals do to the chat: the first one begins the end, any other hurries it."""

    def __init__(self, app: Litestar, *, grace: float) -> None:
        self._app = app
        self._grace = grace
        self._supervisor: Supervisor | None = None

    def __call__(self) -> None:
        if self._supervisor is not None:
            self._supervisor.hurry()
            return
        self._supervisor = provide_services(self._app.state).supervisor
        self._app.state["drain"].set()
        if self._supervisor.busy:
            click.echo(f"Stopping. Answers have {self._grace:g} s to finish; press Ctrl-C again to cut them.")


async def _serve(settings: Settings) -> None:
    host = settings.server.host
    names = lan_addresses() if host in EVERYWHERE else (_as_host_name(host),)
    server = replace(settings.server, allowed_hosts=(*settings.server.allowed_hosts, *names))
    with bind(server.host, server.port, stall_timeout=settings.streams.write_timeout) as listen:
        app = create_app(replace(settings, server=server), agents=load_agents(settings))
        await serve(
            app,
            listen=listen,
            lifespan=app.lifespan(),
            on_ready=lambda: _print_addresses("Durable Chat", listen, names),
            on_signal=_Stop(app, grace=server.run_grace),
            settings=server,
            socket_message=MAX_BODY_BYTES,
        )


async def _streams(settings: Settings, *, in_memory: bool) -> None:
    server = settings.server
    with bind(server.host, server.port, stall_timeout=settings.streams.write_timeout) as listen:
        drain = Drain()
        await serve_site(
            standalone_streams(settings, drain=drain, in_memory=in_memory),
            listen=listen,
            on_ready=lambda: _print_addresses("Durable Streams", listen, ()),
            on_signal=drain.set,
            settings=server,
        )


def _as_host_name(address: str) -> str:
    """How a browser writes the address in its Host header."""
    return f"[{address}]" if ":" in address else address.lower()


def load_agents(settings: Settings) -> Cast:
    """The agents of the chat. Raises AgentNotFound, BadCast and OSError."""
    # As with ``python -m``: agents of one's own lie in the folder where the command is typed.
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)

    def load(spec: str, wishes: Wishes) -> Agent:
        agent = load_agent(spec, wishes)
        if isinstance(agent, DemoAgent):
            agent.long_word_delay = settings.agents.demo_word_delay
        return agent

    if settings.agents.agents:
        return load_cast(settings.agents.agents, load=load)
    agents: list[Agent | Member] = [load(settings.agents.agent, Wishes())]
    if settings.agents.agent == "demo":
        agents.append(Member(agent=CriticAgent(), hue=COLORS["violet"]))
    return Cast.of(agents)


def lan_addresses() -> tuple[str, ...]:
    """This machine's addresses on the local network, as far as its resolver and routes tell."""
    found: set[str] = set()
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: connecting a datagram socket only picks the route, and with it our own address.
        probe.connect(("192.0.2.1", 9))
        found.add(probe.getsockname()[0])
    with suppress(OSError):
        infos = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        found.update(str(info[4][0]) for info in infos)
    return tuple(sorted(one for one in found if not ipaddress.ip_address(one).is_loopback))


def _settings(options: Mapping[str, Any]) -> Settings:
    """The environment, overridden by what stands on the command line."""
    given = {f"DURABLE_CHAT_{key}": str(value) for key, value in options.items() if value is not None}
    return Settings.from_environ(os.environ | given)


def _run(main_coroutine: Callable[[], Coroutine[Any, Any, None]]) -> None:
    _configure_logging()
    try:
        with asyncio.Runner(loop_factory=_event_loop()) as runner:
            runner.run(main_coroutine())
    except Exception as error:
        cause = _innermost(error)
        if isinstance(cause, START_ERRORS):
            _fail(str(cause))
        if isinstance(cause, OSError) and cause.filename:
            _fail(f"{cause.filename}: {cause.strerror}")
        raise


def _innermost(error: Exception) -> Exception:
    """What went wrong in a lifespan: Litestar runs it in a task group, which wraps it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - not available on every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _print_addresses(product: str, listen: socket.socket, names: tuple[str, ...]) -> None:
    address, port, *_ = listen.getsockname()
    hosts = ["127.0.0.1", *names] if address in EVERYWHERE else [_as_host_name(address)]
    for host in dict.fromkeys(hosts):
        click.echo(f"{product} is ready: http://{host}:{port}")


def _configure_logging() -> None:
    """Warnings and errors on stderr; what happens all the time is not news."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # It warns of whatever strangers send that is no HTTP.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)


def _fail(line: str) -> NoReturn:
    click.echo(f"durable-chat: {' '.join(line.split())}", err=True)
    raise SystemExit(1)
