"""The providers' own clients against a server that speaks their wire formats and misbehaves.

One end for every run, nothing left open, a sentence for the people, and the next message is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")
# They take seconds to import, which is to be nobody's time limit.
pytest.importorskip("pydantic_ai.models.anthropic")
pytest.importorskip("pydantic_ai.models.openai")

from tests.support.chats import of
from tests.support.live_app import LiveApp
from tests.support.model_chat import CANARY, KEY, ModelChat
from tests.support.model_server import Answer, ModelServer, Refusal
from tests.support.model_wire import INPUT_TOKENS, OUTPUT_TOKENS, Call, Cut, End, Hang, Raw, Text, Thought
from tests.support.onlooker import Onlooker
from tests.support.waiting import eventually
from webapp.agents.pydantic_ai import load_model
from webapp.agents.pydantic_ai.history import framed
from webapp.agents.pydantic_ai.retries import Retries
from webapp.streams.clients.retry import Retry

HASTY = Retries(retry=Retry(attempts=3, base=0.01, cap=0.05))
PATHS = {
    "openai:fake": "/v1/chat/completions",
    "ollama:fake": "/v1/chat/completions",
    "anthropic:fake": "/v1/messages",
    "openai-responses:fake": "/v1/responses",
}
SPECS = ("openai:fake", "anthropic:fake")


@pytest.fixture(scope="module", params=SPECS)
def app(
    request: pytest.FixtureRequest, model: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApp]:
    agent = load_model(request.param, retries=HASTY)
    env = {
        "DURABLE_CHAT_RUN_TIME_LIMIT": "20",
        "DURABLE_CHAT_RUN_TOKEN_LIMIT": "1234",
        "DURABLE_CHAT_SSE_LIFETIME": "1",
    }
    with LiveApp(tmp_path_factory.mktemp("data"), env=env, agent=agent) as app:
        yield app


@pytest.fixture
def chat(model: ModelServer, app: LiveApp) -> ModelChat:
    return ModelChat.create(model, app)


def test_a_normal_answer(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Text("Hello, "), Text("Ana.")))
    chat.send("Hi")
    assert chat.said() == "Hello, Ana."
    (finished,) = of(chat.events(), "RUN_FINISHED")
    (usage,) = finished["usage"]
    assert (usage["inputTokens"], usage["outputTokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert finished["metadata"] == {"tanstack": {"finishReason": "stop"}}
    (asked,) = chat.model.asked
    assert asked.body["stream"] is True
    assert 1234 in (asked.body.get("max_tokens"), asked.body.get("max_completion_tokens"))
    assert KEY in str(asked.headers)


def test_the_reason_of_an_early_end(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Text("Once upon"), finish="length"))
    chat.send("Tell me a story")
    (finished,) = of(chat.events(), "RUN_FINISHED")
    assert finished["metadata"] == {"tanstack": {"finishReason": "length"}}


def test_reasoning(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Thought("Who "), Thought("is this?"), Text("Hello.")))
    chat.send("Hi")
    (message,) = chat.answers()
    assert [part["type"] for part in message["parts"]] == ["thinking", "text"]
    assert message["parts"][0]["content"] == "Who is this?"
    assert not of(chat.events(), "REASONING_ENCRYPTED_VALUE"), "nobody's but the provider's"


def test_it_hears_the_log_with_names(chat: ModelChat) -> None:
    """AC-51: who asks is told by name, each time."""
    ben = chat.ana.invited(chat.chat_id, "chat")
    chat.model.will(Answer.of(Thought("Ana."), Text("Hello, Ana.")), Answer.of(Text("Hello, Ben.")))
    chat.send("I am the first")
    assert ben.send(chat.chat_id, "and I the second").is_success
    ana_name, ben_name = (m["name"] for m in chat.ana.messages(chat.chat_id) if m["role"] == "user")
    assert ana_name != ben_name
    heard = [
        (message["role"], text_of(message["content"]))
        for message in chat.model.asked[-1].body["messages"]
        if message["role"] != "system"
    ]
    assert heard == [
        ("user", framed(ana_name, "person", "I am the first")),
        ("assistant", "Hello, Ana."),
        ("user", framed(ben_name, "person", "and I the second")),
    ]


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


HALF_AN_EVENT = b'event: content_block_delta\ndata: {"cho'
NO_JSON = b"event: message_stop\ndata: {canary-of-the-provider}\n\n"
STREAM_ERROR = (
    b"event: error\n"
    b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "canary-of-the-provider"}}\n\n'
)


@pytest.mark.parametrize(
    ("replies", "tries"),
    [
        ([Refusal(429, CANARY)], 2),
        ([Refusal(500, CANARY), Refusal(503, CANARY)], 3),
        ([Answer.of(Cut())], 2),
        ([Answer.of(Raw(STREAM_ERROR))], 2),
    ],
    ids=["429", "500 and 503", "cut before the first token", "overloaded within the stream"],
)
def test_what_passes_is_tried_again(chat: ModelChat, replies: list[Answer | Refusal], tries: int) -> None:
    chat.model.will(*replies, Answer.of(Text("Here I am.")))
    chat.send("Hi")
    assert chat.said() == "Here I am."
    assert len(chat.model.asked) == tries
    chat.events()


def test_as_late_as_the_provider_asks(chat: ModelChat) -> None:
    chat.model.will(Refusal(429, headers={"Retry-After": "1"}), Answer.of(Text("Here I am.")))
    chat.send("Hi")
    first, second = chat.model.asked
    assert second.at - first.at >= 1
    assert chat.said() == "Here I am."


@pytest.mark.parametrize(
    ("replies", "code", "kept"),
    [
        ([Refusal(429, CANARY)] * 3, "model-busy", ""),
        ([Refusal(429, CANARY, {"Retry-After": "3600"})], "model-busy", ""),
        ([Refusal(500, CANARY)] * 3, "model-unavailable", ""),
        ([Refusal(401, CANARY)], "model-key", ""),
        ([Refusal(404, CANARY)], "model-unknown", ""),
        ([Refusal(400, CANARY)], "model-refused", ""),
        ([Answer.of(Text("Hel"), Raw(HALF_AN_EVENT), Cut())], "model-unreachable", "Hel"),
        ([Answer.of(Text("Hel"), End())], "model-unreachable", "Hel"),
        ([Answer.of(Thought("Hm"), Cut())], "model-unreachable", ""),
        ([Answer.of(Call("nothing", ('{"ci',), "call-1"), Cut())], "model-unreachable", ""),
        ([Answer.of(Text("Hel"), Raw(STREAM_ERROR))], "model-unavailable", "Hel"),
        ([Answer.of(Text("Hel"), Raw(NO_JSON))], "model-failed", "Hel"),
    ],
    ids=[
        "429", "429 for an hour", "500", "401", "404", "400", "cut mid-token", "ended mid-token",
        "cut in a thought", "cut in a call", "overloaded mid-token", "invalid JSON",
    ],
)  # fmt: skip
def test_a_failure_has_a_sentence_and_a_code(
    chat: ModelChat,
    replies: list[Answer | Refusal],
    code: str,
    kept: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    chat.model.will(*replies)
    chat.send("Hi")
    assert len(chat.model.asked) == len(replies)
    assert chat.said() == kept
    (failed,) = of(chat.events(), "RUN_ERROR")
    assert failed["code"] == code
    assert failed["message"].endswith(".")
    assert "the model failed in run" in caplog.text
    page = chat.ana.http.get(f"/chat/{chat.chat_id}").text
    assert failed["message"].replace("'", "&#39;") in page
    for secret in (CANARY, KEY):
        assert secret not in caplog.text
        assert secret not in page
    chat.model.will(Answer.of(Text("Here again.")))
    chat.send("And now?")
    assert chat.said() == "Here again."
    chat.events()


def test_five_megabytes(chat: ModelChat) -> None:
    chat.model.will(Answer.of(*[Text("All work and no play. " * 3000)] * 80))
    chat.send("Go on")
    told = "".join(event["delta"] for event in of(chat.events(), "TEXT_MESSAGE_CONTENT"))
    assert told == "Go on" + "All work and no play. " * 240_000
    chat.model.will(Answer.of(Text("Yes?")))
    chat.send("Stop it")
    assert chat.said() == "Yes?"


def test_a_slow_drip_of_bytes(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Text("Grüße 🎉 "), Text("an alle"), drip=7))
    chat.send("Hi")
    assert chat.said() == "Grüße 🎉 an alle"
    chat.events()


def test_a_person_stops_a_model_that_hangs(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Text("Let me thi"), Hang()))
    with Onlooker(chat.ana, chat.chat_id) as onlooker:
        chat.send("Hi", mode="")
        eventually(lambda: "Let me thi" in onlooker.text)
        assert chat.ana.stop(chat.chat_id).json()["stopped"]
        eventually(lambda: chat.model.left == 1, what="the provider to be let go of")
    (finished,) = of(chat.events(), "RUN_FINISHED")
    assert finished["outcome"] == {"type": "cancelled"}
    assert chat.said() == "Let me thi"
    chat.model.will(Answer.of(Text("Well.")))
    chat.send("Go on")
    assert chat.said() == "Well."
    assert "Let me thi" in str(chat.model.asked[-1].body)


@pytest.mark.parametrize("spec", PATHS)
def test_models_by_name(model: ModelServer, tmp_path: Path, spec: str) -> None:
    with LiveApp(tmp_path, agent=load_model(spec)) as app:
        chat = ModelChat.create(model, app)
        model.will(Answer.of(Text("Hello.")))
        chat.send("Hi")
        assert chat.said() == "Hello."
        assert [asked.path for asked in model.asked] == [PATHS[spec]]
        chat.events()


@pytest.mark.parametrize(
    ("limit", "code"), [("RUN_TIME_LIMIT", "time-limit"), ("RUN_IDLE_LIMIT", "model-timeout")]
)
@pytest.mark.parametrize("pieces", [(Hang(),), (Text("Let me thi"), Hang())], ids=["silent", "mid-token"])
def test_a_model_that_hangs_is_given_up(
    model: ModelServer, tmp_path: Path, pieces: tuple[Any, ...], limit: str, code: str
) -> None:
    env = {f"DURABLE_CHAT_{limit}": "1"}
    agent = load_model("openai:fake")
    with LiveApp(tmp_path, env=env, agent=agent) as app:
        chat = ModelChat.create(model, app)
        model.will(Answer.of(*pieces))
        chat.send("Hi")
        (failed,) = of(chat.events(), "RUN_ERROR")
        assert failed["code"] == code
        eventually(lambda: model.left == 1, what="the provider to be let go of")
