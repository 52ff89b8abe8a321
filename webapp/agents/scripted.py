"""Agents without a model: ``echo`` for tests, ``demo`` and ``critic`` for people who want to see everything
work.

Owns the commands of the demo and their timing. Must not know streams or runs; its prose is in
scripted_texts.py.
"""

from __future__ import annotations

import asyncio
import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime

from webapp.agents import scripted_texts as texts
from webapp.agents.base import AgentError, AgentTurn, Event, text_of
from webapp.agents.pieces import Piece, as_events, ask_client, go_on

Sleep = Callable[[float], Awaitable[None]]

WORD_DELAY = 0.004
LONG_WORD_DELAY = 0.03

_BROWSER_TOOL = "browser_clock"

_ADDRESS = re.compile(r"^(?:@[\w-]+[,:]?\s+)+")
_HELP = re.compile(r"\bwhat (can|do|could) (you|i) (do|try|say|know)\b|^help\b", re.IGNORECASE)
_WHO = re.compile(r"\b(who|what) are you\b|\bare you (real|human|an? \w+)\b|\byour name\b", re.IGNORECASE)


class _OneText(ABC):
    """Says one text, word by word, ``word_delay`` seconds for each."""

    scripted = True

    def __init__(self, *, word_delay: float = WORD_DELAY, sleep: Sleep = asyncio.sleep) -> None:
        self._word_delay = word_delay
        self._sleep = sleep

    def run(self, turn: AgentTurn) -> AsyncIterator[Event]:
        """Answer the turn."""
        answer = _spoken(self._answer(turn), self._word_delay, self._sleep)
        return as_events(go_on(answer, after=turn.begun))

    @abstractmethod
    def _answer(self, turn: AgentTurn) -> str:
        """The text."""


class EchoAgent(_OneText):
    """Answers exactly ``Echo: <text>``."""

    id = "echo"
    name = "Echo"

    def _answer(self, turn: AgentTurn) -> str:
        return f"Echo: {turn.text}"


class DemoAgent:
    """Answers in markdown and understands the commands of scripted_texts.COMMANDS.

    ``word_delay`` is for ordinary answers, ``long_word_delay`` for ``/long``, both in seconds per word.
    """

    id = "demo"
    name = "Demo"
    scripted = True

    def __init__(
        self,
        *,
        word_delay: float = WORD_DELAY,
        long_word_delay: float = LONG_WORD_DELAY,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._word_delay = word_delay
        self.long_word_delay = long_word_delay
        self._sleep = sleep
        self._now = now
        self._commands: dict[str, Callable[[AgentTurn, str], AsyncIterator[Piece]]] = {
            "/long": self._long,
            "/tool": self._tool,
            "/browser": self._browser,
            "/approve": self._approve,
            "/think": self._think,
            "/fail": self._fail,
            "/silent": self._silent,
            "/debate": self._debate,
            "/help": self._help,
        }

    def run(self, turn: AgentTurn) -> AsyncIterator[Event]:
        """Answer the turn. Raises AgentError half-way on ``/fail``."""
        return as_events(go_on(self._pieces(turn), after=turn.begun))

    def _pieces(self, turn: AgentTurn) -> AsyncIterator[Piece]:
        text = _ADDRESS.sub("", turn.text.strip())
        if _from_agent(turn, self.id):
            return self._say(texts.reply_text(turn.speaker, turn.text, _turns(turn)))
        if text.startswith("/"):
            command, _, rest = text.partition(" ")
            answer = self._commands.get(command.lower())
            return (
                answer(turn, rest.strip()) if answer else self._say(texts.unknown_text(turn.speaker, command))
            )
        if _HELP.search(text):
            return self._help(turn, "")
        if _WHO.search(text):
            return self._say(texts.who_text(turn.speaker))
        return self._say(texts.answer_text(turn.speaker, text, _turns(turn)))

    def _say(self, text: str) -> AsyncIterator[Piece]:
        return _spoken(text, self._word_delay, self._sleep)

    def _help(self, turn: AgentTurn, _rest: str) -> AsyncIterator[Piece]:
        return self._say(texts.help_text(turn.speaker))

    def _long(self, turn: AgentTurn, rest: str) -> AsyncIterator[Piece]:
        # Digits of other scripts satisfy isdigit() too, and int() reads them; so does anything up to 4
        # places.
        if not re.fullmatch(r"[0-9]{1,6}", rest) or not 1 <= int(rest) <= texts.LONG_LIMIT:
            limit = texts.LONG_LIMIT
            return self._say(f"How many words, {turn.speaker}? `/long 400`, for example, up to {limit}.")
        return _spoken(texts.long_text(int(rest)), self.long_word_delay, self._sleep)

    def _debate(self, turn: AgentTurn, _rest: str) -> AsyncIterator[Piece]:
        return self._say(texts.debate_text(turn.speaker, next(iter(turn.others), None)))

    async def _silent(self, _turn: AgentTurn, _rest: str) -> AsyncIterator[Piece]:
        return
        yield

    async def _fail(self, turn: AgentTurn, _rest: str) -> AsyncIterator[Piece]:
        async for word in self._say(
            f"I was about to tell you something important, {turn.speaker}, namely that"
        ):
            yield word
        raise AgentError("The demo's provider hung up half-way, as you asked it to.")

    async def _think(self, turn: AgentTurn, _rest: str) -> AsyncIterator[Piece]:
        span = "reasoning-1"
        yield {"type": "REASONING_START", "messageId": span}
        yield {"type": "REASONING_MESSAGE_START", "messageId": span, "role": "reasoning"}
        thought = (
            f"{turn.speaker} would like to see me think. A demo has nothing to think about. I will say so."
        )
        async for word in self._say(thought):
            yield {"type": "REASONING_MESSAGE_CONTENT", "messageId": span, "delta": word}
        yield {"type": "REASONING_MESSAGE_END", "messageId": span}
        yield {"type": "REASONING_END", "messageId": span}
        async for word in self._say(f"I thought about it, {turn.speaker}, and I have **nothing** to add."):
            yield word

    async def _tool(self, turn: AgentTurn, _rest: str) -> AsyncIterator[Piece]:
        async for word in self._say(f"Let me look at the clock, {turn.speaker}."):
            yield word
        call_id = f"{turn.run_id}-clock"
        async for event in self._call(call_id, "current_time", {"timezone": "UTC"}):
            yield event
        now = self._now()
        result = {
            "time": now.isoformat(timespec="seconds"),
            "weekday": f"{now:%A}",
            "week": now.isocalendar().week,
        }
        yield _result(call_id, json.dumps(result))
        async for word in self._say(f"It is **{now:%H:%M} UTC** on {now:%A}, in week {result['week']}."):
            yield word

    async def _browser(self, turn: AgentTurn, _rest: str) -> AsyncIterator[Piece]:
        if turn.resume:
            async for word in self._say(texts.browser_text(turn.speaker, turn.resume[0]["payload"])):
                yield word
            return
        if not any(tool["name"] == _BROWSER_TOOL for tool in turn.tools):
            async for word in self._say(f"Your side has no tool `{_BROWSER_TOOL}` to ask, {turn.speaker}."):
                yield word
            return
        async for word in self._say(f"Let me ask your browser, {turn.speaker}."):
            yield word
        call_id = f"{turn.run_id}-browser"
        async for event in self._call(call_id, _BROWSER_TOOL, {}):
            yield event
        yield ask_client([(call_id, _BROWSER_TOOL, {})])

    async def _approve(self, turn: AgentTurn, rest: str) -> AsyncIterator[Piece]:
        for answer in turn.resume:
            if texts.is_yes(answer["payload"]):
                call_id = answer["interruptId"].removesuffix("-approval")
                yield _result(call_id, "The postcard is on its way.")
            async for word in self._say(texts.postcard_text(turn.speaker, answer["payload"])):
                yield word
        if turn.resume:
            return
        recipients = (turn.speaker, "the neighbours", "the moon")[: int(rest) if rest in ("2", "3") else 1]
        many = "postcards" if len(recipients) > 1 else "a postcard"
        async for word in self._say(f"I can send {many}, but only if somebody allows it."):
            yield word
        interrupts = []
        for number, recipient in enumerate(recipients, 1):
            call_id = f"{turn.run_id}-postcard{number if number > 1 else ''}"
            arguments = {"to": recipient, "text": "Greetings from a durable chat."}
            async for event in self._call(call_id, "send_postcard", arguments):
                yield event
            interrupts.append(
                {
                    "id": f"{call_id}-approval",
                    "reason": "tool_call",
                    "message": f"Send a postcard to {recipient}?",
                    "toolCallId": call_id,
                }
            )
        yield {"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": interrupts}}

    async def _call(self, call_id: str, name: str, arguments: dict[str, str]) -> AsyncIterator[Event]:
        yield {"type": "TOOL_CALL_START", "toolCallId": call_id, "toolCallName": name}
        async for part in _spoken(json.dumps(arguments), self._word_delay, self._sleep):
            yield {"type": "TOOL_CALL_ARGS", "toolCallId": call_id, "delta": part}
        yield {"type": "TOOL_CALL_END", "toolCallId": call_id}


