"""A StreamClient for a stream server elsewhere, over HTTP."""

from webapp.streams.clients.http.client import HttpStreamClient
from webapp.streams.clients.http.patience import Patience

__all__ = ["HttpStreamClient", "Patience"]
