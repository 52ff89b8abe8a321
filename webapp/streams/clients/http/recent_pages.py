"""The pages that came last on a stream of another server, for everyone who follows it in this process.

Nothing is queued per reader: each page is kept once, a signal says that there are more, and every reader
looks for the page after their own. Who has fallen further behind has to ask the server. Pure but for the
signal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace

from webapp.streams.clients.http import remote_page
from webapp.streams.clients.http.remote_page import RemotePage
from webapp.streams.protocol.errors import StreamError
from webapp.streams.signals import Signal


class RecentPages:
    """What came after ``offset``: about the last ``keep`` bytes, and always the last page."""

    def __init__(self, offset: str, *, content_type: str, keep: int) -> None:
        self._end = offset
        self._content_type = content_type
        self._keep = keep
        self._pages: OrderedDict[str, RemotePage] = OrderedDict()
        self._size = 0
        self._closed = False
        self._error: StreamError | None = None
        self._joined: RemotePage | None = None
        self._changed = Signal()

    def ticket(self) -> Signal:
        """A wake-up for the next change. Take it before looking."""
        return self._changed

    def at(self, offset: str) -> RemotePage | None:
        """The page after an offset that is known here, empty at the end; None for any other offset.

        Raises what ended the stream.
        """
        if self._error is not None:
            raise self._error
        return self._nothing_after(offset) if offset == self._end else self._pages.get(offset)

    def after(self, offset: str) -> RemotePage | None:
        """``at`` for a reader who has the offset from the server, and so may be ahead of what came here:
        offsets are made to be compared. A reader who is behind gets several pages as one.
        """
        first = self.at(offset)
        if first is None:
            return self._nothing_after(offset) if offset > self._end else None
        if first.next in (offset, self._end):
            return first
        if self._joined is None or (self._joined.start, self._joined.next) != (offset, self._end):
            self._joined = remote_page.join([*self._from(first)])
        return self._joined

    def _from(self, page: RemotePage | None) -> Iterator[RemotePage]:
        while page is not None:
            yield page
            page = self._pages.get(page.next)

    def push(self, page: RemotePage) -> None:
        """The server has sent ``page``, which begins where the last one ended."""
        if self._pages:
            # The one before is the last no more: whoever gets it must look again at once.
            start, before = self._pages.popitem()
            self._pages[start] = replace(before, up_to_date=False)
        self._pages[page.start] = page
        self._size += len(page.data)
        while self._size > self._keep and len(self._pages) > 1:
            _, dropped = self._pages.popitem(last=False)
            self._size -= len(dropped.data)
        self._end, self._closed = page.next, page.closed
        self._wake()

    def end(self, error: StreamError) -> None:
        """The stream has gone away."""
        self._error = error
        self._wake()

    def _nothing_after(self, offset: str) -> RemotePage:
        return RemotePage(
            start=offset,
            next=offset,
            data=b"",
            content_type=self._content_type,
            up_to_date=True,
            closed=self._closed and offset == self._end,
        )

    def _wake(self) -> None:
        changed, self._changed = self._changed, Signal()
        changed.fire()
