"""The client of a stream server elsewhere, made from the settings."""

from __future__ import annotations

from collections.abc import Callable

from webapp.settings import Settings
from webapp.streams.clients.http import HttpStreamClient
from webapp.streams.limits import Drain
from webapp.web.embedded import stream_limits


def remote_streams(settings: Settings, *, clock: Callable[[], float], drain: Drain) -> HttpStreamClient:
    """Nothing is asked of the server yet: it may come up later than we do."""
    return HttpStreamClient(
        settings.streams.url,
        read_token=settings.streams.read_token.reveal(),
        write_token=settings.streams.write_token.reveal(),
        limits=stream_limits(settings),
        clock=clock,
        drain=drain,
    )
