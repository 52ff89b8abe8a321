"""Every setting of the app: one frozen dataclass per area, read from the environment once.

Owns names, defaults and validation. Knows nothing of what the values are used for: the lifespan hands each
part its own numbers. A bad value raises ``BadSetting``, whose text is one line that names the key.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from webapp.streams.protocol.paths import split_base

PREFIX = "DURABLE_CHAT_"
DEVELOPERS_OWN = frozenset({PREFIX + "FAILPOINT"})  # no settings: nobody runs a chat with them
SECRET_KEY_FILE = "secret-key"  # noqa: S105 - a file name

_NO_IDENTITY = frozenset(
    (
        *("accept", "authorization", "connection", "content-length", "content-type", "cookie", "forwarded"),
        *("host", "origin", "referer", "user-agent"),
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
    )
)

Access = Literal["private", "open"]
T = TypeVar("T")


class BadSetting(ValueError):
    """A value that cannot be used. The text is one line for the person who set it."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key


class Secret:
    """A string that does not show itself in logs, errors or reprs. Only ``reveal()`` gives it out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and secrets.compare_digest(
            self._value.encode(), other._value.encode()
        )

    def __hash__(self) -> int:
        return hash(self._value)


def _env(key: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    """Read the field from ``DURABLE_CHAT_<key>`` by ``parse``, which raises ValueError to refuse."""
    return {"key": key, "parse": parse}


def _text(value: str) -> str:
    return value.strip()


def _path(value: str) -> Path:
    return Path(value).expanduser()


def _secret(value: str) -> Secret:
    return Secret(value.strip())


def _token(value: str) -> Secret:
    if not re.fullmatch(r"[!-~]*", value.strip()):
        raise ValueError("must be one word of printable ASCII")
    return _secret(value)


def _stream_server(value: str) -> str:
    split_base(value.strip())
    return value.strip()


def _secrets(value: str) -> tuple[Secret, ...]:
    keys = tuple(Secret(key.strip()) for key in value.split(",") if key.strip())
    if any(len(key.reveal()) < 16 for key in keys):
        raise ValueError("every key needs at least 16 characters")
    return keys


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in value.split(",") if name.strip())


def _header(value: str) -> str:
    name = value.strip().lower()
    if not re.fullmatch(r"[a-z0-9-]+", name) or name in _NO_IDENTITY or name.startswith("sec-"):
        raise ValueError("must be the name of a header that only your proxy sets, such as X-Remote-User")
    return name


def _proxies(value: str) -> str:
    for each in value.split(","):
        if each.strip() != "*":
            try:
                ip_network(each.strip())
            except ValueError:
                raise ValueError("must be addresses or networks, comma separated, or *") from None
    return value.strip()


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise ValueError("must be a number of seconds above 0")
    return seconds


def _delay(value: str) -> float:
    return 0.0 if value.strip() in {"0", "0.0"} else _seconds(value)


def _switch(value: str) -> bool:
    if value not in {"on", "off"}:
        raise ValueError("must be on or off")
    return value == "on"


def _count(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) == 0:
        raise ValueError("must be a whole number above 0")
    return int(value)


def _number(value: str) -> int:
    """A count, or 0 for no bound."""
    return 0 if value == "0" else _count(value)


def _port(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) > 65535:
        raise ValueError("must be a port from 0 to 65535")
    return int(value)


def _access(value: str) -> str:
    if value not in {"private", "open"}:
        raise ValueError("must be private or open")
    return value


def _database_url(value: str) -> str:
    if not value.startswith(("sqlite:///", "postgresql://", "postgresql+asyncpg://")):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the web server listens and to which names it answers."""

    host: str = field(default="127.0.0.1", metadata=_env("HOST", _text))
    """Address to bind. ``0.0.0.0`` also admits the machine's LAN addresses as host names."""
    port: int = field(default=8000, metadata=_env("PORT", _port))
    """TCP port; 0 lets the system choose one, which is printed."""
    allowed_hosts: tuple[str, ...] = field(default=(), metadata=_env("ALLOWED_HOSTS", _names))
    """Host names, comma separated and without port, accepted besides the loopback names."""
    forwarded_allow_ips: str = field(default="127.0.0.1", metadata=_env("FORWARDED_ALLOW_IPS", _proxies))
    """Proxies, comma separated, whose ``X-Forwarded-*`` and identity headers are believed."""
    shutdown_grace: float = field(default=3.0, metadata=_env("SHUTDOWN_GRACE", _seconds))
    """Seconds open requests have to end after the first signal."""
    run_grace: float = field(default=5.0, metadata=_env("RUN_GRACE", _seconds))
    """Seconds running answers have to finish once requests have ended; a second signal interrupts them."""
    body_timeout: float = field(default=15.0, metadata=_env("BODY_TIMEOUT", _seconds))
    """Seconds a request body may take to arrive."""
    concurrency: int = field(default=4096, metadata=_env("CONCURRENCY", _count))
    """Connections and requests at once, the last net below the slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where things are kept."""

    data_dir: Path = field(default=Path("data"), metadata=_env("DATA_DIR", _path))
    """Directory of the embedded stores and the generated secret key. One process at a time."""
    database_url: str = field(default="", metadata=_env("DATABASE_URL", _database_url))
    """SQLAlchemy URL of the catalog; empty = an SQLite file in the data directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """Who may do what, and the keys that prove it."""

    access: Access = field(default="private", metadata=_env("ACCESS", _access))
    """``private``: by grant only. ``open``: whoever knows the unguessable id may take part."""
    delete_grace: float = field(default=10.0, metadata=_env("DELETE_GRACE", _seconds))
    """Seconds in which the deletion of a chat can be undone."""
    secret_key: tuple[Secret, ...] = field(default=(), metadata=_env("SECRET_KEY", _secrets))
    """Keys that sign the cookie, newest first; empty = one generated once into the data directory."""
    identity_header: str = field(default="", metadata=_env("IDENTITY_HEADER", _header))
    """Header in which an authenticating proxy says who somebody is, instead of our cookie. It is believed
    from ``FORWARDED_ALLOW_IPS`` only, and without it nobody gets in."""
    identity_name_header: str = field(default="", metadata=_env("IDENTITY_NAME_HEADER", _header))
    """Header with the name to show for them; empty = what stands before the @ in the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """Where the streams are, who else may use the embedded server, and how live replies behave."""

    url: str = field(default="", metadata=_env("STREAMS_URL", _stream_server))
    """Address of a stream server to use instead of the embedded one: ``http://host:4437/v1/stream``."""
    read_token: Secret = field(default=Secret(""), metadata=_env("STREAMS_READ_TOKEN", _token))
    """Token for reading there; empty = the write token."""
    write_token: Secret = field(default=Secret(""), metadata=_env("STREAMS_WRITE_TOKEN", _token))
    """Token for reading and writing there."""
    server_read_token: Secret = field(default=Secret(""), metadata=_env("STREAMS_SERVER_READ_TOKEN", _secret))
    """Token that lets others read our own ``/v1/stream``."""
    server_write_token: Secret = field(
        default=Secret(""), metadata=_env("STREAMS_SERVER_WRITE_TOKEN", _secret)
    )
    """Token that lets others read and write our own ``/v1/stream``."""
    long_poll_timeout: float = field(default=25.0, metadata=_env("STREAMS_LONG_POLL_TIMEOUT", _seconds))
    """Seconds a long-poll waits for data."""
    ping_interval: float = field(default=15.0, metadata=_env("PING_INTERVAL", _seconds))
    """Seconds of silence after which a live reply sends a ping."""
    presence_ttl: float = field(default=75.0, metadata=_env("PRESENCE_TTL", _seconds))
    """Seconds after which somebody who gave no sign of life is gone; a tab gives three within them."""
    sse_lifetime: float = field(default=60.0, metadata=_env("SSE_LIFETIME", _seconds))
    """Seconds after which a live reply ends and the reader comes back, ± 10 %."""
    write_timeout: float = field(default=20.0, metadata=_env("WRITE_TIMEOUT", _seconds))
    """Seconds a reader may take to accept one write before it is dropped."""
    slots_per_principal: int = field(default=12, metadata=_env("SLOTS_PER_PRINCIPAL", _count))
    """Live replies one participant may hold."""
    slots_per_stream: int = field(default=200, metadata=_env("SLOTS_PER_STREAM", _count))
    """Live replies on one chat."""
    slots_total: int = field(default=2000, metadata=_env("SLOTS_TOTAL", _count))
    """Live replies in this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What answers, and the leases of its runs."""

    agent: str = field(default="demo", metadata=_env("AGENT", _text))
    """``demo``, ``echo``, a model such as ``openai:gpt-5.1``, or ``module:attr`` of your own."""
    agents: str = field(default="", metadata=_env("AGENTS", _text))
    """Several agents instead: a TOML file, or ``module:attr``, a list or dict of agents."""
    agent_turns: int = field(default=6, metadata=_env("AGENT_TURNS", _count))
    """Turns that agents may take after a message of a person before they wait for the next one."""
    lease: float = field(default=15.0, metadata=_env("LEASE", _seconds))
    """Seconds after which a run whose owner went silent may be taken over."""
    run_time_limit: float = field(default=600.0, metadata=_env("RUN_TIME_LIMIT", _seconds))
    """Seconds one answer may take."""
    run_idle_limit: float = field(default=120.0, metadata=_env("RUN_IDLE_LIMIT", _seconds))
    """Seconds a model may be silent in the middle of an answer; a tool that is at work is no silence."""
    titles: bool = field(default=True, metadata=_env("TITLES", _switch))
    """``on``: an agent that can names the chat after its first answer; a model is asked once more for it."""
    run_token_limit: int = field(default=0, metadata=_env("RUN_TOKEN_LIMIT", _number))
    """Tokens one answer may have, which a model is told; 0 = as many as it gives."""
    runs_per_person: int = field(default=240, metadata=_env("RUNS_PER_PERSON", _number))
    """Answers one person may ask for within an hour, in all chats; 0 = any number."""
    runs_per_chat: int = field(default=600, metadata=_env("RUNS_PER_CHAT", _number))
    """Answers that may be asked for within an hour in one chat; 0 = any number."""
    demo_word_delay: float = field(default=0.03, metadata=_env("DEMO_WORD_DELAY", _delay))
    """Seconds between two words of the demo agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All areas together."""

    server: ServerSettings = field(default_factory=ServerSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    security: SecuritySettings = field(default_factory=SecuritySettings)
    streams: StreamSettings = field(default_factory=StreamSettings)
    agents: AgentSettings = field(default_factory=AgentSettings)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read every ``DURABLE_CHAT_*`` key. An empty value means the default; an unknown key is refused."""
        specs = (spec for area in fields(cls) for spec in fields(_area(area.name)))
        known = DEVELOPERS_OWN | {PREFIX + spec.metadata["key"] for spec in specs}
        unknown = sorted(key for key in environ if key.startswith(PREFIX) and key not in known)
        if unknown:
            raise BadSetting(unknown[0], "there is no such setting")
        settings = cls(**{area.name: _read(_area(area.name), environ) for area in fields(cls)})
        _check_proxy(settings)
        return settings


_AREAS: dict[str, type[Any]] = {
    "server": ServerSettings,
    "storage": StorageSettings,
    "security": SecuritySettings,
    "streams": StreamSettings,
    "agents": AgentSettings,
}


def _area(name: str) -> type[Any]:
    return _AREAS[name]


def _read(area: type[T], environ: Mapping[str, str]) -> T:
    values = {}
    for spec in fields(cast(Any, area)):
        key = PREFIX + spec.metadata["key"]
        raw = environ.get(key, "").strip()
        if not raw:
            continue
        try:
            values[spec.name] = spec.metadata["parse"](raw)
        except ValueError as error:
            raise BadSetting(key, str(error)) from None
    return area(**values)


def _check_proxy(settings: Settings) -> None:
    """Who tells identities has to be known exactly: anybody else could be anyone."""
    header, name = settings.security.identity_header, settings.security.identity_name_header
    if name and (not header or name == header):
        raise BadSetting(PREFIX + "IDENTITY_NAME_HEADER", "goes beside another, IDENTITY_HEADER")
    if header and "*" in settings.server.forwarded_allow_ips:
        raise BadSetting(PREFIX + "IDENTITY_HEADER", "needs your proxy in FORWARDED_ALLOW_IPS, and not *")


def secret_keys(settings: Settings) -> tuple[Secret, ...]:
    """The signing keys, newest first; if none is configured, the data directory's, made if missing."""
    if settings.security.secret_key:
        return settings.security.secret_key
    path = settings.storage.data_dir / SECRET_KEY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # O_EXCL decides between two processes that start at once; mode 0600 holds from the first byte.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    key = path.read_text().strip()
    if len(key) < 16:
        raise BadSetting(PREFIX + "SECRET_KEY", f"{path} is damaged; delete it to get a new key")
    return (Secret(key),)
