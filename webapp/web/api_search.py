"""Searching in all chats that somebody may see."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar import Response
from litestar.params import FromQuery

from webapp.chat.catalog.texts import Hit
from webapp.chat.catalog.views import ListedChat
from webapp.web.guards import chats_of
from webapp.web.identity import Caller
from webapp.web.reads import read
from webapp.web.render import chat_url
from webapp.web.services import AppServices


@read("/api/search")
async def search(services: AppServices, visitor: Caller, q: FromQuery[str] = "") -> Response[Any]:
    """``{results: [{chatId, title, url, messageId, name, at, snippet: [{text, match}]}], complete}``. A
    result without ``messageId`` is a title.
    """
    chats = {chat.id: chat for chat in await chats_of(services, visitor) if not chat.limited}
    found = await services.search.find(q, list(chats))
    results = [_result(hit, chats[hit.chat_id]) for hit in found.hits]
    return Response({"results": results, "complete": found.complete})


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
