"""Every error has a status, a code and a sentence; what was not meant for people stays in the log."""

from __future__ import annotations

import pytest
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException

from webapp.chat import errors as chat
from webapp.streams.clients.base import InvalidRequest, StreamGone, StreamsUnavailable
from webapp.streams.limits import Scope, SlotsExhausted
from webapp.web.errors import (
    BadHost,
    BodyTooSlow,
    CrossSite,
    MalformedBody,
    StreamRefused,
    WrongContentType,
    describe,
    json_body,
)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (chat.InvalidMessage("No."), 400, "invalid-message"),
        (chat.InvalidMessage("No.", code="invalid-role"), 400, "invalid-role"),
        (chat.Unauthorised("No."), 401, "unauthorised"),
        (chat.Forbidden("No."), 403, "forbidden"),
        (chat.ChatNotFound(), 404, "not-found"),
        (chat.Conflict("No."), 409, "conflict"),
        (chat.TooLarge("No."), 413, "too-large"),
        (chat.LimitReached("No.", retry_after=2.2), 429, "limit-reached"),
        (chat.Unavailable("No."), 503, "unavailable"),
        (StreamsUnavailable("x", retry_after=3), 503, "unavailable"),
        (InvalidRequest("x"), 400, "bad-request"),
        (BadHost(), 400, "bad-host"),
        (MalformedBody("No."), 400, "malformed"),
        (CrossSite(), 403, "cross-site"),
        (StreamRefused(410), 410, "stream-gone"),
        (BodyTooSlow(), 408, "timeout"),
        (WrongContentType("application/json"), 415, "unsupported-media-type"),
        (NotFoundException(), 404, "not-found"),
        (MethodNotAllowedException(headers={"allow": "GET"}), 405, "method-not-allowed"),
        (SlotsExhausted(Scope.PRINCIPAL), 429, "too-many-readers"),
        (SlotsExhausted(Scope.TOTAL), 503, "too-many-readers"),
        (HTTPException(status_code=413), 413, "too-large"),
        (HTTPException(status_code=418), 418, "bad-request"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_known_errors(error: Exception, status: int, code: str, caplog: pytest.LogCaptureFixture) -> None:
    problem = describe(error)
    assert (problem.status, problem.code, problem.reference) == (status, code, None)
    assert problem.sentence.endswith(".")
    assert caplog.records == []


def test_headers_that_say_what_to_do() -> None:
    assert describe(chat.LimitReached("No.", retry_after=2.2)).headers == {"Retry-After": "3"}
    assert describe(chat.Unavailable("No.", retry_after=0)).headers == {"Retry-After": "1"}
    assert describe(MethodNotAllowedException(headers={"allow": "GET"})).headers == {"allow": "GET"}
    assert describe(chat.Unauthorised("No.")).headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("secret"), 500),
        (HTTPException("secret", status_code=500), 500),
        (StreamGone("secret"), 503),
    ],
)
def test_what_was_not_foreseen_is_logged_under_an_id(
    error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    problem = describe(error)
    assert problem.status == status
    assert problem.reference
    (logged,) = caplog.records
    assert logged.levelname == "ERROR"
    assert problem.reference in logged.getMessage()
    assert logged.exc_info
    assert logged.exc_info[1] is error
    assert b"secret" not in json_body(problem)
    assert problem.reference.encode() in json_body(problem)
