"""Keeps what is shown of a chat elsewhere equal to what is in it: how many messages it has, what can be
searched for, and the lists in which it stands.

Owns when that is done: soon after a change, once for all that happen meanwhile, and in nobody's way. Whatever
fails here is made good by the next change. Must not know who may see what, nor how a list looks.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from webapp.agents.base import UIMessage, text_of
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.texts import IndexedText
from webapp.chat.errors import ChatError
from webapp.chat.feeds import Feeds
from webapp.chat.reducer.snapshot import Snapshot
from webapp.chat.sessions import STREAM_IS_GONE, Sessions
from webapp.streams.clients.base import StreamError

logger = logging.getLogger(__name__)

_CHATS = 256
"""How many chats' messages are remembered as they were indexed: of others the catalog is asked."""


@dataclass(frozen=True, slots=True)
class Said:
    """A person has said ``message_id``, and so has read up to there."""

    participant_id: str
    message_id: str


class Changed(Protocol):
    """Something of the chat has changed."""

    def __call__(self, chat_id: str, said: Said | None = None, /) -> None: ...


def unnoticed(chat_id: str, said: Said | None = None, /) -> None:
    """For who keeps no lists."""


@dataclass(slots=True)
class _Pending:
    said: list[Said] = field(default_factory=list)
    again: bool = True


class Overview:
    """The overview of every chat. ``window`` is how long after a change the next ones are gathered."""

    def __init__(self, *, sessions: Sessions, catalog: Catalog, feeds: Feeds, window: float = 0.15) -> None:
        self._sessions = sessions
        self._catalog = catalog
        self._feeds = feeds
        self._window = window
        self._closed = False
        self._pending: dict[str, _Pending] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._indexed: OrderedDict[str, Mapping[str, UIMessage]] = OrderedDict()

    def changed(self, chat_id: str, said: Said | None = None, /) -> None:
        """Look at the chat soon. Never raises."""
        pending = self._pending.get(chat_id)
        if pending is None:
            pending = self._pending[chat_id] = _Pending()
            self._spawn(self._keep_up(chat_id))
        pending.again = True
        if said is not None:
            pending.said.append(said)

    def company_changed(self, chat_id: str, *, after: float = 0.0, at_least: int = 2) -> None:
        """Somebody came into the chat, or will have left it ``after`` some seconds: others see that, if by
        then ``at_least`` so many may be in it.
        """
        # The sign of life itself is on its way, too.
        asyncio.get_running_loop().call_later(after + self._window, self._company_changed, chat_id, at_least)

    async def look(self, chat_id: str, said: Sequence[Said] = ()) -> None:
        """Bring the catalog up to date with the chat. Raises as ``Sessions.snapshot`` does, and
        Unavailable.
        """
        try:
            at = (await self._sessions.snapshot(chat_id)).snapshot
        except STREAM_IS_GONE:
            await self._catalog.note_messages(chat_id, count=0, changed=())
            raise
        chat = await self._catalog.get_chat(chat_id)
        if chat is None:
            return
        messages = at.messages
        before = self._indexed.get(chat_id)
        changed, gone = await self._difference(chat_id, at, before, title=at.title or chat.title or "")
        if before is not None and not said and not changed and len(before) == len(messages):
            return
        places = {each["id"]: number for number, each in enumerate(messages, 1)} if said else {}
        await self._catalog.note_messages(
            chat_id,
            count=len(messages),
            changed=changed,
            gone=gone,
            read={each.participant_id: (places.get(each.message_id, 0), each.message_id) for each in said},
        )
        self._indexed[chat_id] = {each["id"]: each for each in messages}
        self._indexed.move_to_end(chat_id)
        while len(self._indexed) > _CHATS:
            self._indexed.popitem(last=False)

    async def aclose(self, *, within: float = 1.0) -> None:
        """Finish what is under way, and give up on the rest."""
        self._closed = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within)
            for task in late:
                task.cancel()

    async def _keep_up(self, chat_id: str) -> None:
        pending = self._pending[chat_id]
        try:
            while pending.again:
                said, pending.said, pending.again = pending.said, [], False
                try:
                    await self.look(chat_id, said)
                    await self.tell(chat_id)
                except (ChatError, StreamError) as error:
                    logger.info("chat %s is not in the lists as it is: %s", chat_id, type(error).__name__)
                if self._closed:
                    break
                await asyncio.sleep(self._window)
        except Exception:
            logger.exception("the overview of chat %s broke", chat_id)
        finally:
            del self._pending[chat_id]

    def _company_changed(self, chat_id: str, at_least: int) -> None:
        if not self._closed:
            self._spawn(self.tell(chat_id, at_least=at_least))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def tell(self, chat_id: str, *, also: Collection[str] = (), at_least: int = 1) -> None:
        """Have everybody in the chat look at their list again, and whoever was in it. Never raises."""
        members = set(also)
        with suppress(ChatError):
            members.update(await self._catalog.views.members(chat_id))
        if len(members) >= at_least:
            await self._feeds.tell(members, {"kind": "chats", "chatId": chat_id})

    async def _difference(
        self, chat_id: str, at: Snapshot, before: Mapping[str, UIMessage] | None, *, title: str
    ) -> tuple[Sequence[IndexedText], list[str]]:
        """The texts that are others than those in the index, and the ids of those that are no more."""
        # A message that has not changed is the same object in the next snapshot.
        new = [each for each in at.messages if before is None or before.get(each["id"]) is not each]
        texts = [_text("", title), *map(_of, new)]
        asked = None if before is None else [each.message_id for each in texts]
        known = await self._catalog.texts.digests(chat_id, asked)
        changed = [each for each in texts if each.text and known.get(each.message_id) != each.digest]
        here = {each["id"] for each in at.messages} | {""}
        earlier = known if before is None else before
        return changed, [message_id for message_id in earlier if message_id not in here]


def _of(message: UIMessage) -> IndexedText:
    metadata = message.get("metadata") or {}
    created = metadata.get("createdAt")
    at = created / 1000 if isinstance(created, int | float) else None
    return _text(message["id"], text_of(message), name=str(message.get("name") or ""), at=at)


def _text(message_id: str, text: str, *, name: str = "", at: float | None = None) -> IndexedText:
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
    # Half a surrogate pair cannot be stored.
    said = text.encode(errors="replace").decode()
    return IndexedText(message_id=message_id, name=name, said_at=at, digest=digest, text=said)
