"""The one place where an error becomes an HTTP answer: JSON below ``/api``, a page elsewhere.

The refusals of the web itself:

    WebError
    ├── BadHost            400
    ├── MalformedBody      400
    ├── BadChatId          422
    ├── CrossSite          403
    ├── StreamRefused      404 or 410
    ├── BodyTooSlow        408
    └── WrongContentType   415

The refusals of the chat (``webapp.chat.errors``), of the streams and of Litestar are mapped to a status here.
Whatever else is raised is logged under a random id, and only that id is shown.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException

from webapp.chat import errors as chat
from webapp.streams.clients.base import InvalidRequest, PayloadTooLarge, StreamError, StreamsUnavailable
from webapp.streams.limits import Scope, SlotsExhausted
from webapp.streams.wire import WireResponse

logger = logging.getLogger(__name__)


class WebError(Exception):
    """A refusal of the web layer itself."""

    status = 400
    code = "bad-request"
    sentence = "The request could not be understood."

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(sentence or self.sentence)
        self.sentence = sentence or self.sentence


class BadHost(WebError):
    code = "bad-host"
    sentence = "This server does not answer to that host name."


class MalformedBody(WebError):
    code = "malformed"


class BadChatId(WebError):
    """An id that somebody chose for a new chat; as the id of an existing one it would be 404."""

    status = 422
    code = "invalid-id"
    sentence = "A chat id has 8 to 64 characters out of A-Z, a-z, 0-9, _ and -"


class CrossSite(WebError):
    status = 403
    code = "cross-site"
    sentence = "This request came from another site and was refused."


class BodyTooSlow(WebError):
    status = 408
    code = "timeout"
    sentence = "The request took too long to arrive."


class StreamRefused(WebError):
    """The conversation itself is gone: 404, or 410 for an offset of an earlier generation."""

    code = "stream-gone"
    sentence = "This conversation no longer exists. Reload the page."

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class WrongContentType(WebError):
    status = 415
    code = "unsupported-media-type"

    def __init__(self, expected: str) -> None:
        super().__init__(f"The body must be sent as {expected}.")


_CHAT_STATUS: dict[type[chat.ChatError], int] = {
    chat.InvalidMessage: 400,
    chat.Unauthorised: 401,
    chat.Forbidden: 403,
    chat.ChatNotFound: 404,
    chat.Conflict: 409,
    chat.TooLarge: 413,
    chat.LimitReached: 429,
    chat.Unavailable: 503,
}

_HTTP_SENTENCES: dict[int, tuple[str, str]] = {
    400: ("bad-request", WebError.sentence),
    404: ("not-found", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not accept that method."),
    413: ("too-large", "The request is too large."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What the person or program is told. ``reference`` is the id under which the cause was logged."""

    status: int
    code: str
    sentence: str
    headers: Mapping[str, str] = field(default_factory=dict)
    reference: str | None = None


def describe(error: Exception) -> Problem:  # noqa: PLR0911 - one line per kind of error
    """The answer to ``error``. Never contains text of an exception that was not written for people."""
    match error:
        case WebError():
            return Problem(error.status, error.code, error.sentence)
        case chat.LimitReached() | chat.Unavailable():
            return Problem(_chat_status(error), error.code, error.sentence, _retry_after(error.retry_after))
        case chat.Unauthorised():
            return Problem(401, error.code, error.sentence, {"WWW-Authenticate": "Bearer"})
        case chat.ChatError():
            return Problem(_chat_status(error), error.code, error.sentence)
        case StreamsUnavailable():
            sentence = "The conversation cannot be reached right now. Try again in a moment."
            return Problem(503, "unavailable", sentence, _retry_after(error.retry_after))
        case SlotsExhausted():
            status = 503 if error.scope is Scope.TOTAL else 429
            return Problem(status, "too-many-readers", str(error), _retry_after(error.retry_after))
        case InvalidRequest():
            return Problem(400, "bad-request", WebError.sentence)
        case PayloadTooLarge():
            return Problem(413, "too-large", _HTTP_SENTENCES[413][1])
        case HTTPException() if error.status_code < 500:
            code, sentence = _HTTP_SENTENCES.get(error.status_code, _HTTP_SENTENCES[400])
            allow = {k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"}
            return Problem(error.status_code, code, sentence, allow)
        case StreamError():
            return _unexpected(error, 503, "unavailable", "The conversation cannot be reached right now.")
        case _:
            return _unexpected(error, 500, "internal", "Something went wrong on our side.")


def handle_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Litestar exception handler for everything."""
    problem = describe(error)
    # Litestar rewrites scope["path"] below a mount; raw_path stays what the client sent.
    if request.scope["raw_path"].startswith((b"/api/", b"/v1/")):
        content, media_type = json_body(problem), MediaType.JSON
    else:
        page = request.app.state["pages"].error(problem, title=HTTPStatus(problem.status).phrase)
        content, media_type = page.encode(), MediaType.HTML
    return Response(content, status_code=problem.status, headers=dict(problem.headers), media_type=media_type)


def json_body(problem: Problem) -> bytes:
    """``{"error", "code"}``, and ``reference`` where the cause was logged."""
    body = {"error": problem.sentence, "code": problem.code}
    if problem.reference:
        body["reference"] = problem.reference
    return msgspec.json.encode(body)


def refusal(error: Exception) -> WireResponse:
    """The answer to ``error`` where Litestar no longer gives it: once a slot is held."""
    problem = describe(error)
    headers = (("Content-Type", "application/json"), *problem.headers.items())
    return WireResponse(status=problem.status, headers=headers, body=json_body(problem))


def _chat_status(error: chat.ChatError) -> int:
    return next((_CHAT_STATUS[kind] for kind in type(error).__mro__ if kind in _CHAT_STATUS), 400)


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _unexpected(error: Exception, status: int, code: str, sentence: str) -> Problem:
    reference = secrets.token_hex(4)
    logger.error("unexpected error, told as %s", reference, exc_info=error)
    return Problem(status, code, sentence, reference=reference)
