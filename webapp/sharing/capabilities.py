"""Who may do what in which chat.

Owns the one decision every route asks for, ``may``, and the tokens that change its answer. Must not know
routes, cookies or templates. A chat that is missing and a chat that must not be seen give the same answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from webapp.chat.catalog import Catalog, token_hash
from webapp.chat.catalog.grants import Bearer, Grant
from webapp.chat.errors import ChatNotFound, Forbidden
from webapp.chat.messages import Participant, Role
from webapp.chat.since import Since

__all__ = ["Access", "Bearer", "Capabilities", "Right"]

Access = Literal["private", "open"]

_NEEDS = {
    Role.VIEW: "see this chat",
    Role.CHAT: "take part in this chat",
    Role.APPROVE: "decide approvals in this chat",
    Role.MANAGE: "manage this chat",
}


@dataclass(frozen=True, slots=True)
class Right:
    """What somebody has in a chat. ``since`` is None for the whole conversation."""

    role: Role
    since: Since | None = None


class Capabilities:
    """Roles: view < chat < approve < manage. The owner manages; others have what they were granted.

    With ``access="open"`` whoever knows the unguessable id of a chat may take part in it. A frozen copy is
    only ever seen, by its owner too.
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

    async def right_of(self, participant_id: str, chat_id: str) -> Right | None:
        """The participant's right, or None if they cannot see the chat or there is none."""
        standing = await self._catalog.grants.standing(chat_id, participant_id)
        if standing is None:
            return None
        right = self._right(participant_id, standing.owner_id, standing.grant)
        if right is not None and standing.frozen:
            return Right(Role.VIEW, right.since)
        return right

    async def role_of(self, participant_id: str, chat_id: str) -> Role | None:
        """The participant's role, or None if they cannot see the chat or there is none."""
        right = await self.right_of(participant_id, chat_id)
        return None if right is None else right.role

    async def admit(
        self, participant: Participant, chat_id: str, role: Role, *, scope: str | None = None
    ) -> Right:
        """Return the participant's right if its role is at least ``role``.

        ``scope`` is the only chat the caller's bearer token is good for, if there is one. Raises ChatNotFound
        if the participant cannot see the chat, Forbidden if they can and the role does not suffice.
        """
        right = await self.right_of(participant.id, chat_id)
        if right is None or scope not in (None, chat_id):
            raise ChatNotFound
        if right.role < role:
            raise Forbidden(f"You are not allowed to {_NEEDS[role]}.")
        return right

    async def may(
        self, participant: Participant, chat_id: str, role: Role, *, scope: str | None = None
    ) -> Role:
        """As ``admit``, for whoever wants to know no more than the role."""
        return (await self.admit(participant, chat_id, role, scope=scope)).role

    async def create_link(
        self,
        chat_id: str,
        *,
        role: Role,
        by: Participant,
        since: Since | None = None,
        expires_at: float | None = None,
    ) -> str:
        """Make a share link and return its token; only the token's hash is stored.

        Raises Forbidden unless ``by`` manages the chat.
        """
        await self.may(by, chat_id, Role.MANAGE)
        token, _ = await self.issue(chat_id, Grant(role=role, since=since, expires_at=expires_at), by=by)
        return token

    async def issue(self, chat_id: str, grant: Grant, *, by: Participant) -> tuple[str, Grant]:
        """A new link: its token, and what it gives. Callers have seen to it that ``by`` may give that."""
        token = self._new_token()
        given = replace(grant, link_hash=token_hash(token))
        await self._catalog.links.add(chat_id, by=by.id, grant=given)
        return token, given

    async def redeem(self, token: str, participant: Participant) -> str:
        """Let the participant in; return the chat id. Raises ChatNotFound for a token that opens nothing."""
        chat_id = await self._catalog.links.redeem(token_hash(token), participant.id)
        if chat_id is None:
            raise ChatNotFound
        await self._catalog.people.remember(participant)
        return chat_id

    async def authenticate(self, token: str) -> Bearer | None:
        """Whom a bearer token speaks for, or None."""
        return await self._catalog.grants.bearer(token_hash(token))

    def _right(self, participant_id: str, owner_id: str, grant: Grant | None) -> Right | None:
        if owner_id == participant_id:
            return Right(Role.MANAGE)
        if self._access == "open":
            return Right(max(grant.role if grant else Role.CHAT, Role.CHAT))
        return None if grant is None else Right(grant.role, grant.since)
