"""What a chat's managers do about who may see it: links, people, frozen copies.

Owns which offers make sense, and that whoever loses something is cut off. Must not know HTTP, nor how any of
it looks; callers have made sure that ``by`` manages the chat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webapp.chat.catalog import Catalog, Chat
from webapp.chat.catalog.grants import Grant, Holder
from webapp.chat.catalog.links import Link
from webapp.chat.errors import ChatNotFound, InvalidMessage
from webapp.chat.excerpts import Excerpts
from webapp.chat.messages import Participant, Role
from webapp.chat.since import Since
from webapp.sharing.capabilities import Capabilities
from webapp.sharing.copies import Copies
from webapp.sharing.losses import Losses


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a new link is to give. ``lasts`` is in seconds, None for ever; ``from_message`` leaves out what
    was said before it; ``frozen`` is a copy of now instead of the chat.
    """

    role: Role
    lasts: float | None = None
    from_message: str | None = None
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link that was just made: the only time that its token is known."""

    id: str
    token: str
    grant: Grant


class Sharing:
    """Of all chats."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        capabilities: Capabilities,
        excerpts: Excerpts,
        copies: Copies,
        losses: Losses,
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._capabilities = capabilities
        self._excerpts = excerpts
        self._copies = copies
        self._losses = losses
        self._clock = clock

    async def links(self, chat: Chat) -> list[Link]:
        """The links that work, the newest first."""
        return await self._catalog.links.of(chat.id)

    async def people(self, chat: Chat) -> list[Holder]:
        """Whoever was let in, the first one first; the owner is not among them."""
        return await self._catalog.grants.people(chat.id)

    async def offer(self, chat: Chat, offer: Offer, *, by: Participant) -> NewLink:
        """Make a link. Raises InvalidMessage for an offer that makes no sense."""
        if offer.frozen and offer.role > Role.VIEW:
            raise InvalidMessage("A frozen copy can only be viewed.", code="invalid-role")
        if offer.role is Role.MANAGE and offer.from_message is not None:
            raise InvalidMessage("Whoever manages a chat sees all of it.", code="invalid-role")
        since = await self._since(chat, offer.from_message)
        opened = await self._copies.freeze(chat, by=by) if offer.frozen else chat.id
        expires_at = None if offer.lasts is None else self._clock() + offer.lasts
        grant = Grant(role=offer.role, since=since, expires_at=expires_at)
        token, grant = await self._capabilities.issue(opened, grant, by=by)
        return NewLink(link_id(grant), token, grant)

    async def revoke(self, chat: Chat, link: str) -> None:
        """End a link and what people have by it; a frozen copy goes with its link. Raises ChatNotFound."""
        try:
            token_hash = bytes.fromhex(link)
        except ValueError:
            raise _no_such_link() from None
        opened = await self._catalog.links.revoke(token_hash, chat_id=chat.id)
        if opened is None:
            raise _no_such_link()
        if opened != chat.id:
            await self._catalog.deleted.add(opened)
        await self._losses.look()

    async def set_role(self, chat: Chat, participant_id: str, role: Role) -> None:
        """Raises ChatNotFound for somebody who is not in the chat, InvalidMessage for a manager who would
        not see all of it.
        """
        if role is Role.MANAGE:
            right = await self._capabilities.right_of(participant_id, chat.id)
            if right is not None and right.since is not None:
                raise InvalidMessage("Whoever manages a chat sees all of it.", code="invalid-role")
        if not await self._catalog.grants.give(chat.id, participant_id, role):
            raise _not_here()
        await self._losses.look()

    async def remove(self, chat: Chat, participant_id: str) -> None:
        """Send somebody away. Raises ChatNotFound if they are not in the chat; its owner never is."""
        if not await self._catalog.grants.remove(chat.id, participant_id):
            raise _not_here()
        await self._losses.look()

    async def leave(self, chat: Chat, by: Participant) -> None:
        """Go away oneself; a link leads back. Raises ChatNotFound for the owner, who cannot."""
        if not await self._catalog.grants.leave(chat.id, by.id):
            raise _not_here()
        await self._losses.look()

    async def _since(self, chat: Chat, message_id: str | None) -> Since | None:
        if message_id is None:
            return None
        attempts = await self._catalog.runs.attempts(chat.id, message_id)
        hints = [row.offset for row in attempts if row.offset is not None]
        since = await self._excerpts.locate(chat.id, message_id, hints=hints)
        if since is None:
            raise InvalidMessage("There is no such message.", code="unknown-message")
        return since


def link_id(grant: Grant) -> str:
    """What a link is called where its token must not be: the hash of it."""
    return (grant.link_hash or b"").hex()


def _no_such_link() -> ChatNotFound:
    return ChatNotFound("There is no such link, or it was revoked.")


def _not_here() -> ChatNotFound:
    return ChatNotFound("This person is not in the chat.")
