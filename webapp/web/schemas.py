"""Shapes of the small request bodies. The big one, ``POST /api/chat``, is ``webapp.chat.messages``'."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from webapp.agents.cast import HUES
from webapp.chat.presence_board import Device, State
from webapp.chat.runs.queue import Action

RunId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
MessageId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class NewChat(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /api/chats`` and ``PUT /api/chats/{id}``."""

    title: Annotated[str, msgspec.Meta(max_length=200)] | None = None


RoleName = Literal["view", "chat", "approve", "manage"]


class NewShare(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``POST /api/chats/{id}/shares``. ``expiresIn`` is in seconds; with ``fromMessage`` what was said before
    it is left out; ``frozen``: a copy of now, instead of the chat as it goes on. ``qr``: draw the link, too.
    """

    role: RoleName = "chat"
    expires_in: Annotated[int, msgspec.Meta(ge=60, le=366 * 24 * 3600)] | None = None
    from_message: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None
    frozen: bool = False
    qr: bool = False


class ChangeRole(msgspec.Struct, frozen=True, kw_only=True):
    """``PATCH /api/chats/{id}/people/{participant}``."""

    role: RoleName


class MoveAgent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``POST /api/chats/{id}/agents``."""

    agent_id: str
    present: bool


class StopRun(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /api/chat/stop``. Without ``runId`` every answer that is being written is stopped."""

    id: str
    run_id: RunId | None = msgspec.field(default=None, name="runId")


class ContinueRun(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /api/chat/continue``: the run that was stopped or broken off."""

    id: str
    run_id: RunId = msgspec.field(name="runId")


class RenameChat(msgspec.Struct, frozen=True, kw_only=True):
    """``PATCH /api/chats/{id}``."""

    title: Annotated[str, msgspec.Meta(max_length=200)]


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """``PATCH /api/chats/{id}/view``: what is left out stays as it is."""

    pinned: bool | None = None
    archived: bool | None = None


class ReadUntil(msgspec.Struct, frozen=True, kw_only=True):
    """``PUT /api/chats/{id}/read``."""

    message_id: MessageId = msgspec.field(name="messageId")


class WriteDraft(msgspec.Struct, frozen=True, kw_only=True):
    """``PUT /api/chats/{id}/draft``. ``tab`` is whatever a tab calls itself."""

    text: Annotated[str, msgspec.Meta(max_length=100_000)]
    tab: Annotated[str, msgspec.Meta(max_length=64)] = ""


class ForkChat(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``POST /api/chats/{id}/fork``: after the message, or at a place in the stream; the end if neither is
    said. ``id`` names the new chat, so that the same request again is the same fork.
    """

    message_id: MessageId | None = None
    offset: Annotated[str, msgspec.Meta(max_length=256, pattern="^[!-~]+$")] | None = None
    sub_offset: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    id: str | None = None


class ChooseVersion(msgspec.Struct, frozen=True, kw_only=True):
    """``PUT /api/chats/{id}/branch``. ``pin``: for everybody, not only for who asks."""

    group: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    pin: bool = False


class ChangeQueued(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /api/chat/queue``: what becomes of a message that waits. ``text`` is for an edit."""

    id: str
    message_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] = msgspec.field(name="messageId")
    action: Action
    text: str = ""


class CutNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /api/lab/cut``."""

    id: str


class ChangeMe(msgspec.Struct, frozen=True, kw_only=True):
    """``PATCH /api/me``."""

    name: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    hue: Annotated[int, msgspec.Meta(ge=0, lt=HUES)] | None = None


class NewBeat(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /api/chats/{id}/presence``. ``seq`` grows with each of a ``tab``."""

    tab: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
    seq: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    state: State
    typing: bool = False
    device: Device = "computer"
