"""Who may do what in which chat.

Owns the one decision every route asks for, ``may``, and the links and tokens that change its answer. Must
not know routes, cookies or templates. A chat that is missing and a chat that must not be seen give the same
answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Literal

from webapp.chat.catalog import Catalog, token_hash
from webapp.chat.catalog.grants import Bearer
from webapp.chat.errors import ChatNotFound, Forbidden, InvalidMessage
from webapp.chat.messages import Participant, Role

__all__ = ["Access", "Bearer", "Capabilities"]

Access = Literal["private", "open"]

LINK_ROLES = (Role.VIEW, Role.CHAT, Role.APPROVE)

_NEEDS = {
    Role.VIEW: "see this chat",
    Role.CHAT: "take part in this chat",
    Role.APPROVE: "decide approvals in this chat",
    Role.MANAGE: "manage this chat",
}


class Capabilities:
    """Roles: view < chat < approve < manage. The owner manages; others have what they were granted.

    With ``access="open"`` whoever knows the unguessable id of a chat may take part in it.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        access: Access = "private",
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(24),
    ) -> None:
        self._catalog = catalog
        self._access = access
        self._new_token = new_token

    async def role_of(self, participant_id: str, chat_id: str) -> Role | None:
        """The participant's role, or None if they cannot see the chat or there is none."""
        standing = await self._catalog.grants.standing(chat_id, participant_id)
        if standing is None:
            return None
        owner_id, granted = standing
        if owner_id == participant_id:
            return Role.MANAGE
        if self._access == "open":
            return max(granted or Role.CHAT, Role.CHAT)
        return granted

    async def may(
        self, participant: Participant, chat_id: str, role: Role, *, scope: str | None = None
    ) -> Role:
        """Return the participant's role if it is at least ``role``.

        ``scope`` is the only chat the caller's bearer token is good for, if there is one. Raises ChatNotFound
        if the participant cannot see the chat, Forbidden if they can and the role does not suffice.
        """
        held = await self.role_of(participant.id, chat_id)
        if held is None or scope not in (None, chat_id):
            raise ChatNotFound
        if held < role:
            raise Forbidden(f"You are not allowed to {_NEEDS[role]}.")
        return held

    async def create_link(self, chat_id: str, *, role: Role, by: Participant) -> str:
        """Make a share link and return its token; only the token's hash is stored.

        Raises InvalidMessage for a role that links cannot give, Forbidden unless ``by`` manages the chat.
        """
        if role not in LINK_ROLES:
            raise InvalidMessage("A link can give the role view, chat or approve.", code="invalid-role")
        await self.may(by, chat_id, Role.MANAGE)
        token = self._new_token()
        await self._catalog.grants.add_link(token_hash(token), chat_id=chat_id, role=role, by=by.id)
        return token

    async def redeem(self, token: str, participant: Participant) -> str:
        """Let the participant in; return the chat id. Raises ChatNotFound for a token that opens nothing."""
        chat_id = await self._catalog.grants.redeem(token_hash(token), participant.id)
        if chat_id is None:
            raise ChatNotFound
        await self._catalog.people.remember(participant)
        return chat_id

    async def authenticate(self, token: str) -> Bearer | None:
        """Whom a bearer token speaks for, or None."""
        return await self._catalog.grants.bearer(token_hash(token))
