"""The cookie, its keys, and names for guests."""

from __future__ import annotations

import pytest

from webapp.settings import Secret
from webapp.web.cookies import COOKIE_MAX_AGE, CookieSigner, set_cookie_header
from webapp.web.guest_names import ANIMALS, COLOURS, guest_name
from webapp.web.identity import bearer_token

OLD, NEW = Secret("old-key-0123456789"), Secret("new-key-0123456789")


def test_a_cookie_names_a_participant() -> None:
    signer = CookieSigner([NEW])
    value = signer.sign("ana-1")
    assert signer.read(value) == "ana-1"
    assert value.startswith("ana-1.")


@pytest.mark.parametrize("forged", ["", "ana-1", "ana-1.", "ana-1.x", ".", "ana-1.\udcff", "\u00e9.x"])
def test_a_forged_cookie_names_nobody(forged: str) -> None:
    assert CookieSigner([NEW]).read(forged) is None


def test_keys_rotate() -> None:
    before, during, after = CookieSigner([OLD]), CookieSigner([NEW, OLD]), CookieSigner([NEW])
    assert during.read(before.sign("ana")) == "ana"
    assert after.read(during.sign("ana")) == "ana"
    assert after.read(before.sign("ana")) is None


def test_the_header() -> None:
    header = set_cookie_header("value", secure=False).decode()
    assert header == f"durable-chat=value; HttpOnly; Max-Age={COOKIE_MAX_AGE}; Path=/; SameSite=Lax"
    assert set_cookie_header("value", secure=True).decode().endswith("; Secure")


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("Basic abc", None),
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", ""),
        ("Bearer ", ""),
    ],
)
def test_bearer_token(header: str | None, token: str | None) -> None:
    assert bearer_token(header) == token


def test_names_are_stable_friendly_and_spread() -> None:
    names = {guest_name(f"participant-{number}") for number in range(500)}
    assert len(names) > 400
    assert guest_name("participant-1") == guest_name("participant-1")
    assert all(len(name.split()) == 2 and name.istitle() for name in names)
    assert len(set(COLOURS)) == len(COLOURS)
    assert len(set(ANIMALS)) == len(ANIMALS)
