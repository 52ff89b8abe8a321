"""The signed cookie that names a participant, and nothing else.

What a participant may do is decided per chat by ``webapp.sharing``; a stolen share link is no cookie and a
cookie opens no chat by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from http.cookies import SimpleCookie

from itsdangerous import BadSignature, Signer
from litestar.types import Message, Scope

from webapp.settings import Secret

COOKIE_NAME = "durable-chat"
COOKIE_MAX_AGE = 400 * 24 * 3600
"""Seconds. 400 days is the longest that browsers keep a cookie."""

_PENDING = "pending-cookie"


class CookieSigner:
    """Signs participant ids. Several keys = rotation: the first signs, all verify."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        oldest_first = [key.reveal().encode() for key in reversed(keys)]
        self._signer = Signer(oldest_first, salt="durable-chat.participant", digest_method=hashlib.sha256)

    def sign(self, participant_id: str) -> str:
        return self._signer.sign(participant_id).decode()

    def read(self, value: str) -> str | None:
        """The participant id in a cookie, or None if it was not signed by one of our keys."""
        try:
            return self._signer.unsign(value).decode()
        except (BadSignature, UnicodeError):
            return None


def set_cookie_header(value: str, *, secure: bool) -> bytes:
    """The ``Set-Cookie`` header. ``secure`` only on https: over plain http a browser would drop it."""
    morsel = SimpleCookie({COOKIE_NAME: value})[COOKIE_NAME]
    morsel.update({"path": "/", "max-age": str(COOKIE_MAX_AGE), "samesite": "Lax"})
    morsel["httponly"] = True
    if secure:
        morsel["secure"] = True
    return morsel.OutputString().encode()


def send_cookie_later(scope: Scope, value: str) -> None:
    """Have ``add_pending_cookie`` put the cookie on this request's reply."""
    scope["state"][_PENDING] = set_cookie_header(value, secure=scope["scheme"] in {"https", "wss"})


async def add_pending_cookie(message: Message, scope: Scope) -> None:
    """Litestar ``before_send`` hook: give a new guest its cookie with the first reply that is no refusal."""
    if message["type"] == "websocket.accept" or (
        message["type"] == "http.response.start" and message["status"] < 400
    ):
        cookie = scope["state"].get(_PENDING)
        if cookie is not None:
            message["headers"] = [*message["headers"], (b"set-cookie", cookie)]
