"""Durable chat sessions for an app of your own: in any ASGI framework, without our pages.

A session is one append-only stream of AG-UI events. Whoever sends, POSTs a message; it and the agent's answer
are appended. Whoever reads, reads the stream from an offset, so that a refresh, a cut or a second tab loses
nothing. The names and what they do are those of ``@durable-streams/tanstack-ai-transport`` and
``@tanstack/ai``, whose clients talk to an app made with these.

Where a session is
    ``DurableStream``, ``DurableStreamTarget``, ``embedded_streams``, ``HttpStreamClient``
Sending
    ``to_durable_chat_session_response``   POST: messages in, the answer to the stream
    ``to_durable_stream_response``         POST: chunks of any kind into a stream of their own
    ``finish_writes``                      at shutdown: what goes on in the background
    ``interrupt_abandoned_runs``           after a start: what a killed process has left open
Reading
    ``to_durable_stream_read_response``    GET: the stream from an offset, live or not
    ``materialize_snapshot_from_durable_stream``   the messages and the offset that a page is made of
Without a stream
    ``to_server_sent_events_response``, ``to_http_stream_response``   the answer as the response itself
One by one
    ``ensure_durable_chat_session_stream``, ``to_message_echo_chunks``, ``sanitize_chunk_for_storage``,
    ``append_sanitized_chunks_to_stream``, ``pipe_sanitized_chunks_to_stream``

Responses are ASGI apps: return them from a Starlette or Litestar handler, or call them with
``(scope, receive, send)``. Chunks are dicts in camelCase, times in milliseconds inside chunks and in seconds
everywhere else. What an agent raises is told as a RUN_ERROR without its text; raise ``AgentError`` for a
sentence of your own. What a stream refuses is raised as a ``StreamError``; ``to_error_response`` answers it.
"""

from webapp.agents.base import AgentError
from webapp.chat.reducer import StaleSnapshot
from webapp.session.abandoned import interrupt_abandoned_runs
from webapp.session.background import finish_writes
from webapp.session.chunks import (
    append_sanitized_chunks_to_stream,
    ensure_durable_chat_session_stream,
    sanitize_chunk_for_storage,
    to_message_echo_chunks,
)
from webapp.session.durable import to_durable_chat_session_response, to_durable_stream_response
from webapp.session.piping import PipedRun, pipe_sanitized_chunks_to_stream
from webapp.session.read_proxy import to_durable_stream_read_response
from webapp.session.replies import to_error_response
from webapp.session.request_scoped import (
    to_http_stream,
    to_http_stream_response,
    to_server_sent_events_response,
    to_server_sent_events_stream,
)
from webapp.session.runs import RunOptions
from webapp.session.snapshots import SessionSnapshot, materialize_snapshot_from_durable_stream
from webapp.session.streams import DurableStream, DurableStreamTarget, embedded_streams
from webapp.streams.clients.base import (
    InvalidRequest,
    PayloadTooLarge,
    StreamClosed,
    StreamConflict,
    StreamError,
    StreamGone,
    StreamNotFound,
    StreamsUnavailable,
)
from webapp.streams.clients.http import HttpStreamClient

__all__ = [
    "AgentError",
    "DurableStream",
    "DurableStreamTarget",
    "HttpStreamClient",
    "InvalidRequest",
    "PayloadTooLarge",
    "PipedRun",
    "RunOptions",
    "SessionSnapshot",
    "StaleSnapshot",
    "StreamClosed",
    "StreamConflict",
    "StreamError",
    "StreamGone",
    "StreamNotFound",
    "StreamsUnavailable",
    "append_sanitized_chunks_to_stream",
    "embedded_streams",
    "ensure_durable_chat_session_stream",
    "finish_writes",
    "interrupt_abandoned_runs",
    "materialize_snapshot_from_durable_stream",
    "pipe_sanitized_chunks_to_stream",
    "sanitize_chunk_for_storage",
    "to_durable_chat_session_response",
    "to_durable_stream_read_response",
    "to_durable_stream_response",
    "to_error_response",
    "to_http_stream",
    "to_http_stream_response",
    "to_message_echo_chunks",
    "to_server_sent_events_response",
    "to_server_sent_events_stream",
]
