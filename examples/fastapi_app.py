"""The same with FastAPI, and the streams on a server of their own.

    durable-chat streams --port 4437
    python -m examples.fastapi_app --port 8011 --streams http://127.0.0.1:4437/v1/stream

The routes are those of ``plain_asgi.py``. ``interrupt_abandoned_runs``, which that one calls after a start,
is for when no other process may be writing; here there may be several.
"""

import argparse
import asyncio
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from webapp import session
from webapp.session import DurableStream, HttpStreamClient


class ChatRequest(BaseModel):
    messages: list[dict]
    runId: str | None = None  # noqa: N815  (the name on the wire)


class Sent(Response):
    """A response of ours as one of FastAPI's: routes return these."""

    def __init__(self, app):
        super().__init__()
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


async def count(messages):
    yield f"That was message {len(messages)}. "
    for number in ("One", "two", "three"):
        yield f"{number} "
        await asyncio.sleep(0.02)


def create_app(streams_url):
    @asynccontextmanager
    async def lifespan(app):
        app.state.streams = HttpStreamClient(streams_url)
        yield
        await session.finish_writes(grace=2)
        await app.state.streams.aclose()

    app = FastAPI(lifespan=lifespan)

    def chat(chat_id):
        return DurableStream(app.state.streams, f"chats/{chat_id}")

    @app.post("/api/chat")
    async def send(id: str, body: ChatRequest):
        before = await session.materialize_snapshot_from_durable_stream(chat(id))
        response = await session.to_durable_chat_session_response(
            chat(id),
            new_messages=body.messages[-1:],
            response_stream=count([*before.messages, *body.messages[-1:]]),
            run_id=body.runId,
        )
        return Sent(response)

    @app.get("/api/chat-stream")
    async def read(id: str):
        return Sent(session.to_durable_stream_read_response(chat(id)))

    @app.get("/api/chats")
    async def snapshot(id: str):
        return (await session.materialize_snapshot_from_durable_stream(chat(id))).to_json()

    @app.post("/api/sse")
    async def stream(body: ChatRequest):
        frames = session.to_server_sent_events_stream(count(body.messages), run_id=body.runId)
        return StreamingResponse(frames, media_type="text/event-stream")

    @app.exception_handler(session.StreamError)
    async def refused(request: Request, error: session.StreamError):
        return Sent(session.to_error_response(error))

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8011)
    parser.add_argument("--streams", default="http://127.0.0.1:4437/v1/stream")
    options = parser.parse_args()
    uvicorn.run(create_app(options.streams), port=options.port, timeout_graceful_shutdown=1)
