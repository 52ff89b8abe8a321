"""Any sequence of commands gives the same answers from SQLite as from memory, reopened or crashed in between.

A crash is a copy of the database and its log as they lie on disk, opened elsewhere: what a power cut leaves.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.conformance.conftest import Clock
from webapp.streams.protocol.commands import Append, Create, ForkPoint
from webapp.streams.protocol.errors import InvalidRequest, StreamError
from webapp.streams.protocol.lifetimes import FOREVER, Lifetime
from webapp.streams.protocol.offsets import START, Offset, Tail
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.store.base import PageLimit, StreamStore
from webapp.streams.store.memory import MemoryStore
from webapp.streams.store.sqlite import SqliteStore

JSON = "application/json"

paths = st.sampled_from("abcd")
types = st.sampled_from([JSON, JSON, "text/plain"])
chunks = st.sampled_from([b"1", b'"two"\n3', b"[4]\n5\n{}"])
producers = st.builds(ProducerTuple, st.sampled_from("pq"), st.integers(0, 2), st.integers(0, 3))
lifetimes = st.sampled_from(
    [FOREVER, FOREVER, FOREVER, Lifetime(ttl=5), Lifetime(expires_at="2027-01-15T08:00:20Z")]
)
limits = st.sampled_from([PageLimit(1, 1), PageLimit(8, 3), PageLimit(1 << 20, 1 << 20)])


class StoresAgree(RuleBasedStateMachine):
    """Every rule does the same to both stores and compares what they say."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.root = Path(tempfile.mkdtemp(prefix="model-"))
        self.homes = 0
        self.home = self.root / "0"
        self.oracle = MemoryStore(clock=self.clock)
        self.store = SqliteStore.open(self.home, clock=self.clock)
        self.offsets: list[Offset] = [START]

    def teardown(self) -> None:
        self.runner.run(self.store.aclose())
        self.runner.close()
        shutil.rmtree(self.root)

    def both(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call both stores and return what they agree on."""

        async def outcome(store: StreamStore) -> Any:
            try:
                return await getattr(store, method)(*args, **kwargs)
            except StreamError as error:
                return type(error), str(error), vars(error)

        async def outcomes() -> list[Any]:
            return [await outcome(store) for store in (self.oracle, self.store)]

        expected, found = self.run(outcomes())
        assert found == expected
        return found

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    def remember(self, outcome: Any) -> None:
        record = getattr(outcome, "record", None)
        if record is not None:
            self.offsets.append(record.tail)

    @rule(
        path=paths, content_type=types, chunk=st.just(b"") | chunks, closed=st.booleans(), lifetime=lifetimes
    )
    def create(self, path: str, content_type: str, chunk: bytes, closed: bool, lifetime: Lifetime) -> None:
        command = Create(
            content_type=content_type, chunk=chunk, closed=closed and not chunk, lifetime=lifetime
        )
        self.remember(self.both("create", path, command))

    @rule(path=paths, source=paths, data=st.data(), sub_offset=st.integers(0, 2), lifetime=lifetimes)
    def fork(self, path: str, source: str, data: st.DataObject, sub_offset: int, lifetime: Lifetime) -> None:
        offset = data.draw(st.sampled_from([None, *self.offsets]))
        command = Create(fork=ForkPoint(source, offset, sub_offset), lifetime=lifetime)
        self.remember(self.both("create", path, command))

    @rule(
        path=paths,
        content_type=types,
        chunk=chunks,
        producer=st.none() | producers,
        seq=st.none() | st.sampled_from(["1", "2", "10", "a"]),
        close=st.sampled_from([False, False, False, True]),
        broken=st.sampled_from([False, False, False, True]),
    )
    def append(
        self,
        path: str,
        content_type: str,
        chunk: bytes,
        producer: ProducerTuple | None,
        seq: str | None,
        close: bool,
        broken: bool,
    ) -> None:
        command = Append(
            chunk=chunk,
            content_type=content_type,
            producer=producer,
            writer_seq=seq,
            close=close,
            defect=InvalidRequest("broken") if broken else None,
        )
        self.remember(self.both("append", path, command))

    @rule(path=paths, producer=st.none() | producers)
    def close(self, path: str, producer: ProducerTuple | None) -> None:
        self.both("append", path, Append(producer=producer, close=True))

    @rule(path=paths)
    def delete(self, path: str) -> None:
        self.both("delete", path)

    @rule(path=paths)
    def touch(self, path: str) -> None:
        self.both("touch", path)

    @rule(path=paths, data=st.data(), limit=limits)
    def read(self, path: str, data: st.DataObject, limit: PageLimit) -> None:
        where = data.draw(st.sampled_from([Tail.NOW, *self.offsets]))
        self.both("read", path, where, limit=limit)

    @rule(seconds=st.sampled_from([1, 3, 6]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def reopen(self) -> None:
        self.run(self.store.aclose())
        self.store = SqliteStore.open(self.home, clock=self.clock)

    @rule()
    def crash(self) -> None:
        self.homes += 1
        survivor = self.root / str(self.homes)
        survivor.mkdir()
        for file in self.home.glob("*.sqlite3*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, survivor)
        self.run(self.store.aclose())
        shutil.rmtree(self.home)
        self.home = survivor
        self.store = SqliteStore.open(self.home, clock=self.clock)

    @invariant()
    def heads_agree(self) -> None:
        for path in "abcd":
            self.both("head", path)


QUICK = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
THOROUGH = settings(QUICK, max_examples=600, stateful_step_count=60)


@pytest.mark.slow
@pytest.mark.timeout(150)
class TestStoresAgree(StoresAgree.TestCase):
    settings = QUICK


@pytest.mark.long
@pytest.mark.timeout(900)
class TestStoresAgreeForLong(StoresAgree.TestCase):
    settings = THOROUGH
