"""Ways into a chat: what they give together, how each ends, and what is noted as lost."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.chats import ANA, BEN
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.grants import Grant
from webapp.chat.messages import Role
from webapp.chat.since import Since

CHAT = "c1234567"
EARLY, LATE = Since("m-1", "0001"), Since("m-2", "0002")


def link(number: int, role: Role, **more: object) -> Grant:
    return Grant(role=role, link_hash=bytes([number]) * 32, **more)  # type: ignore[arg-type]


async def opened(catalog: Catalog, grant: Grant) -> None:
    assert grant.link_hash is not None
    await catalog.links.add(CHAT, by=ANA.id, grant=grant)
    assert await catalog.links.redeem(grant.link_hash, BEN.id) == CHAT


async def bens(catalog: Catalog) -> Grant | None:
    standing = await catalog.grants.standing(CHAT, BEN.id)
    assert standing is not None
    holders = await catalog.grants.people(CHAT)
    # What is kept for lists is what counts.
    assert [each.grant for each in holders] == ([standing.grant] if standing.grant else [])
    return standing.grant


async def losses(catalog: Catalog) -> list[str]:
    return [each.code for each in await catalog.losses.after(0)]


@pytest.fixture
async def shared(catalog: Catalog) -> Catalog:
    for person in (ANA, BEN):
        await catalog.people.remember(person)
    await catalog.create_chat(CHAT, owner=ANA)
    return catalog


async def test_the_sum_of_all_ways(shared: Catalog) -> None:
    first, second, third = (
        link(1, Role.VIEW, since=EARLY, expires_at=1e12),
        link(2, Role.CHAT, since=LATE),
        link(3, Role.VIEW),
    )
    await opened(shared, first)
    assert await bens(shared) == first
    await opened(shared, second)
    assert await bens(shared) == link(2, Role.CHAT, since=EARLY)
    await opened(shared, third)
    assert await bens(shared) == link(2, Role.CHAT)
    assert await losses(shared) == []

    await shared.links.revoke(third.link_hash or b"", chat_id=CHAT)
    assert await bens(shared) == link(2, Role.CHAT, since=EARLY)
    await shared.links.revoke(second.link_hash or b"", chat_id=CHAT)
    assert await bens(shared) == first
    await shared.links.revoke(first.link_hash or b"", chat_id=CHAT)
    assert await bens(shared) is None
    assert await losses(shared) == ["changed", "changed", "revoked"]
    assert await shared.links.redeem(first.link_hash or b"", BEN.id) is None


async def test_what_has_come_to_its_time(shared: Catalog) -> None:
    await opened(shared, link(1, Role.CHAT, expires_at=1e12))
    await opened(shared, link(2, Role.VIEW))
    await shared.grants.end_expired()
    assert await losses(shared) == []
    shared.grants._clock = lambda: 2e12
    standing = await shared.grants.standing(CHAT, BEN.id)
    assert standing is not None  # it ends at its second, whoever looks when
    assert standing.grant == link(2, Role.VIEW)
    for _ in range(2):
        await shared.grants.end_expired()
        assert await bens(shared) == link(2, Role.VIEW)
        assert await losses(shared) == ["changed"]
    assert await shared.links.redeem(bytes([1]) * 32, BEN.id) == CHAT


async def test_a_hand_is_above_links(shared: Catalog) -> None:
    await opened(shared, link(1, Role.CHAT, since=LATE))
    assert await shared.grants.give(CHAT, BEN.id, Role.VIEW)
    by_hand = Grant(role=Role.VIEW, since=LATE)
    assert await bens(shared) == by_hand
    assert await shared.links.redeem(bytes([1]) * 32, BEN.id) == CHAT
    assert await bens(shared) == by_hand
    await shared.links.revoke(bytes([1]) * 32, chat_id=CHAT)
    assert await bens(shared) == by_hand
    assert await losses(shared) == ["changed"]
    assert await shared.grants.remove(CHAT, BEN.id)
    assert await bens(shared) is None
    assert await losses(shared) == ["changed", "removed"]
    assert not await shared.grants.remove(CHAT, BEN.id)
    assert not await shared.grants.give(CHAT, BEN.id, Role.CHAT)


async def test_another_role_lasts_no_longer(shared: Catalog) -> None:
    await opened(shared, link(1, Role.CHAT, expires_at=1e12))
    assert await shared.grants.give(CHAT, BEN.id, Role.VIEW)
    assert await bens(shared) == Grant(role=Role.VIEW, expires_at=1e12)
    shared.grants._clock = lambda: 2e12
    await shared.grants.end_expired()
    assert await bens(shared) is None
    assert await losses(shared) == ["changed", "expired"]


async def test_somebody_sent_away_does_not_come_back_by_the_same_link(shared: Catalog) -> None:
    await opened(shared, link(1, Role.CHAT))
    await shared.grants.remove(CHAT, BEN.id)
    assert await shared.links.redeem(bytes([1]) * 32, BEN.id) is None
    await opened(shared, link(2, Role.VIEW))
    assert await bens(shared) == link(2, Role.VIEW)


async def test_a_link_opened_twice_at_once_is_one_way_in(shared: Catalog) -> None:
    await shared.links.add(CHAT, by=ANA.id, grant=link(1, Role.CHAT))
    await asyncio.gather(*(shared.links.redeem(bytes([1]) * 32, BEN.id) for _ in range(5)))
    assert await bens(shared) == link(1, Role.CHAT)
    (found,) = await shared.links.of(CHAT)
    assert (found.opened, found.visitors) == (5, (BEN,))


async def test_deleting_and_having_back(shared: Catalog) -> None:
    await opened(shared, link(1, Role.MANAGE))
    await shared.create_chat("c-others", owner=BEN)
    chat = await shared.get_chat(CHAT)
    assert chat is not None
    await shared.add_copy("c-frozen", of=chat, owner_id=ANA.id)
    assert await shared.deleted.add(CHAT)
    assert not await shared.deleted.add(CHAT)
    for chat_id in (CHAT, "c-frozen"):
        assert await shared.get_chat(chat_id) is None
        assert await shared.grants.standing(chat_id, ANA.id) is None
    assert not await shared.deleted.restore(CHAT, participant_id="somebody")
    assert await shared.deleted.due() == []
    assert await shared.deleted.restore(CHAT, participant_id=BEN.id)
    assert await shared.get_chat("c-frozen") is not None
    assert await bens(shared) == link(1, Role.MANAGE)

    await shared.deleted.add(CHAT)
    shared.deleted._clock = lambda: 2e12
    assert not await shared.deleted.restore(CHAT, participant_id=ANA.id)
    assert await shared.deleted.due() == ["c-frozen", CHAT]
    for chat_id in await shared.deleted.due():
        await shared.deleted.purge(chat_id)
    assert await shared.deleted.due() == []
    assert await shared.links.redeem(bytes([1]) * 32, BEN.id) is None
    assert await shared.get_chat("c-others") is not None
