"""For any events: the reducer never raises, continues anywhere, and is one machine in two languages."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.reducers import JsReducer
from webapp.chat import events as names
from webapp.chat.coalesce import merge
from webapp.chat.reducer import Reducer, Snapshot, materialize

KINDS = sorted(value for name, value in vars(names).items() if name.isupper() and isinstance(value, str))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(
    ["runId", "messageId", "toolCallId", "delta", "name", "value", "metadata", "outcome", "messages", "role"]
)
junk = st.lists(
    json_values
    | st.builds(
        lambda kind, event: event | {"type": kind},
        st.sampled_from(KINDS),
        st.dictionaries(fields, json_values),
    ),
    max_size=12,
)


@settings(max_examples=50, deadline=None)
@given(junk)
def test_it_is_total(stream: list[Any]) -> None:
    snapshot = materialize(stream, final=True)
    assert as_json(Snapshot.from_json(as_json(snapshot))) == as_json(snapshot)


class Composer:
    """Makes streams that are nearly right: few ids, which collide, and now and then a wrong type."""

    IDS = ("a", "b", "c", "d", "auto~1", "__proto__", "constructor", "")
    TEXTS = ("x", "y ", " ", "\n", "", "é😀", "Hello ")
    DOCUMENTS = (
        '{"a":1}',
        '{"a":',
        "[1,2",
        '"x\\u00',
        "tru",
        "",
        "1.0",
        '{"__proto__":[]}',
        '{"error":"e"}',
        "null",
    )

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def stream(self) -> list[Any]:
        return [self.event() for _ in range(self.rng.randrange(40))]

    def event(self) -> Any:
        rng, pick = self.rng, self.rng.choice
        if rng.random() < 0.02:
            return self.junk()
        kind = pick(KINDS)
        event: dict[str, Any] = {"type": kind}
        for key, value in {
            "runId": pick(self.IDS[:4]),
            "messageId": pick(self.IDS),
            "parentMessageId": pick(self.IDS),
            "toolCallId": pick(self.IDS),
            "toolCallName": pick(self.TEXTS),
            "stepName": pick(self.IDS),
            "entityId": pick(self.IDS),
            "encryptedValue": pick(self.TEXTS),
            "subtype": pick(["message", "tool-call"]),
            "delta": pick(self.TEXTS + self.DOCUMENTS),
            "content": pick(self.TEXTS + self.DOCUMENTS),
            "input": self.junk(),
            "state": pick(["output-error", ""]),
            "role": pick(["user", "assistant", "system", "developer"]),
            "name": pick(self.TEXTS),
            "metadata": self.metadata(),
            "outcome": self.outcome(),
            "message": pick(self.TEXTS),
            "code": pick(["interrupted", "agent-failed"]),
            "timestamp": rng.randrange(1000),
        }.items():
            if rng.random() < (0.3 if key in ("metadata", "input", "state", "runId") else 0.9):
                event[key] = self.junk() if rng.random() < 0.03 else value
        if kind == names.CUSTOM:
            event |= {"name": pick(self.CUSTOM), "value": self.value()}
        if kind == names.MESSAGES_SNAPSHOT:
            event["messages"] = [self.message() for _ in range(rng.randrange(5))]
        return event

    CUSTOM = (
        names.STOPPED_BY,
        names.STOP_REQUESTED,
        names.MESSAGE_PART,
        names.AGENT_JOINED,
        names.AGENT_LEFT,
        names.WAITING_FOR_PERSON,
        "structured-output.start",
        "structured-output.start",
        "structured-output.complete",
        "approval-requested",
        names.APPROVAL_DECIDED,
        names.APPROVAL_DECIDED,
        "ui-resource",
        "__proto__",
    )

    def junk(self) -> Any:
        return self.rng.choice(
            [None, True, 0, -1.5, "text", [], {}, ["a"], {"a": None}, {"__proto__": 1}, [{"type": "x"}]]
        )

    def some(self, **values: Any) -> dict[str, Any]:
        return {
            key: self.junk() if self.rng.random() < 0.05 else value
            for key, value in values.items()
            if self.rng.random() < 0.7
        }

    def metadata(self) -> dict[str, Any]:
        pick = self.rng.choice
        return self.some(
            runId=pick(self.IDS[:4]),
            agentId=pick(self.IDS),
            agentName=pick(self.TEXTS),
            triggerId=pick(self.IDS),
            continues=pick(self.IDS[:4]),
            attempt=1,
            tanstack=self.some(state="output-error", createdAt=1, model="m", input=self.junk()),
        )

    def outcome(self) -> dict[str, Any]:
        pick = self.rng.choice
        waiting = [
            self.some(
                id=pick(self.IDS), toolCallId=pick(self.IDS), reason=pick(["tool_call", "client_tool_input"])
            )
            for _ in range(2)
        ]
        return self.some(type=pick(["interrupt", "cancelled", "success", "constructor"]), interrupts=waiting)

    def value(self) -> Any:
        pick = self.rng.choice
        return self.some(
            messageId=pick(self.IDS),
            runId=pick(self.IDS[:4]),
            toolCallId=pick(self.IDS),
            participantId=pick(self.IDS),
            agentId=pick(self.IDS),
            agents=["A", "B", self.junk()],
            turns=pick([0, 6, 1.5]),
            by=pick(self.TEXTS),
            name=pick(self.TEXTS),
            object=self.junk(),
            raw=pick(self.DOCUMENTS),
            reasoning=pick(self.TEXTS),
            approval=self.some(id=pick(self.IDS)),
            part=self.some(type=pick(["image", "text"]), source={}),
            resource=self.junk(),
            interruptId=pick(self.IDS),
            approved=pick([True, False]),
            decidedAt=1,
            arguments={"a": 1},
            reason=pick(self.TEXTS),
        )

    def message(self) -> Any:
        pick = self.rng.choice
        return self.some(
            id=pick(self.IDS),
            role=pick(
                ["user", "assistant", "assistant", "tool", "tool", "reasoning", "developer", "activity"]
            ),
            content=pick(self.TEXTS + self.DOCUMENTS),
            toolCallId=pick(self.IDS),
            error=pick(self.TEXTS),
            name=pick(self.TEXTS),
            metadata=self.metadata(),
            toolCalls=[
                self.some(id=pick(self.IDS), function=self.some(name="f", arguments=pick(self.DOCUMENTS)))
            ],
            **(
                {
                    "parts": [
                        self.some(
                            type=pick(self.PARTS), content=pick(self.TEXTS), id=pick(self.IDS), stepId="s"
                        )
                    ]
                }
                if self.rng.random() < 0.2
                else {}
            ),
        )

    PARTS = ("text", "thinking", "tool-call", "tool-result", "structured-output")


@pytest.fixture(scope="module")
def js() -> Iterator[JsReducer]:
    reducer = JsReducer()
    yield reducer
    reducer.close()


def as_json(snapshot: Snapshot) -> Any:
    return json.loads(json.dumps(snapshot.to_json()))


def test_it_is_one_machine_in_two_languages(js: JsReducer) -> None:
    for seed in range(300):
        composer = Composer(seed)
        stream, final = composer.stream(), composer.rng.random() < 0.3
        split = composer.rng.randint(0, len(stream))
        whole = as_json(materialize(stream, final=final))
        begun = as_json(materialize(stream[:split]))
        assert js.reduce(stream, final=final) == whole, f"seed {seed}"
        assert js.reduce(stream[split:], snapshot=begun, final=final) == whole, f"seed {seed}"
        reducer = Reducer(Snapshot.from_json(begun))
        for event in stream[split:]:
            reducer.apply(event)
        if final:
            reducer.finalize()
        assert as_json(reducer.snapshot()) == whole, f"seed {seed}"
        assert len({message["id"] for message in whole["messages"]}) == len(whole["messages"]), f"seed {seed}"


def test_merged_deltas_tell_the_same() -> None:
    for seed in range(100):
        # Sorted, so that deltas of the same thing are neighbours.
        stream = [event for event in Composer(seed).stream() * 3 if isinstance(event, dict)]
        stream.sort(key=lambda event: json.dumps([event.get("type"), event.get("messageId")]))
        for limit in (1, 4, 2048):
            assert materialize(merge(stream, limit=limit)).messages == materialize(stream).messages, (
                f"seed {seed}"
            )
