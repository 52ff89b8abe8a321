"""A person's list of chats as it is shown: in sections by age, each chat with what can be done with it.

Pure. Owns the words and the order. Days are those of the reader's own zone. Must not know where chats, faces
or the zone come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from webapp.chat.catalog.views import ListedChat
from webapp.web.rows import Person

_WEEK = timedelta(days=7)
_MOST_FACES = 3
_MOST_UNREAD = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the list is made of. ``zone`` is the reader's, in minutes behind UTC as browsers count;
    ``current`` is the chat they look at, ``faces`` who is in which chat now.
    """

    chats: Sequence[ListedChat]
    me_id: str
    now: float
    zone: int = 0
    current: str | None = None
    faces: Mapping[str, Sequence[Person]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One chat of the list."""

    id: str
    title: str
    url: str
    updated_iso: str
    updated_label: str
    current: bool
    pinned: bool
    archived: bool
    running: bool
    shared: bool
    mine: bool
    unread: str
    waiting: int
    faces: Sequence[Person]
    more_faces: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Chats that stand together. ``folded``: shown when it is asked for."""

    name: str
    items: Sequence[Item]
    folded: bool = False


def sections(listing: Listing) -> list[Section]:
    """The list; sections without chats are left out."""
    shift = timedelta(minutes=-listing.zone)
    today = (datetime.fromtimestamp(listing.now, UTC) + shift).date()
    named: dict[str, list[Item]] = {
        name: [] for name in ("Pinned", "Today", "Previous 7 days", "Older", "Archived")
    }
    for chat in sorted(listing.chats, key=lambda each: -each.updated_at):
        updated = datetime.fromtimestamp(chat.updated_at, UTC) + shift
        if chat.archived:
            where = "Archived"
        elif chat.pinned:
            where = "Pinned"
        elif updated.date() >= today:
            where = "Today"
        else:
            where = "Previous 7 days" if today - updated.date() <= _WEEK else "Older"
        label = updated.strftime("%H:%M" if updated.date() >= today else "%-d %b")
        named[where].append(_item(listing, chat, label))
    return [
        Section(name=name, items=items, folded=name == "Archived") for name, items in named.items() if items
    ]


def zone_of(cookies: Mapping[str, str]) -> int:
    """Minutes behind UTC, as the page has noted them; 0 for what is no such number."""
    try:
        minutes = int(cookies.get("tz", "0"))
    except ValueError:
        return 0
    return minutes if -900 <= minutes <= 900 else 0


def _item(listing: Listing, chat: ListedChat, label: str) -> Item:
    current = chat.id == listing.current
    faces = [each for each in listing.faces.get(chat.id, ()) if each.id != listing.me_id]
    unread = 0 if current else chat.unread
    return Item(
        id=chat.id,
        title=chat.title or "New chat",
        url=f"/chat/{chat.id}",
        updated_iso=datetime.fromtimestamp(chat.updated_at, UTC).isoformat(timespec="seconds"),
        updated_label=label,
        current=current,
        pinned=chat.pinned,
        archived=chat.archived,
        running=chat.running,
        shared=chat.shared,
        mine=chat.owner_id == listing.me_id,
        unread=f"{_MOST_UNREAD}+" if unread > _MOST_UNREAD else str(unread or ""),
        waiting=chat.waiting,
        faces=faces[:_MOST_FACES],
        more_faces=max(len(faces) - _MOST_FACES, 0),
    )
