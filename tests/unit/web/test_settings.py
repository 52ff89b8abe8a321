"""Settings: defaults, values, refusals, the secret that does not show."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from stat import S_IMODE

import pytest

from webapp.settings import BadSetting, Secret, Settings, secret_keys


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_environ({})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8000)
    assert settings.storage.data_dir == Path("data")
    assert settings.security.access == "private"
    assert settings.agents.agent == "demo"
    assert settings == Settings.from_environ({"DURABLE_CHAT_PORT": "", "HOME": "/root"})


def test_values_are_read_by_area() -> None:
    settings = Settings.from_environ(
        {
            "DURABLE_CHAT_PORT": "0",
            "DURABLE_CHAT_DATA_DIR": "/var/chat",
            "DURABLE_CHAT_ACCESS": "open",
            "DURABLE_CHAT_ALLOWED_HOSTS": "Chat.example.org, *.example.net",
            "DURABLE_CHAT_SECRET_KEY": "a-new-key-of-length-24, an-old-key-of-length-24",
            "DURABLE_CHAT_PING_INTERVAL": "0.5",
            "DURABLE_CHAT_DEMO_WORD_DELAY": "0",
            "DURABLE_CHAT_RUNS_PER_CHAT": "0",
            "DURABLE_CHAT_RUN_TOKEN_LIMIT": "4096",
        }
    )
    assert settings.server.port == 0
    assert settings.storage.data_dir == Path("/var/chat")
    assert settings.security.access == "open"
    assert settings.server.allowed_hosts == ("chat.example.org", "*.example.net")
    assert [key.reveal()[:5] for key in settings.security.secret_key] == ["a-new", "an-ol"]
    assert settings.streams.ping_interval == 0.5
    assert settings.agents.demo_word_delay == 0
    assert (settings.agents.runs_per_chat, settings.agents.runs_per_person) == (0, 240)
    assert settings.agents.run_token_limit == 4096


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PORT", "²"),
        ("ACCESS", "public"),
        ("PING_INTERVAL", "0"),
        ("PING_INTERVAL", "nan"),
        ("LEASE", "-1"),
        ("RUNS_PER_PERSON", "-1"),
        ("RUN_TOKEN_LIMIT", "many"),
        ("SLOTS_TOTAL", "1.5"),
        ("PRESENCE_TTL", "0"),
        ("FORWARDED_ALLOW_IPS", "my-proxy"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.1/8"),
        ("IDENTITY_HEADER", "Cookie"),
        ("IDENTITY_HEADER", "X-Forwarded-For"),
        ("IDENTITY_HEADER", "Sec-Fetch-User"),
        ("IDENTITY_HEADER", "X Remote User"),
        ("IDENTITY_NAME_HEADER", "X-Remote-Name"),
        ("SECRET_KEY", "short"),
        ("DATABASE_URL", "mysql://localhost/chat"),
        ("STREAMS_URL", "streams.example:4437"),
        ("STREAMS_URL", "http://user:password@host/v1/stream"),
        ("STREAMS_WRITE_TOKEN", "two words"),
        ("PROT", "8000"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_key(key: str, value: str) -> None:
    with pytest.raises(BadSetting) as refusal:
        Settings.from_environ({f"DURABLE_CHAT_{key}": value})
    assert str(refusal.value).startswith(f"DURABLE_CHAT_{key}: ")
    assert "\n" not in str(refusal.value)


def test_a_secret_does_not_show_itself() -> None:
    settings = Settings.from_environ(
        {
            "DURABLE_CHAT_SECRET_KEY": "canary-canary-canary",
            "DURABLE_CHAT_STREAMS_SERVER_WRITE_TOKEN": "canary",
            "DURABLE_CHAT_STREAMS_READ_TOKEN": "canary",
            "DURABLE_CHAT_STREAMS_WRITE_TOKEN": "canary",
        }
    )
    for area in fields(settings):
        shown = f"{getattr(settings, area.name)!r} {getattr(settings, area.name)}"
        assert "canary" not in shown
    assert settings.streams.server_write_token.reveal() == "canary"
    assert settings.streams.server_write_token == Secret("canary") != Secret("other")
    assert not Secret("")


def test_the_generated_key_is_private_and_stays(tmp_path: Path) -> None:
    settings = Settings.from_environ({"DURABLE_CHAT_DATA_DIR": str(tmp_path / "new" / "data")})
    first = secret_keys(settings)
    assert len(first) == 1
    assert len(first[0].reveal()) >= 43
    assert secret_keys(settings) == first
    assert S_IMODE((tmp_path / "new" / "data" / "secret-key").stat().st_mode) == 0o600


def test_a_damaged_key_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_text("")
    with pytest.raises(BadSetting, match="DURABLE_CHAT_SECRET_KEY"):
        secret_keys(Settings.from_environ({"DURABLE_CHAT_DATA_DIR": str(tmp_path)}))


def test_a_configured_key_writes_nothing(tmp_path: Path) -> None:
    environ = {"DURABLE_CHAT_DATA_DIR": str(tmp_path), "DURABLE_CHAT_SECRET_KEY": "k" * 16}
    assert secret_keys(Settings.from_environ(environ)) == (Secret("k" * 16),)
    assert not list(tmp_path.iterdir())


def test_whoever_tells_identities_is_known_exactly() -> None:
    header = {"DURABLE_CHAT_IDENTITY_HEADER": "X-Remote-User"}
    assert Settings.from_environ(header).security.identity_header == "x-remote-user"
    with pytest.raises(BadSetting, match="IDENTITY_HEADER"):
        Settings.from_environ({**header, "DURABLE_CHAT_FORWARDED_ALLOW_IPS": "*"})
    with pytest.raises(BadSetting, match="IDENTITY_NAME_HEADER"):
        Settings.from_environ({**header, "DURABLE_CHAT_IDENTITY_NAME_HEADER": "x-remote-user"})
