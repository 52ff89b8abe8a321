"""Slots and the drain."""

from __future__ import annotations

import asyncio

import pytest

from webapp.streams.limits import Drain, Scope, Slots, SlotsExhausted


@pytest.mark.parametrize(
    ("claims", "scope"),
    [
        ([("a", "s"), ("a", "t")], Scope.PRINCIPAL),
        ([("a", "s"), ("b", "s"), ("c", "s")], Scope.STREAM),
        ([("a", "s"), ("b", "t"), ("c", "u"), ("d", "v")], Scope.TOTAL),
    ],
)
def test_each_bound_is_met(claims: list[tuple[str, str]], scope: Scope) -> None:
    slots = Slots(per_principal=2, per_stream=3, total=4)
    held = [slots.claim(*claim) for claim in claims]
    taken = slots.taken
    principal = "a" if scope is Scope.PRINCIPAL else "z"
    stream = "s" if scope is Scope.STREAM else "z"
    with pytest.raises(SlotsExhausted) as exhausted:
        slots.claim(principal, stream)
    assert exhausted.value.scope is scope
    assert exhausted.value.retry_after > 0
    assert slots.taken == taken
    held[0].release()
    slots.claim(principal, stream)


def test_a_slot_is_given_back_once() -> None:
    slots = Slots()
    one, other = slots.claim("a", "s"), slots.claim("a", "s")
    one.release()
    one.release()
    assert slots.taken == 1
    other.release()
    assert slots.taken == 0
    assert not slots._principals
    assert not slots._streams
    assert not slots._held


def test_a_cut_is_of_one_reader_and_one_stream() -> None:
    slots = Slots()
    mine = [slots.claim("a", "s"), slots.claim("a", "s")]
    others = [slots.claim("b", "s"), slots.claim("a", "t")]
    gone = slots.claim("a", "s")
    gone.release()
    assert slots.cut("a", "s") == 2
    assert all(slot.cut.fired for slot in mine)
    assert not any(slot.cut.fired for slot in (*others, gone))
    assert slots.cut("a", "s") == 0, "they are cut already"
    assert slots.cut("c", "s") == 0
    assert slots.taken == 4, "a slot is held until its reply has ended"


async def test_a_drain_is_set_for_good() -> None:
    drain = Drain()
    assert not drain.is_set()
    waiting = asyncio.create_task(drain.wait())
    await asyncio.sleep(0)
    drain.set()
    await waiting
    await drain.wait()
    assert drain.is_set()
