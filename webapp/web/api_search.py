"""Searching in all chats that somebody may see."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from litestar import Response
from litestar.params import FromQuery

from webapp.chat.catalog.texts import Hit
from webapp.chat.catalog.views import ListedChat
from webapp.chat.errors import ChatNotFound
from webapp.streams.clients.base import StreamError
from webapp.web.guards import chats_of
from webapp.web.identity import Caller
from webapp.web.reads import read
from webapp.web.render import chat_url
from webapp.web.services import AppServices, Services


@read("/api/search")
async def search(services: AppServices, visitor: Caller, q: FromQuery[str] = "") -> Response[Any]:
    """``{results: [{chatId, title, url, messageId, name, at, snippet: [{text, match}]}], complete}``. A
    result without ``messageId`` is a title.
    """
    chats = {chat.id: chat for chat in await chats_of(services, visitor)}
    found = await services.search.find(q, list(chats))
    shown = await _shown(services, {hit.chat_id for hit in found.hits}, chats)
    results = [
        _result(hit, chats[hit.chat_id])
        for hit in found.hits
        if hit.chat_id not in shown or hit.message_id in shown[hit.chat_id]
    ]
    return Response({"results": results, "complete": found.complete})


async def _shown(
    services: Services, found_in: Collection[str], chats: Mapping[str, ListedChat]
) -> dict[str, set[str]]:
    """Of chats that are seen in part, the messages that are."""
    shown: dict[str, set[str]] = {}
    for chat_id in found_in:
        since = chats[chat_id].since
        if since is None:
            continue
        shown[chat_id] = set()
        with suppress(ChatNotFound, StreamError):
            at = await services.excerpts.snapshot(chat_id, since=since)
            shown[chat_id] = {each["id"] for each in at.snapshot.messages}
    return shown


def _result(hit: Hit, chat: ListedChat) -> dict[str, Any]:
    url = chat_url(chat.id)
    if hit.message_id:
        url += f"?at={quote(hit.message_id, safe='')}#{quote(hit.message_id, safe='')}"
    return {
        "chatId": chat.id,
        "title": chat.title or "New chat",
        "url": url,
        "messageId": hit.message_id or None,
        "name": hit.name,
        "at": None if hit.said_at is None else round(hit.said_at * 1000),
        "snippet": [{"text": text, "match": match} for text, match in hit.snippet],
    }


ROUTES = [search]
