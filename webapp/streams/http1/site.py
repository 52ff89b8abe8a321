"""The seam between HTTP/1.1 and what is served over it."""

from __future__ import annotations

from typing import Protocol

from webapp.streams.limits import Slot, StreamLimits
from webapp.streams.wire import Headers, RequestHead, WireResponse


class Site(Protocol):
    """Answers requests. ``headers`` are sent with every reply, in addition to its own."""

    @property
    def headers(self) -> Headers: ...

    @property
    def limits(self) -> StreamLimits: ...

    def answer_early(self, head: RequestHead) -> WireResponse | None:
        """The reply, if none of the body is needed for it."""
        ...

    def too_large(self) -> WireResponse:
        """To a body above ``limits.max_append_bytes``."""
        ...

    def too_slow(self) -> WireResponse:
        """To a body that takes longer than ``limits.body_timeout``."""
        ...

    def claim(self, head: RequestHead) -> Slot | None:
        """What the reply holds for as long as it lasts, if anything. Raises SlotsExhausted."""
        ...

    async def answer(self, head: RequestHead, body: bytes) -> WireResponse:
        """The reply to a whole request. Cancelled when the client hangs up."""
        ...
