"""What is shown to somebody who was let in from one message on."""

from __future__ import annotations

import random
from typing import Any

from webapp.chat import events
from webapp.chat.reducer import materialize
from webapp.chat.since import Sieve, Since

CANARY = "canary"
SINCE = Since("m-2", "-1")


def said(message_id: str, text: str, **metadata: Any) -> list[dict[str, Any]]:
    return [
        events.text_start(message_id, role="user", timestamp=1, metadata=metadata),
        events.text_content(message_id, text),
        events.text_end(message_id),
    ]


def started(run_id: str, trigger_id: str, **more: Any) -> dict[str, Any]:
    return events.run_started(
        "c", run_id, agent_id="a", agent_name="A", trigger_id=trigger_id, attempt=1, timestamp=1, **more
    )


def answer(run_id: str, trigger_id: str, text: str, **more: Any) -> list[dict[str, Any]]:
    message_id = f"{run_id}~1"
    told = {"runId": run_id, "agentId": "a", "parentId": trigger_id}
    return [
        started(run_id, trigger_id, **more),
        events.text_start(message_id, role="assistant", timestamp=1, metadata=told),
        events.text_content(message_id, text),
        events.text_end(message_id),
        {"type": events.TOOL_CALL_START, "toolCallId": "t", "toolCallName": "look", "runId": run_id},
        {"type": events.TOOL_CALL_ARGS, "toolCallId": "t", "delta": text, "runId": run_id},
        events.custom(events.STOPPED_BY, {"runId": run_id, "participantId": "p", "name": text}),
        events.run_finished("c", run_id, timestamp=1),
    ]


def shown(log: list[dict[str, Any]], *, earlier: tuple[str, ...] = ("m-1", "r-1~1")) -> list[dict[str, Any]]:
    sieve = Sieve(SINCE, earlier=earlier)
    raw = [events.encode(event) for event in log]
    for event, data in zip(log, raw, strict=True):
        sieve.learn(event, data)
    passed = [sieve.pass_on(event, data) for event, data in zip(log, raw, strict=True)]
    return [event for event in passed if event is not None]


def ids(log: list[dict[str, Any]]) -> list[str]:
    return [message["id"] for message in materialize(shown(log)).messages]


PAST = [*said("m-1", CANARY), *answer("r-1", "m-1", CANARY)]
HERE = [*said("m-2", "here", parentId="r-1~1"), *answer("r-2", "m-2", "yes")]


def test_what_was_before_is_not_there_and_the_rest_is() -> None:
    assert CANARY not in str(shown([*PAST, *HERE]))
    assert ids([*PAST, *HERE]) == ["m-2", "r-2~1"]


def test_the_first_message_follows_nothing() -> None:
    (first, *_) = shown([*PAST, *HERE])
    assert "parentId" not in first["metadata"]


def test_an_answer_that_was_under_way_stays_unseen() -> None:
    """The question was queued while the one before was being answered."""
    late = answer("r-1", "m-1", CANARY)
    log = [*said("m-1", CANARY), *late[:2], *said("m-2", "here"), *late[2:], *answer("r-2", "m-2", "yes")]
    assert CANARY not in str(shown(log))
    assert ids(log) == ["m-2", "r-2~1"]
    assert materialize(shown(log)).active_runs == []


def test_other_versions_of_what_was_before_and_all_that_follows_them_stay_unseen() -> None:
    log = [
        *PAST,
        *HERE,
        *said("m-1b", CANARY, editOf="m-1"),
        *answer("r-3", "m-1b", CANARY),
        *said("m-3", CANARY, parentId="r-3~1"),
        *answer("r-4", "m-1", CANARY),
        *answer("r-5", "m-1", CANARY, continues="r-1"),
        events.edited("m-1", text=CANARY, edit_id="e", participant_id="p", name="P"),
        {"type": events.MESSAGES_SNAPSHOT, "messages": [{"id": "m-1", "role": "user", "content": CANARY}]},
        *said("m-2b", "here, again", editOf="m-2", parentId="r-1~1"),
        *answer("r-6", "m-2b", "yes, again"),
        *answer("r-7", "m-2", "yes, once more"),
    ]
    assert CANARY not in str(shown(log))
    assert ids(log) == ["m-2", "r-2~1", "m-2b", "r-6~1", "r-7~1"]


def test_who_writes_at_the_same_time_is_seen() -> None:
    """Two people have the same last message before them, and one of them is the beginning."""
    assert ids([*PAST, *HERE, *said("m-3", "me too", parentId="r-1~1")])[-1] == "m-3"


def test_what_the_chat_is_called_since() -> None:
    by_agent = events.chat_renamed(CANARY)
    before = events.chat_renamed(CANARY, participant_id="p", name="P")
    after = events.chat_renamed("Plans", participant_id="p", name="P")
    assert materialize(shown([*PAST, before, *HERE, by_agent, after])).title == "Plans"
    assert CANARY not in str(shown([*PAST, before, *HERE, by_agent, after]))


def test_what_comes_after_a_page_changes_nothing_of_it() -> None:
    """Whatever is asked about a page is answered the same once more has been learnt."""
    log = [*PAST, *HERE, *said("m-1b", CANARY, editOf="m-1"), *answer("r-3", "m-1b", CANARY)]
    raw = [events.encode(event) for event in log]
    sieve = Sieve(SINCE, earlier=("m-1", "r-1~1"))
    at_once = []
    for event, data in zip(log, raw, strict=True):
        sieve.learn(event, data)
        at_once.append(sieve.pass_on(event, data))
    assert at_once == [sieve.pass_on(event, data) for event, data in zip(log, raw, strict=True)]


def test_nothing_that_others_write_gets_through(rng: random.Random) -> None:
    """A stream that anybody has written to: no JSON is an error, and only the allowed is passed on."""
    values: list[Any] = [None, 1, "m-1", "r-1", "x", [], ["m-2"], {}, {"runId": []}, {"messageId": ["m-2"]}]
    keys = ["type", "messageId", "runId", "metadata", "value", "name", "role", "delta"]
    kinds = [events.TEXT_MESSAGE_START, events.CUSTOM, events.RUN_STARTED, events.RUN_ERROR, "OTHER"]
    log: list[dict[str, Any]] = [*PAST, *HERE]
    for _ in range(2000):
        event = {key: rng.choice(values) for key in rng.sample(keys, rng.randint(0, len(keys)))}
        log.append({**event, "type": rng.choice([*kinds, *values]), "text": CANARY})
    for event in shown(log):
        if event.get("text") == CANARY:  # it says that it belongs to something that is shown
            places = [
                each for each in (event, event.get("metadata"), event.get("value")) if isinstance(each, dict)
            ]
            named = [each[key] for key in ("runId", "messageId") for each in places if key in each]
            assert named[0] in ("x", "r-2", "m-2"), event
