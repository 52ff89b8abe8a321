"""Who takes part, and what they may say: values, and the one reading of a message out of a request body.

Owns the shapes TanStack clients send (UIMessage with ``parts``, ModelMessage with ``content``) and the
message of an AG-UI RunAgentInput, which is a ModelMessage. Only the newest user message counts: history comes
from the stream, never from a client. It must not know HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final
from uuid import uuid4

import msgspec

from webapp.agents.cast import HUES
from webapp.chat.errors import InvalidMessage, TooLarge

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""Of the newest message as JSON. Published clients post the whole history; that is not counted."""

MEDIA: Final = ("image", "audio", "video", "document")
"""Kinds of parts with a ``source``."""

# Not "." and "..": an id is a segment of addresses, and those would lead elsewhere. No "~" either: what the
# chat names by itself has one, so that no client's id can be the same.
_ID: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.:-]{1,128}")
_UNSEEMLY: Final = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SOURCES: Final = frozenset({"url", "data", "file"})


@dataclass(frozen=True, slots=True)
class Participant:
    """A person: a stable id, and how they are shown.

    ``hue`` is the colour they chose, None for the one that their id gives. ``guest``: they have not told a
    name yet, and ``name`` is one that was made up for them.
    """

    id: str
    name: str
    hue: int | None = None
    guest: bool = True

    @property
    def colour(self) -> int:
        """The number of a colour class."""
        return hue(self.id) if self.hue is None else self.hue

    @property
    def shown(self) -> dict[str, Any]:
        """What a message says of its author besides the name, where that is not plain from the id."""
        guest = {"guest": True} if self.guest else {}
        return guest if self.hue is None else {**guest, "hue": self.hue}


class Role(IntEnum):
    """What a participant may do in a chat; each includes the ones below."""

    VIEW = 1
    CHAT = 2
    APPROVE = 3
    MANAGE = 4


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A validated message of a person.

    ``id`` is the client's and makes sending idempotent. ``text`` is all its text. ``parts`` are its media,
    ``{type: image|audio|video|document, source: {type, value, mimeType?}}``. ``metadata`` is the client's
    own, of which the chat believes nothing about identity. ``by_agent``: it is no new message but names one
    that an agent has said, to which another agent is to answer once more.
    """

    id: str
    text: str
    parts: tuple[dict[str, Any], ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    by_agent: bool = False


def hue(identity: str) -> int:
    """The colour of a participant or agent, 0 to 23: FNV-1a of the UTF-8 bytes, as in ``rows.js``."""
    value = 0x811C9DC5
    for byte in identity.encode(errors="replace"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value % HUES


def one_line(text: str, *, most: int) -> str:
    """``text`` without what would act on the text around it (control characters, overrides of direction), in
    at most so many characters.
    """
    words = " ".join(_UNSEEMLY.sub(" ", text).split())
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def new_message_id() -> str:
    return f"msg-{uuid4().hex}"


def check_id(value: object, what: str, *, known: bool = False) -> str:
    """``value``, an id that a client made for its ``what``. Raises InvalidMessage. ``known``: it names what
    there is already, which the chat may have named.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value.replace("~", "-") if known else value):
        raise InvalidMessage(f"A {what} id has 1 to 128 characters out of A-Z, a-z, 0-9 and _ . : -")
    return value


def newest_user_message(body: Mapping[str, Any], *, new_id: Callable[[], str] = new_message_id) -> NewMessage:
    """The newest user message of a request body ``{messages: […]}``; ``new_id`` names one that has no id.

    Raises InvalidMessage if there is none or it is empty or malformed; TooLarge beyond MAX_MESSAGE_BYTES.
    """
    messages = body.get("messages") if isinstance(body, Mapping) else None
    if not isinstance(messages, list):
        raise InvalidMessage("The request has no list of messages.")
    newest = next(
        (each for each in reversed(messages) if isinstance(each, dict) and each.get("role") == "user"), None
    )
    if newest is None:
        raise InvalidMessage("The request has no message with the role user.")
    _check_size(newest)
    texts, media = _read_content(newest)
    text = "\n".join(texts)
    if not text.strip():
        raise InvalidMessage("The message has no text.")
    metadata = newest.get("metadata")
    given_id = newest.get("id")
    return NewMessage(
        id=new_id() if given_id in (None, "") else check_id(given_id, "message"),
        text=text,
        parts=tuple(media),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def check_text(text: str) -> str:
    """``text``, as the whole text of a message. Raises InvalidMessage or TooLarge."""
    _check_size({"text": text})
    if not text.strip():
        raise InvalidMessage("The message has no text.")
    return text


def named_answer(body: Mapping[str, Any]) -> NewMessage | None:
    """An agent's message, if the last message of a request body is one: its id is all that counts."""
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("role") != "assistant":
        return None
    named = last.get("id")
    return NewMessage(id=named, text="", by_agent=True) if isinstance(named, str) and named else None


def _check_size(message: dict[str, Any]) -> None:
    try:
        size = len(msgspec.json.encode(message))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMessage("The message is not valid JSON.") from error
    if size > MAX_MESSAGE_BYTES:
        raise TooLarge(f"The message is larger than {MAX_MESSAGE_BYTES // 1024} KiB.")


def _read_content(message: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    content = message.get("parts", message.get("content"))
    if isinstance(content, str):
        return [content], []
    if not isinstance(content, list):
        raise InvalidMessage("The message has neither text content nor a list of parts.")
    texts: list[str] = []
    media: list[dict[str, Any]] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            texts.append(_read_text(part))
        elif isinstance(kind, str) and kind in MEDIA:
            media.append(_read_media(part))
        else:
            raise InvalidMessage("A message part is of a type this chat cannot take.")
    return texts, media


def _read_text(part: dict[str, Any]) -> str:
    """UIMessage says ``content``, AG-UI says ``text``."""
    text = part.get("content", part.get("text"))
    if not isinstance(text, str):
        raise InvalidMessage("A text part has no text.")
    return text


def _read_media(part: dict[str, Any]) -> dict[str, Any]:
    source = part.get("source")
    if not (
        isinstance(source, dict)
        and source.get("type") in _SOURCES
        and isinstance(source.get("value"), str)
        and isinstance(source.get("mimeType", ""), str)
    ):
        raise InvalidMessage("A media part has no source to read it from.")
    kept = {key: source[key] for key in ("type", "value", "mimeType") if key in source}
    return {"type": part["type"], "source": kept}
