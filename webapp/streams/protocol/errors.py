"""Everything a stream refuses, as types that carry what a caller needs to recover.

    StreamError
    ├── InvalidRequest            400 bad offset, bad JSON, bad header
    ├── Unauthorised              401 a token is needed
    ├── StaleEpoch                403 fenced by a newer epoch; carries ``current_epoch``
    ├── StreamNotFound            404 there is no such stream
    ├── RequestTimeout            408 the body took too long to arrive
    ├── StreamConflict            409 other configuration, other content type, or ``Stream-Seq`` went back
    │   ├── StreamClosed          409 closed; carries ``tail``
    │   └── SequenceGap           409 carries ``expected`` and ``received``
    ├── StreamGone                410 soft-deleted, or the offset belongs to an earlier generation
    ├── PayloadTooLarge           413
    └── StreamsUnavailable        503 not accepted, try again; carries ``retry_after`` seconds

The same types come from a store, a local client and a client over the wire. ``replies`` turns them into
responses; nothing else knows their status codes.
"""

from __future__ import annotations


class StreamError(Exception):
    """Anything a stream refuses on purpose. Its text is one sentence that may be shown to the caller."""

    status = 500
    code = "stream-error"


class InvalidRequest(StreamError):
    status = 400
    code = "invalid-request"


class Unauthorised(StreamError):
    status = 401
    code = "unauthorised"

    def __init__(self, message: str = "A token of this stream server is needed.") -> None:
        super().__init__(message)


class StaleEpoch(StreamError):
    status = 403
    code = "stale-epoch"

    def __init__(self, message: str, *, current_epoch: int) -> None:
        super().__init__(message)
        self.current_epoch = current_epoch


class StreamNotFound(StreamError):
    status = 404
    code = "not-found"

    def __init__(self, message: str = "There is no such stream.") -> None:
        super().__init__(message)


class RequestTimeout(StreamError):
    status = 408
    code = "request-timeout"


class StreamConflict(StreamError):
    status = 409
    code = "conflict"


class StreamClosed(StreamConflict):
    code = "closed"

    def __init__(self, message: str = "The stream is closed.", *, tail: str) -> None:
        super().__init__(message)
        self.tail = tail


class SequenceGap(StreamConflict):
    code = "sequence-gap"

    def __init__(self, message: str, *, expected: int, received: int) -> None:
        super().__init__(message)
        self.expected = expected
        self.received = received


class StreamGone(StreamError):
    status = 410
    code = "gone"

    def __init__(self, message: str = "The stream has been deleted.") -> None:
        super().__init__(message)


class PayloadTooLarge(StreamError):
    status = 413
    code = "too-large"


class StreamsUnavailable(StreamError):
    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
