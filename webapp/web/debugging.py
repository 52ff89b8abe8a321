"""The drawer of ``?debug``: the prompt for the last question on the reader's path, and the log as it is.

Whoever may read the chat may read its stream, so there is nothing in here that they could not see otherwise.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec
from litestar import MediaType, Response
from litestar.params import FromPath

from webapp.agents.base import UIMessage, text_of
from webapp.chat.excerpts import begin
from webapp.chat.prompt import prompt
from webapp.chat.since import Since
from webapp.streams.clients.base import BEGINNING
from webapp.web.identity import Caller
from webapp.web.pages import view_of
from webapp.web.reads import read
from webapp.web.services import AppServices, Services

_RUNS = 5
_EVENTS = 300


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event as the stream has it: the ``number``-th after ``offset``."""

    offset: str
    number: int
    raw: str


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """A message of a prompt: ``said`` is its text, or its parts as JSON where it has others."""

    id: str
    name: str
    said: str


@read("/chat/{chat_id:str}/debug")
async def debug(chat_id: FromPath[str], services: AppServices, visitor: Caller) -> Response[str]:
    """The fragment."""
    view = await view_of(services, visitor, chat_id)
    asked = next((one["id"] for one in reversed(view.path()) if one["role"] == "user"), "")
    messages = prompt(view.at.snapshot.messages, asked)
    events = await _newest(services, chat_id, view.since)
    html = await asyncio.to_thread(
        services.pages.debug, view, prompt=[_shown(message) for message in messages], events=events
    )
    return Response(html, media_type=MediaType.HTML)


async def _newest(services: Services, chat_id: str, since: Since | None) -> list[LoggedEvent]:
    """The events since a few runs ago."""
    path = services.sessions.path(chat_id)
    rows = await services.catalog.runs.latest(chat_id, limit=_RUNS)
    offset = begin((rows[-1].offset if rows else None) or BEGINNING, since)
    stream = services.excerpts.reader(chat_id, since=since)
    found: list[LoggedEvent] = []
    while True:
        page = await stream.read(path, offset=offset)
        found += (
            LoggedEvent(offset, number, raw.decode(errors="replace"))
            for number, raw in enumerate(page.messages, 1)
        )
        offset = page.next_offset
        if page.up_to_date:
            return found[-_EVENTS:]


def _shown(message: UIMessage) -> PromptMessage:
    parts = message.get("parts") or ()
    plain = all(part.get("type") == "text" for part in parts)
    said = text_of(message) if plain else msgspec.json.format(msgspec.json.encode(parts), indent=1).decode()
    return PromptMessage(str(message["id"]), str(message.get("name") or message.get("role")), said)


ROUTES = [debug]