def _result(call_id: str, content: str) -> Event:
    return {
        "type": "TOOL_CALL_RESULT",
        "messageId": f"{call_id}-result",
        "toolCallId": call_id,
        "content": content,
        "role": "tool",
    }


class CriticAgent(_OneText):
    """Comments in a sentence or two on what was said last."""

    id = "critic"
    name = "Critic"

    def _answer(self, turn: AgentTurn) -> str:
        told = list(turn.messages)
        while turn.begun and told[-1].get("name") == self.name:
            told.pop()  # what is to be gone on with is nothing to comment on
        count = sum(message.get("name") == self.name for message in told)
        if _from_agent(turn, self.id):
            return texts.reply_text(turn.speaker, turn.text, count + 1)
        if "/debate" in turn.text:
            return texts.debate_text(turn.speaker, next(iter(turn.others), None))
        # On what was said before the critic was asked; if nothing was, on the question.
        earlier = next((each for each in told[-2::-1] if each.get("name") != self.name), None)
        said = text_of(earlier) if earlier else _ADDRESS.sub("", turn.text)
        return texts.comment_text((earlier or {}).get("name") or turn.speaker, said, count)


def _turns(turn: AgentTurn) -> int:
    """How many messages of people came before this one."""
    people = [message for message in turn.messages if message.get("role") == "user"]
    return max(len(people) - 1, 0)


def _from_agent(turn: AgentTurn, own_id: str) -> bool:
    """Whether another agent asks. What this one has begun to say to it may follow."""
    others = (
        each for each in reversed(turn.messages) if (each.get("metadata") or {}).get("agentId") != own_id
    )
    return next(others, {}).get("role") == "assistant"


def words(text: str) -> Iterable[str]:
    """The words of ``text``, each with the white space after it; joined they are the text."""
    return re.findall(r"\S+\s*|\s+", text)


async def _spoken(text: str, delay: float, sleep: Sleep) -> AsyncIterator[str]:
    for word in words(text):
        yield word
        await sleep(delay)
