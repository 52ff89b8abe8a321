"""What becomes of a message that waits for its turn: it says something else, or was never said.

Once an agent has begun to answer, neither can happen any more. Must not know who may do it.
"""

from __future__ import annotations

from collections.abc import Callable

from webapp.chat.reducer import parts
from webapp.chat.reducer.book import Book
from webapp.chat.reducer.parts import Record, record, string
from webapp.chat.reducer.runs import Runs


def edit(book: Book, runs: Runs, value: Record) -> None:
    """``message.edited``"""
    message_id, text = string(value, "messageId"), string(value, "text")
    if text and _waits(book, runs, message_id):
        parts.replace_text(book.write(message_id), text)


def drop(book: Book, runs: Runs, value: Record, *, remove: Callable[[str], None]) -> None:
    """``message.dropped``: what followed it follows what it had followed. ``remove`` takes a message out."""
    message_id = string(value, "messageId")
    if not _waits(book, runs, message_id):
        return
    before = record(book.read(message_id).get("metadata")).get("parentId")
    for follower in book.following(message_id):
        parts.merge_metadata(book.write(follower["id"]), {"parentId": before})
    remove(message_id)


def _waits(book: Book, runs: Runs, message_id: str) -> bool:
    """Whether a person has said this and nobody has begun to answer."""
    said = message_id in book and book.read(message_id)["role"] == "user"
    answered = any(each["role"] == "assistant" for each in book.following(message_id))
    return said and not answered and not runs.tried(message_id)
