"""Reading request bodies: type, size, time and shape, each refused by its own error.

Litestar enforces the announced and the counted size (``request_max_body_size``); the rest is here.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException

from webapp.web.errors import BodyTooSlow, MalformedBody, WrongContentType
from webapp.web.services import services_of

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_JSON_DEPTH = 64
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

T = TypeVar("T", bound=msgspec.Struct)
ChatRequest = Request[None, None, State]


async def read_json(request: ChatRequest) -> dict[str, Any]:
    """The body as a JSON object. Raises WrongContentType, BodyTooSlow or MalformedBody."""
    return parse_json(await _read(request, JSON))


def parse_json(body: bytes) -> dict[str, Any]:
    """``body`` as a JSON object. Raises MalformedBody."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise MalformedBody("The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise MalformedBody("The body must be a JSON object.")
    if _deeper_than(value, MAX_JSON_DEPTH):
        raise MalformedBody(f"The body is nested deeper than {MAX_JSON_DEPTH} levels.")
    return value


async def read_struct(request: ChatRequest, shape: type[T]) -> T:
    """The body as ``shape``. An empty body counts as an empty object. Raises as ``read_json``."""
    body = await _read(request, JSON)
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except msgspec.ValidationError as error:
        raise MalformedBody(f"The body does not fit: {error}.") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise MalformedBody("The body is not valid JSON.") from None


async def read_form(request: ChatRequest) -> dict[str, str]:
    """The fields of a plain HTML form; the last of repeated ones."""
    body = await _read(request, FORM)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=32))
    except ValueError:
        raise MalformedBody("The form could not be read.") from None


async def _read(request: ChatRequest, media_type: str) -> bytes:
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != media_type:
        raise WrongContentType(media_type)
    try:
        async with asyncio.timeout(services_of(request).settings.server.body_timeout):
            return await request.body()
    except TimeoutError:
        raise BodyTooSlow from None
    except InternalServerException:
        # Litestar's word for a client that hung up; nobody is left to read the answer.
        raise MalformedBody("The body ended early.") from None


def _deeper_than(value: object, limit: int) -> bool:
    """Whether containers are nested more than ``limit`` deep. Level by level, so that nothing recurses."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return any(isinstance(node, dict | list) for node in level)
