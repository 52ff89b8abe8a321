"""What the scripted demo says.

Owns prose. Must not know events or time. Every text is a pure function, so that tests can say what to expect.
"""

from __future__ import annotations

from collections.abc import Sequence

LONG_LIMIT = 5000

COMMANDS: Sequence[tuple[str, str]] = (
    ("/long 400", "an answer of 400 words, slow enough to refresh in the middle of it"),
    ("/tool", "a tool call with a real result"),
    ("/browser", "a tool that runs in your browser, and in no other"),
    ("/approve", "a tool that has to be approved first; `/approve 2` asks twice"),
    ("/think", "some reasoning, then the answer"),
    ("/fail", "a provider error half-way through"),
    ("/silent", "no answer at all"),
    ("/debate", "two agents talk to each other, until they have to wait for you"),
    ("/help", "this list"),
)

# Nine words each: with the number that follows, ten.
_SENTENCES = (
    "A quiet harbour remembers every lantern along the water",
    "Nothing that was written here has ever been lost",
    "Each word arrives once and keeps its own place",
    "Close the window and the story will go on",
    "Two people may read the same line at once",
    "The tide returns exactly where the reader left off",
    "Refresh the page and count the numbers once more",
    "Rivers keep their order while the boats may wander",
    "A good log is short on drama and complete",
    "Patience costs little when every step can be resumed",
    "Somewhere a second screen is showing these very words",
    "Old letters stay readable because nobody rewrites the past",
)

_PARAGRAPH = 60


def long_text(words: int) -> str:
    """Prose of exactly ``words`` words; every tenth is its own number, so that a gap or a repeat shows."""
    chosen: list[str] = []
    for start in range(0, words, 10):
        sentence = _SENTENCES[start // 10 % len(_SENTENCES)].split()
        chosen += [*sentence, f"{start + 10}."]
    paragraphs = (chosen[at : min(at + _PARAGRAPH, words)] for at in range(0, words, _PARAGRAPH))
    return "\n\n".join(" ".join(paragraph) for paragraph in paragraphs)


def help_text(speaker: str) -> str:
    """The commands, as a table."""
    rows = "\n".join(f"| `{command}` | {meaning} |" for command, meaning in COMMANDS)
    return f"Try one of these, {speaker}:\n\n| Command | What happens |\n| --- | --- |\n{rows}\n"


def unknown_text(speaker: str, command: str) -> str:
    """The answer to a command there is not."""
    known = ", ".join(f"`{name.split()[0]}`" for name, _ in COMMANDS)
    return f"I do not know `{command}`, {speaker}. I know {known}."


def who_text(speaker: str) -> str:
    """What the demo is."""
    return (
        f"I am a **scripted demo**, {speaker}: no model, no key, no network. My answers are written down "
        "in advance, but everything around them is real: each word you see was stored before it was sent.\n\n"
        "Start the server with `DURABLE_CHAT_AGENT=module:attr`, an agent of your own, and it speaks here "
        "instead of me. `/help` lists what I can do."
    )


def browser_text(speaker: str, clock: object) -> str:
    """What the speaker's browser said: ``{time, zone, language}``, or ``{error}``, or anything at all."""
    match clock:
        case {"time": str(time), "zone": str(zone), "language": str(language)}:
            return f"Your browser says it is **{time}** in {zone}, {speaker}. It speaks {language}."
        case {"error": str(error)}:
            return f"Your browser could not tell, {speaker}: {error}"
    return f"Your browser said something that I do not understand, {speaker}."


def postcard_text(speaker: str, decision: object) -> str:
    """What became of the postcard."""
    if is_yes(decision):
        return f"Thank you, {speaker}. A scripted demo has no stamps, but now it may.\n\n"
    return f"Then I will not send it, {speaker}.\n\n"


def is_yes(decision: object) -> bool:
    """Whether the payload of an answer approves."""
    return isinstance(decision, dict) and decision.get("approved") is True


def debate_text(speaker: str, opponent: str | None) -> str:
    """The opening of a debate with another agent, if there is one."""
    if opponent is None:
        return f"I would, {speaker}, but I am the only agent here. Let another one in first."
    return f"Gladly, {speaker}. I say that an answer is worth keeping. What do you say, @{opponent}?"


def reply_text(speaker: str, text: str, turn: int) -> str:
    """An answer to another agent; a question is given back."""
    opinion = _OPINIONS[turn % len(_OPINIONS)]
    return f"{opinion} What do you say, @{speaker}?" if text.rstrip().endswith("?") else opinion


def comment_text(name: str, text: str, turn: int) -> str:
    """What the critic thinks of something that ``name`` has said."""
    return _COMMENTS[turn % len(_COMMENTS)].format(name=name, words=len(text.split()))


_OPINIONS = (
    "Only if somebody reads it again.",
    "Readers come back: half of every good conversation is what was said before.",
    "Then it should be short, or nobody will.",
    "Short is good, complete is better.",
    "Complete is easy when nothing is ever thrown away.",
)

_COMMENTS = (
    "{name} needed {words} words for that. I am a scripted critic and would have cut a third of them.",
    "Well put, {name}, though I miss an example. As a script I am easy to please.",
    "I have read these {words} words twice, and both times they were in the same order. Good.",
)


def answer_text(speaker: str, text: str, turn: int) -> str:
    """An answer to anything else; ``turn`` picks one of several, for a conversation that goes on."""
    quoted = "\n".join(f"> {line}" for line in text.strip().splitlines()[:4]) or "> …"
    return _ANSWERS[turn % len(_ANSWERS)].format(speaker=speaker, quoted=quoted)


_ANSWERS = (
    """Hello {speaker}, you said:

{quoted}

I am only a **scripted demo**, so I have no opinion on that. But look at *how* this answer reaches you:

1. Your message was stored before anybody saw it.
2. Every word of mine is appended to the same log.
3. Each open page reads that log from its own place.

Open this page in a second window, or refresh it while `/long 400` is running.
""",
    """### Noted, {speaker}

{quoted}

This is all it takes to follow along from anywhere:

```python
async def follow(stream, offset):
    while True:
        page = await stream.read(offset)
        show(page.messages)
        offset = page.next_offset
```

The offset is the whole secret: a reader that knows where it stopped loses nothing and repeats nothing.
""",
    """{speaker}, here is what would happen to this answer, starting with your words:

{quoted}

| If you… | then… |
| --- | --- |
| refresh the page | it goes on where it was |
| close every tab | it is finished without you |
| lose the network | the page catches up by itself |
| stop the server | what was said is kept |

Try one of them with `/long 400`.
""",
    """Thank you, {speaker}.

{quoted}

Three things worth trying next:

- **Share it.** *Copy link* lets a colleague watch or take part, live.
- **Stop me.** `/long 400`, then *Stop*: what I said stays, and is marked as stopped.
- **Break me.** `/fail` dies half-way through; *Retry* asks again.
""",
)
