"""No question that is asked often looks at every chat there is: in each database an index answers it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from tests.support.chats import ANA
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.grants import Grant
from webapp.chat.messages import Role

CHAT, LINK = "c1234567", bytes(32)

OFTEN: dict[str, Callable[[Catalog], Awaitable[object]]] = {
    "the list": lambda catalog: catalog.views.of(ANA.id),
    "the family": lambda catalog: catalog.views.relatives(ANA.id, CHAT, parent_id="parent-1"),
    "members": lambda catalog: catalog.views.members(CHAT),
    "a standing": lambda catalog: catalog.grants.standing(CHAT, ANA.id),
    "people": lambda catalog: catalog.grants.people(CHAT),
    "what is over": lambda catalog: catalog.grants.end_expired(),
    "what is to be purged": lambda catalog: catalog.deleted.due(),
    "losses": lambda catalog: catalog.losses.after(0),
    "links": lambda catalog: catalog.links.of(CHAT),
    "opening a link": lambda catalog: catalog.links.redeem(LINK, "ben"),
    "revoking a link": lambda catalog: catalog.links.revoke(LINK, chat_id=CHAT),
    "deleting": lambda catalog: catalog.deleted.add(CHAT),
    "somebody's own view": lambda catalog: catalog.views.own(CHAT, ANA.id),
    "a device": lambda catalog: catalog.devices.whose(LINK),
    "digests": lambda catalog: catalog.texts.digests(CHAT),
    "what is not indexed": lambda catalog: catalog.texts.unindexed([CHAT]),
    "a search": lambda catalog: catalog.texts.search("plans", [CHAT], limit=10),
}

EVERYTHING = {
    # Of a common table expression, a list, or the virtual table that is the index itself.
    "sqlite": re.compile(r"SCAN (?!found\b|CONSTANT|\(|texts_index VIRTUAL)\w+"),
    "postgresql": re.compile(r"Seq Scan on \w+"),
}
EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}


@contextmanager
def asked(catalog: Catalog) -> Iterator[list[tuple[str, Any]]]:
    """The statements that reach the database."""
    found: list[tuple[str, Any]] = []
    engine = catalog._database._engine.sync_engine

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        if not statement.startswith(("BEGIN", "EXPLAIN", "INSERT", "SET")):
            found.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("what", OFTEN)
async def test_an_index_answers(catalog: Catalog, what: str) -> None:
    dialect = catalog._database.dialect
    await catalog.create_chat(CHAT, owner=ANA)
    await catalog.links.add(CHAT, by=ANA.id, grant=Grant(role=Role.VIEW, link_hash=LINK))
    with asked(catalog) as statements:
        await OFTEN[what](catalog)
    assert statements
    async with catalog._database._engine.connect() as connection:
        if dialect == "postgresql":
            # Of a table with one row all of it would be read, whatever there is.
            await connection.exec_driver_sql("SET enable_seqscan = off")
        for statement, parameters in statements:
            rows = await connection.exec_driver_sql(EXPLAIN[dialect] + statement, parameters)
            plan = "\n".join(str(row[-1]) for row in rows)
            assert not EVERYTHING[dialect].search(plan), f"{statement}\n{plan}"
