"""Everything the chat refuses, with a stable code and one sentence for the person.

    ChatError
    ├── InvalidMessage     400 malformed or empty
    ├── Unauthorised       401 a bearer token is wrong
    ├── Forbidden          403 seen, but not allowed to
    ├── ChatNotFound       404 unknown, or not to be seen (the same answer)
    ├── Conflict           409 same id, other content; or a run id used for another message
    ├── TooLarge           413
    ├── LimitReached       429 carries ``retry_after`` seconds
    └── Unavailable        503 nothing was accepted; carries ``retry_after`` seconds

Floor 5 maps each type to its status in one place (``web/errors.py``).
"""

from __future__ import annotations


class ChatError(Exception):
    """A refusal. ``sentence`` is for people, ``code`` for programs."""

    code = "chat-error"

    def __init__(self, sentence: str, *, code: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        if code is not None:
            self.code = code


class InvalidMessage(ChatError):
    code = "invalid-message"


class Unauthorised(ChatError):
    code = "unauthorised"


class Forbidden(ChatError):
    code = "forbidden"


class ChatNotFound(ChatError):
    code = "not-found"

    def __init__(self, sentence: str = "There is no such chat, or it is not shared with you.") -> None:
        super().__init__(sentence)


class Conflict(ChatError):
    code = "conflict"


class TooLarge(ChatError):
    code = "too-large"


class _Retryable(ChatError):
    def __init__(self, sentence: str, *, retry_after: float = 1.0, code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.retry_after = retry_after


class LimitReached(_Retryable):
    code = "limit-reached"


class Unavailable(_Retryable):
    code = "unavailable"
