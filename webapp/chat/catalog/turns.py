"""How many turns agents have taken since somebody spoke. Owns the counting, inside a transaction."""

from __future__ import annotations

from sqlalchemy import func, select

from webapp.chat.catalog.database import Transaction
from webapp.chat.catalog.schema import runs

HANDED_ON = b""
"""The content hash of an agent's message that another agent answers: nobody can send it again."""


async def turns_taken(connection: Transaction, *, chat_id: str, run_id: str) -> list[str]:
    """The turns of agents since the message of a person that the run goes back to: whose each is. One that is
    taken again, because it failed or was not liked, counts once.
    """
    columns = (runs.c.run_id, runs.c.message_id, runs.c.agent_id, runs.c.parent_run_id, runs.c.content_hash)
    query = select(*columns).where(runs.c.chat_id == chat_id)
    root = run_id
    while (found := (await connection.execute(query.where(runs.c.run_id == root))).first()) is not None:
        if found.content_hash != HANDED_ON:
            break
        root = found.parent_run_id
    if found is None:
        return []
    began = select(func.min(runs.c.seq)).where(
        runs.c.chat_id == chat_id, runs.c.message_id == found.message_id
    )
    later = query.where(runs.c.seq >= began.scalar_subquery()).order_by(runs.c.seq)
    within: set[str] = set()
    turns: dict[tuple[str, str], str] = {}
    for each in await connection.execute(later):
        handed = each.content_hash == HANDED_ON and each.parent_run_id in within
        if handed or each.message_id == found.message_id:
            within.add(each.run_id)
            turns[each.message_id, each.agent_id] = each.agent_id
    return list(turns.values())
