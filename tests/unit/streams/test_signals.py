"""Signals: fired once, seen by everyone, and nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest

from webapp.streams.signals import Signal, first


async def test_a_signal_wakes_everyone_who_waits_and_who_comes_later() -> None:
    signal = Signal()
    waiting = [asyncio.create_task(first(signal)) for _ in range(50)]
    await asyncio.sleep(0)
    signal.fire()
    assert await asyncio.gather(*waiting) == [True] * 50
    assert await first(signal)


async def test_any_of_several_will_do() -> None:
    one, other = Signal(), Signal()
    waiting = asyncio.create_task(first(one, other))
    await asyncio.sleep(0)
    other.fire()
    assert await waiting
    assert not one.fired


async def test_time_runs_out() -> None:
    assert not await first(Signal(), seconds=0.001)


async def test_a_cancelled_waiter_leaves_no_trace_and_harms_nobody() -> None:
    signal = Signal()
    patient, hasty = asyncio.create_task(first(signal)), asyncio.create_task(first(signal))
    await asyncio.sleep(0)
    hasty.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hasty
    signal.fire()
    assert await patient
    assert not signal._waiters
