"""What people settle about a chat for everybody: what it is called, which version of something is shown.

Owns the order of what is stored and what is told. Must not know who may do so.
"""

from __future__ import annotations

from webapp.chat import events
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.choices import Choice
from webapp.chat.errors import InvalidMessage
from webapp.chat.messages import Participant
from webapp.chat.overview import Changed, unnoticed
from webapp.chat.sessions import Sessions
from webapp.chat.telling import Telling
from webapp.chat.titles import unmarked


class Marks:
    """Marks of all chats. Raises Unavailable and ChatNotFound when a chat cannot be told."""

    def __init__(
        self,
        *,
        telling: Telling,
        sessions: Sessions,
        catalog: Catalog,
        changed: Changed = unnoticed,
    ) -> None:
        self._telling = telling
        self._sessions = sessions
        self._catalog = catalog
        self._changed = changed

    async def rename(self, chat_id: str, title: str, *, by: Participant) -> str:
        """Give the chat a title; as it is shown. Raises InvalidMessage if nothing of it can be."""
        cleaned = await self._catalog.rename_chat(chat_id, title)
        if cleaned is None:
            raise InvalidMessage("A chat needs a title.", code="no-title")
        await self._telling.tell(chat_id, [events.chat_renamed(cleaned, participant_id=by.id, name=by.name)])
        self._changed(chat_id)
        return cleaned

    async def name(self, chat_id: str, title: str) -> None:
        """Give the chat a title that nobody has asked for: once, and not if somebody has given it one."""
        if (await self._sessions.snapshot(chat_id)).snapshot.title:
            return
        cleaned = await self._catalog.rename_chat(chat_id, unmarked(title))
        if cleaned is not None:
            await self._telling.tell(chat_id, [events.chat_renamed(cleaned)], once="title:agent")
            self._changed(chat_id)

    async def choose(
        self, chat_id: str, group: str, version: str, *, by: Participant, pin: bool = False
    ) -> None:
        """Look at this version from now on: ``by`` alone, or with ``pin`` everybody.

        Raises InvalidMessage if there is no such version.
        """
        at = await self._sessions.snapshot(chat_id)
        if version not in at.branches.versions(group):
            raise InvalidMessage("There is no such version.", code="unknown-version")
        if pin:
            told = events.branch_pinned(group, version, participant_id=by.id, name=by.name)
            await self._telling.tell(chat_id, [told])
            await self._catalog.choices.forget(chat_id, by.id, [group])
        else:
            choice = Choice(version, at.snapshot.pins.get(group))
            await self._catalog.choices.choose(chat_id, by.id, group, choice)
