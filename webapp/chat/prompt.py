"""Chooses what an agent is shown of a conversation.

Owns one pure function. Must not know runs, queues or providers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from webapp.agents.base import UIMessage
from webapp.chat.branches import Branches


def prompt(
    messages: Sequence[UIMessage], trigger_id: str, *, continues: Collection[str] = ()
) -> list[UIMessage]:
    """Every turn on the path to the trigger, each answer right after its question, then the trigger, then
    what the runs of ``continues``, which paused or were stopped, have said to it.

    The path is the one that the sender of the trigger saw: what it follows, and of other things the versions
    that it says it was sent with.

    An answer names its question in ``metadata.parentId``. So the answer that was still streaming when the
    trigger was queued comes before it, although the stream has it later, while questions queued behind the
    trigger, and earlier attempts at the trigger itself, stay out. Unfinished answers count with the text
    they have. The trigger may be an answer itself, which another agent answers.
    """
    places = {message["id"]: place for place, message in enumerate(messages)}
    if trigger_id not in places:
        return []
    limit = places[trigger_id]
    branches = Branches(messages)
    told = (messages[limit].get("metadata") or {}).get("choices")
    choices = {**(told if isinstance(told, dict) else {}), **branches.choices_of(trigger_id)}

    def turn_of(message: UIMessage) -> int:
        own = places[message["id"]]
        parent = (message.get("metadata") or {}).get("parentId")
        return places.get(parent, own) if message["role"] == "assistant" and isinstance(parent, str) else own

    path = branches.path(choices)
    earlier = [each for each in path if turn_of(each) < limit and each["id"] != trigger_id]
    # Stable: within a turn the question stands before its answers, and those in the order they were begun.
    earlier.sort(key=turn_of)
    begun = [each for each in messages if (each.get("metadata") or {}).get("runId") in continues]
    return [*earlier, messages[limit], *begun]
