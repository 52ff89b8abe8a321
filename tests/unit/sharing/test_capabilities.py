"""Who may do what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from webapp.chat.catalog import Catalog
from webapp.chat.errors import ChatNotFound, Forbidden
from webapp.chat.messages import Participant, Role
from webapp.sharing.capabilities import Bearer, Capabilities

ANA, BEN, EVE = (Participant(name.lower(), name) for name in ("Ana", "Ben", "Eve"))
CHAT, OTHER = "ana-has-this", "ben-has-this"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    opened = await Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")
    await opened.create_chat(CHAT, owner=ANA)
    await opened.create_chat(OTHER, owner=BEN)
    yield opened
    await opened.aclose()


@pytest.mark.parametrize("wanted", list(Role))
@pytest.mark.parametrize("held", [*Role, None])
async def test_each_role_allows_what_is_below_it(catalog: Catalog, wanted: Role, held: Role | None) -> None:
    capabilities = Capabilities(catalog)
    if held is not None:
        await capabilities.redeem(await capabilities.create_link(CHAT, role=held, by=ANA), EVE)
    if held is None:
        with pytest.raises(ChatNotFound):
            await capabilities.may(EVE, CHAT, wanted)
    elif held < wanted:
        with pytest.raises(Forbidden):
            await capabilities.may(EVE, CHAT, wanted)
    else:
        assert await capabilities.may(EVE, CHAT, wanted) is held
    assert await capabilities.role_of(EVE.id, OTHER) is None


async def test_the_owner_manages(catalog: Catalog) -> None:
    assert await Capabilities(catalog).role_of(ANA.id, CHAT) is Role.MANAGE
    assert await Capabilities(catalog, access="open").role_of(ANA.id, CHAT) is Role.MANAGE


async def test_missing_and_forbidden_are_told_alike(catalog: Catalog) -> None:
    capabilities = Capabilities(catalog)
    refusals = []
    for chat in (CHAT, "no-such-chat"):
        with pytest.raises(ChatNotFound) as refused:
            await capabilities.may(EVE, chat, Role.VIEW)
        refusals.append((refused.value.sentence, refused.value.code))
    assert refusals[0] == refusals[1]


async def test_open_access(catalog: Catalog) -> None:
    capabilities = Capabilities(catalog, access="open")
    assert await capabilities.role_of(EVE.id, CHAT) is Role.CHAT
    with pytest.raises(Forbidden):
        await capabilities.may(EVE, CHAT, Role.MANAGE)
    with pytest.raises(ChatNotFound):
        await capabilities.may(EVE, "no-such-chat", Role.VIEW)


@pytest.mark.parametrize("role", list(Role))
async def test_links(catalog: Catalog, role: Role) -> None:
    capabilities = Capabilities(catalog)
    token = await capabilities.create_link(CHAT, role=role, by=ANA)
    assert len(token) >= 32
    assert await capabilities.redeem(token, EVE) == CHAT
    assert await capabilities.redeem(token, EVE) == CHAT
    assert await capabilities.role_of(EVE.id, CHAT) is role
    assert [chat.id for chat in await catalog.views.of(EVE.id)] == [CHAT]


async def test_a_link_never_takes_away(catalog: Catalog) -> None:
    capabilities = Capabilities(catalog)
    view = await capabilities.create_link(CHAT, role=Role.VIEW, by=ANA)
    chat = await capabilities.create_link(CHAT, role=Role.CHAT, by=ANA)
    for token, expected in ((view, Role.VIEW), (chat, Role.CHAT), (view, Role.CHAT)):
        await capabilities.redeem(token, EVE)
        assert await capabilities.role_of(EVE.id, CHAT) is expected
    await capabilities.redeem(view, ANA)
    assert await capabilities.role_of(ANA.id, CHAT) is Role.MANAGE


async def test_only_managers_make_links(catalog: Catalog) -> None:
    capabilities = Capabilities(catalog)
    with pytest.raises(ChatNotFound):
        await capabilities.create_link(CHAT, role=Role.VIEW, by=BEN)
    token = await capabilities.create_link(CHAT, role=Role.CHAT, by=ANA)
    await capabilities.redeem(token, BEN)
    with pytest.raises(Forbidden):
        await capabilities.create_link(CHAT, role=Role.VIEW, by=BEN)
    await capabilities.redeem(await capabilities.create_link(CHAT, role=Role.MANAGE, by=ANA), BEN)
    await capabilities.create_link(CHAT, role=Role.VIEW, by=BEN)


async def test_a_link_may_let_somebody_decide(catalog: Catalog) -> None:
    capabilities = Capabilities(catalog)
    await catalog.people.remember(EVE)
    assert await catalog.grants.holders(CHAT, Role.APPROVE) == (ANA.name,)
    await capabilities.redeem(await capabilities.create_link(CHAT, role=Role.APPROVE, by=ANA), EVE)
    assert await capabilities.role_of(EVE.id, CHAT) is Role.APPROVE
    assert await catalog.grants.holders(CHAT, Role.APPROVE) == (ANA.name, EVE.name)


@pytest.mark.parametrize("token", ["", "guess", "x" * 5000, "\ud800"])
async def test_a_wrong_token_opens_nothing(catalog: Catalog, token: str) -> None:
    capabilities = Capabilities(catalog)
    with pytest.raises(ChatNotFound):
        await capabilities.redeem(token, EVE)
    assert await capabilities.authenticate(token) is None


async def test_a_bearer_token_is_good_for_one_chat(catalog: Catalog) -> None:
    capabilities = Capabilities(catalog)
    _, _, token = await catalog.create_chat("made-by-api", owner=ANA)
    assert token is not None
    bearer = await capabilities.authenticate(token)
    assert bearer == Bearer(ANA, "made-by-api")
    assert await capabilities.may(ANA, "made-by-api", Role.MANAGE, scope=bearer.chat_id) is Role.MANAGE
    with pytest.raises(ChatNotFound):
        await capabilities.may(ANA, CHAT, Role.VIEW, scope=bearer.chat_id)


async def test_links_are_stored_as_hashes(catalog: Catalog, tmp_path: Path) -> None:
    token = await Capabilities(catalog).create_link(CHAT, role=Role.VIEW, by=ANA)
    await catalog.aclose()
    assert token.encode() not in stored(tmp_path)


def stored(directory: Path) -> bytes:
    """Every byte of every file."""
    return b"".join(file.read_bytes() for file in directory.iterdir())
